"""Messages to a captured synth, and the format of its replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.presets import PRESET
from timbre_data.schemas.profile import Profile

CHECK = Performance.of(PlayedNote(0.0, 0.4, 60, 110))


SILENCE = 1e-5

Calls = Sequence[Sequence[bytes]]
"""The messages that call up each preset."""


def row_messages(profile: Profile, patch: Mapping[str, float], presets: Calls = ()) -> list[bytes]:
    """The messages before a row's note: the reset, the preset of the row where there are `presets`, then every knob. An
    empty patch sends only the reset; a knob that the patch leaves out stays as the preset has it.
    """
    messages = [bytes.fromhex(message) for message in profile.reset]
    if presets and patch:
        messages += presets[int(patch.get(PRESET, 0))]
    for parameter in profile.parameters if patch else ():
        if not presets or parameter.name in patch:
            messages += parameter.messages(patch[parameter.name])
    return messages


def with_channels(sounds: Audio, channels: int) -> Audio:
    """Sounds [shape=(n, recorded channels, samples)] with as many channels as asked for: mixed to one, and repeated
    where there are too few.
    """
    if sounds.shape[1] == channels:
        return sounds
    return np.repeat(sounds.mean(axis=1, keepdims=True), channels, axis=1)


def first_keys(performance: Performance) -> list[int]:
    """The keys that are struck first, together."""
    start = min((note.start_seconds for note in performance.notes), default=0.0)
    return [note.key for note in performance.notes if note.start_seconds == start]
