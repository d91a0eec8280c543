"""The delay line that delay, feedback_delay and slapback_delay share."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.schemas.arrays import Audio


def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    """Delay `audio`; a missing feedback is none."""
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
