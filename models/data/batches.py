"""Batches of rows in memory, varied in training: spectrograms cut, filtered and masked at random."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ORDERED_BYTES = 2**28
"""Tables of up to this size are put into an epoch's order at its beginning."""
_POINTS = 4
"""Points of the line that a random filter follows: both ends and two places between."""


@dataclass(frozen=True)
class Variation:
    """Augmentation of spectrograms [shape=(n, bins, frames)], different in every epoch.

    `crop`: so many neighbouring frames of each are left, from a random place on. `gain`: bands are raised and lowered
    along a line through random points, by up to this share of a spectrogram's range, and none below its lowest value
    (Nam et al. 2022, FilterAugment, linear type). `mask`: 0 to so many neighbouring bands are set to its lowest value
    (Park et al. 2019, SpecAugment, section 2: F = `mask`).
    """

    crop: int | None = None
    gain: float = 0.0
    mask: int = 0

    def apply(self, x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Vary a batch of spectrograms; what is not asked for draws nothing."""
        if self.crop and self.crop < x.shape[2]:
            x = _cropped(x, self.crop, rng)
        if self.gain:
            x = _filtered(x, self.gain, rng)
        return _masked(x, self.mask, rng) if self.mask else x


class Batches:
    """Shuffled batches of some rows of tensors that are in memory (or of `windows.Windows`); all that is random depends
    on (seed, epoch) alone.

    The last tensor, where it is of spectrograms, is varied if `variation` is given. `seconds` counts how long training
    has waited.
    """

    def __init__(
        self,
        tensors: Sequence[Any],
        rows: NDArray[np.int64],
        batch_size: int,
        seed: int | None,
        epoch: int = 0,
        variation: Variation | None = None,
    ) -> None:
        self._tensors, self._rows = tensors, torch.from_numpy(rows)
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._variation = variation or Variation()
        self.seconds = 0.0

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        order = self._rows
        if self._seed is not None:
            order = order[torch.from_numpy(np.random.default_rng([self._seed, self._epoch]).permutation(len(order)))]
        rng = np.random.default_rng([self._seed or 0, self._epoch, 1])
        begun = time.perf_counter()
        *tables, sounds = self._tensors
        ordered = [self._in_order(table, order) for table in tables]
        for number, batch_rows in enumerate(order.split(self._batch_size)):
            place = slice(number * self._batch_size, number * self._batch_size + len(batch_rows))
            batch = [
                table[batch_rows] if here is None else here[place] for table, here in zip(tables, ordered, strict=True)
            ]
            audio = self._variation.apply(sounds[batch_rows], rng)
            self.seconds += time.perf_counter() - begun
            yield (*batch, audio)
            begun = time.perf_counter()

    def _in_order(self, table: Any, order: torch.Tensor) -> torch.Tensor | None:
        """A small table in the order of its rows, so that batches are slices of it."""
        return table[order] if table.element_size() * table[:1].numel() * len(order) <= ORDERED_BYTES else None


def _cropped(x: torch.Tensor, crop: int, rng: np.random.Generator) -> torch.Tensor:
    starts = rng.integers(x.shape[2] - crop + 1, size=len(x))
    return x.unfold(2, crop, 1)[torch.arange(len(x)), :, torch.from_numpy(starts)]


def _filtered(x: torch.Tensor, gain: float, rng: np.random.Generator) -> torch.Tensor:
    rows, bins = x.shape[:2]
    positions = np.sort(rng.uniform(0, bins - 1, (rows, _POINTS)), axis=1)
    positions[:, 0], positions[:, -1] = 0, bins - 1
    heights = rng.uniform(-gain, gain, (rows, _POINTS))
    bands = np.arange(bins)
    lines = np.stack([np.interp(bands, at, height) for at, height in zip(positions, heights, strict=True)])
    low, high = x.amin(dim=(1, 2), keepdim=True), x.amax(dim=(1, 2), keepdim=True)
    return torch.maximum(x + torch.from_numpy(lines).to(x.dtype)[:, :, None] * (high - low), low)


def _masked(x: torch.Tensor, mask: int, rng: np.random.Generator) -> torch.Tensor:
    bins = x.shape[1]
    widths = rng.integers(min(mask, bins) + 1, size=(len(x), 1))
    starts = rng.integers(bins - widths + 1)
    bands = np.arange(bins)
    silent = torch.from_numpy((bands >= starts) & (bands < starts + widths))
    return torch.where(silent[:, :, None], x.amin(dim=(1, 2), keepdim=True), x)
