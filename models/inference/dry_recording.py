"""A dry recording that is given beside the files to predict: the pitch of its notes, and the notes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.inference.sound_files import cut_notes, load_sound, note_starts
from timbre_data.schemas.arrays import Audio


class DryRecording:
    """A dry recording at the rate of a run, whose notes last so many samples. Raises `UsageError` for a file that
    cannot be used.
    """

    def __init__(self, path: Path, rate: int, samples: int) -> None:
        self._sound, self._rate, self._samples = load_sound(path, rate), rate, samples

    @cached_property
    def _starts(self) -> list[int]:
        return note_starts(self._sound, self._rate, self._samples)

    def pitches(self, count: int) -> NDArray[np.float32]:
        """Pitch in Hz of each of so many notes; of its first where it has fewer [shape=(count,)]."""
        from timbre_data.pipeline.sound.note_pitch import note_f0

        measured = [note_f0(note, self._rate) for note in self._cut(self._starts[:count])]
        return np.array([measured[min(k, len(measured) - 1)] for k in range(count)], np.float32)

    def notes(self, starts: Sequence[int]) -> Audio:
        """The dry sound of each note of a file that set in at `starts` [shape=(n, samples)]: note by note where there
        are as many, the only one for all, or else what sounds at the same time.
        """
        if len(self._starts) == 1:
            return np.repeat(self._cut(self._starts), len(starts), axis=0)
        return self._cut(self._starts if len(self._starts) == len(starts) else starts)

    def _cut(self, starts: Sequence[int]) -> Audio:
        return cut_notes(self._sound, starts, self._samples)
