"""The delay line that delay, feedback_delay and slapback_delay share: pedalboard's, bit for bit, at a tenth of its
cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pedalboard
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.effect import ByRows
from timbre_data.pipeline.sound.delays import UNCHANGED, delayed
from timbre_data.schemas.arrays import Audio

LONGEST_SECONDS = 30
"""After that pedalboard's delay line comes round, and a delay of less than a sample is one of so long."""


def render_rows(sounds: Audio, rate: int, values: Mapping[str, NDArray[np.float64]], out: Audio) -> None:
    """Delay each of the sounds; a missing feedback is none."""
    samples = sounds.shape[2]
    seconds = values["delay_seconds"].astype(np.float32).astype(np.float64)
    delays = (seconds * rate).astype(np.int64)
    below_a_sample = (delays == 0) & (seconds > 0)
    delays[below_a_sample] = samples
    delays[seconds == 0] = UNCHANGED  # pedalboard passes the sound on, whatever the mix
    feedback = values.get("feedback", np.zeros(len(sounds)))
    delayed(sounds, delays, feedback.astype(np.float32), values["mix"].astype(np.float32), out)
    if samples >= LONGEST_SECONDS * rate:
        for row in np.flatnonzero(below_a_sample).tolist():
            out[row] = with_pedalboard(sounds[row], rate, {name: float(column[row]) for name, column in values.items()})


render = ByRows(render_rows)


def with_pedalboard(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """The same by pedalboard."""
    plugin = pedalboard.Delay(
        delay_seconds=values["delay_seconds"], feedback=values.get("feedback", 0.0), mix=values["mix"]
    )
    return plugin(audio, rate)


def unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    """Name what cannot be heard.

    At mix 0 all but mix; at delay 0 all but the delay (the echo is the sound itself); the delay and the feedback when
    the first echo falls after the note, the feedback alone when only the second does.
    """
    if values["mix"] == 0:
        unheard = {"delay_seconds", "feedback"}
    elif values["delay_seconds"] == 0:
        unheard = {"feedback", "mix"}
    elif values["delay_seconds"] >= seconds:
        unheard = {"delay_seconds", "feedback"}
    else:
        unheard = {"feedback"} if 2 * values["delay_seconds"] >= seconds else set()
    return unheard & set(values)
