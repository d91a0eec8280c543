"""Spectrograms of rows beside those of their dry sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import DRY_AUDIO
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

SILENT = 1e-4
"""A peak below this is not brought to 1; as `layers.log_mel.at_full_scale` has it for networks."""
Frontend = Callable[[NDArray[Any]], NDArray[Any]]
"""From sounds as stored [shape=(k, samples)] to what a network takes."""


@dataclass(frozen=True)
class WetAndDry:
    """What a front end makes of each row [shape=(n, 1, ...)] and of each dry sound [shape=(m, 1, ...)], of which row k
    has number `index[k]`; put side by side when they are asked for, since many rows share a dry sound.
    """

    wet: torch.Tensor
    dry: torch.Tensor
    index: torch.Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """As if all were there: (n, 2, ...)."""
        return len(self.index), 2, *self.wet.shape[2:]

    def __getitem__(self, indices: Any) -> torch.Tensor:
        """Some rows [shape=(k, 2, ...)], by indices or a slice."""
        return torch.cat([self.wet[indices], self.dry[self.index[indices]]], dim=1)

    def at(self, indices: NDArray[np.int64]) -> WetAndDry:
        """Only some of the rows, still apart."""
        chosen = torch.from_numpy(indices)
        return WetAndDry(self.wet[chosen], self.dry, self.index[chosen])


def check_dry(datasets: Sequence[Dataset]) -> None:
    """Raise `UsageError` for datasets whose rows have no dry sound."""
    without = [data.name for data in datasets if data.recipe.chain.synth or not data.has(DRY_AUDIO)]
    if without:
        raise UsageError(f"known_dry: {', '.join(without)} has no dry sounds; what a synth plays has none.")


def of_dry(frontend: Frontend | None) -> Frontend:
    """A front end for dry sounds as stored, which are heard at full scale."""
    assert frontend is not None  # of all networks that take dry sounds

    def transform(sounds: NDArray[Any]) -> NDArray[Any]:
        floats = decode(sounds)
        return frontend(floats / np.maximum(np.abs(floats).max(axis=1, keepdims=True), SILENT))

    return transform
