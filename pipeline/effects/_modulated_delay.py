"""The modulated delay line that modulation, chorus, flanger and vibrato share."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.schemas.arrays import Audio


def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """Send `audio` through a delay moved by an LFO; a missing feedback is none."""
    plugin = pedalboard.Chorus(
        rate_hz=values["rate_hz"],
        depth=values["depth"],
        centre_delay_ms=values["centre_delay_ms"],
        feedback=values.get("feedback", 0.0),
        mix=values["mix"],
    )
    return plugin(audio, rate)
