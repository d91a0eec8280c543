"""The delay line that delay, feedback_delay and slapback_delay share."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.pipeline.kinds import Audio


def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """Delay `audio`; a missing feedback is none."""
    plugin = pedalboard.Delay(
        delay_seconds=values["delay_seconds"], feedback=values.get("feedback", 0.0), mix=values["mix"]
    )
    return plugin(audio, rate)


def unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    """Name what cannot be heard: all but mix at mix 0; feedback when the second echo falls after the note."""
    if values["mix"] == 0:
        return {"delay_seconds", "feedback"} & set(values)
    if 2 * values["delay_seconds"] >= seconds:
        return {"feedback"} & set(values)
    return set()
