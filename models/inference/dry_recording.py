"""A dry recording that is given beside the files to predict: the pitch of its notes, and the notes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.inference.sound_files import cut_notes, load_sound, note_starts
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError


class DryRecording:
    """A dry recording at the rate of a run, whose notes last so many samples. Raises `UsageError` for a file that
    cannot be used.
    """

    def __init__(self, path: Path, rate: int, samples: int) -> None:
        self._path, self._rate, self._samples = path, rate, samples
        self._sound = load_sound(path, rate)

    @cached_property
    def _starts(self) -> list[int]:
        return note_starts(self._sound, self._rate, self._samples)

    def pitches(self, count: int) -> NDArray[np.float32]:
        """Pitch in Hz of each of so many notes; of its first where it has fewer [shape=(count,)]."""
        from timbre_data.pipeline.sound.note_pitch import note_f0

        notes = [self._sound[start : start + self._samples] for start in self._starts[:count]]
        measured = [note_f0(note, self._rate) for note in notes]
        return np.array([measured[min(k, len(measured) - 1)] for k in range(count)], np.float32)

    def notes(self, starts: Sequence[int]) -> Audio:
        """The dry sound of each note of a file that set in at `starts` [shape=(n, samples)]: note by note where there
        are as many, the only one for all, or else what sounds at the same time. Raises `UsageError` where it has
        ended.
        """
        if len(self._starts) == 1:
            return np.repeat(cut_notes(self._sound, self._starts, self._samples), len(starts), axis=0)
        if len(self._starts) != len(starts) and max(starts) >= len(self._sound):
            raise UsageError(
                f"{self._path}: {len(self._starts)} notes, {len(starts)} in the other sound, and it ends before these: give the dry sound of the same notes."
            )
        return cut_notes(self._sound, self._starts if len(self._starts) == len(starts) else starts, self._samples)
