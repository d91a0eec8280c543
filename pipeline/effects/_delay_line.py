"""The delay line that delay, feedback_delay and slapback_delay share: pedalboard's, bit for bit, at a tenth of its
cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pedalboard

from timbre_data.pipeline.sound.delays import delayed
from timbre_data.schemas.arrays import Audio

LONGEST_SECONDS = 30
"""After that pedalboard's delay line comes round, and a delay of less than a sample is one of so long."""


def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """Delay `audio`; a missing feedback is none."""
    seconds = float(np.float32(values["delay_seconds"]))
    if seconds == 0:  # pedalboard passes the sound on, whatever the mix
        return audio.copy()
    delay = int(seconds * rate)
    if not delay and audio.shape[1] >= LONGEST_SECONDS * rate:
        return with_pedalboard(audio, rate, values)
    audio = np.ascontiguousarray(audio, np.float32)
    return delayed(audio, delay or audio.shape[1], np.float32(values.get("feedback", 0.0)), np.float32(values["mix"]))


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
