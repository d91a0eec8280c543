"""The modulated delay line that modulation, chorus, flanger and vibrato share: pedalboard's chorus, bit for bit, at a
third of its cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pedalboard
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.effect import ByRows
from timbre_data.pipeline.sound.delays import LEAST_MS, chorus
from timbre_data.schemas.arrays import Audio


def render_rows(sounds: Audio, rate: int, values: Mapping[str, NDArray[np.float64]], out: Audio) -> None:
    """Send each of the sounds through a delay moved by an LFO; a missing feedback is none."""
    centre = np.maximum(values["centre_delay_ms"], LEAST_MS)
    feedback = values.get("feedback", np.zeros(len(sounds)))
    columns = (values["rate_hz"], values["depth"], centre, feedback, values["mix"])
    chorus(sounds, float(rate), np.stack(columns, axis=1).astype(np.float32), out)


render = ByRows(render_rows)


def with_pedalboard(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """The same by pedalboard."""
    plugin = pedalboard.Chorus(
        rate_hz=values["rate_hz"],
        depth=values["depth"],
        centre_delay_ms=values["centre_delay_ms"],
        feedback=values.get("feedback", 0.0),
        mix=values["mix"],
    )
    return plugin(audio, rate)
