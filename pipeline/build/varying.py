"""Dry sounds varied before the chain: each made several times, through effects drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.catalogue.source import COPY, Note
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, magnitude
from timbre_data.schemas.arrays import Audio


class _Copies(Sequence[Note]):
    """The notes of a source, `copies` times, one after the other."""

    def __init__(self, notes: Sequence[Note], copies: int) -> None:
        self._notes, self._copies = notes, copies

    def __len__(self) -> int:
        return len(self._notes) * self._copies

    @overload
    def __getitem__(self, index: int) -> Note: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Note]: ...

    def __getitem__(self, index: int | slice) -> Note | Sequence[Note]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        copy, number = divmod(index, len(self._notes))
        note = self._notes[number]
        return replace(note, identity=f"{note.identity}{COPY}{copy}", group=note.group or note.identity)


class VariedSource:
    """A source whose sounds go through a chain drawn for each of its copies: from the seed and the copy's number
    alone, so a sound is the same whatever else is made.
    """

    def __init__(self, source: Any, chain: Chain, copies: int, seed: int) -> None:
        self._source, self._chain, self._seed = source, chain, seed
        self.notes: Sequence[Note] = _Copies(source.notes, copies)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """What was drawn for some notes, normalized, NaN where a step is off [shape=(n, v)]."""
        unique, back = np.unique(indices, return_inverse=True)
        draw = self._chain.draw(self._seed, unique)
        return np.where(draw.mask, draw.labels, np.float32(np.nan))[back]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make note `index` and vary it: float32 (channels, samples), peak at most 1. A sound that its variation would
        silence stays as it is.
        """
        dry: Audio = self._source.render(index % len(self._source.notes), rate, channels, samples)
        draw = self._chain.draw(self._seed, np.array([index]))
        varied = self._chain.render(dry, rate, draw.values[0], draw.order[0])
        peak = magnitude(varied)
        if not SILENCE_PEAK <= peak < np.inf:
            return dry
        return np.ascontiguousarray(varied / max(peak, np.float32(1)), np.float32)
