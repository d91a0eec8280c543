"""The modulated delay line that modulation, chorus, flanger and vibrato share: pedalboard's chorus, bit for bit, at a
third of its cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pedalboard

from timbre_data.pipeline.sound.delays import LEAST_MS, chorus
from timbre_data.schemas.arrays import Audio


def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """Send `audio` through a delay moved by an LFO; a missing feedback is none."""
    return chorus(
        np.ascontiguousarray(audio, np.float32),
        float(rate),
        np.float32(values["rate_hz"]),
        np.float32(values["depth"]),
        np.float32(max(values["centre_delay_ms"], LEAST_MS)),
        np.float32(values.get("feedback", 0.0)),
        np.float32(values["mix"]),
    )


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
