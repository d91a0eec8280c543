"""Standardization by the statistics of a training set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn


class Standardise(nn.Module):
    """Subtract the training set's mean and divide by its deviation: of the whole ("all"), of each band, or of each cell
    (band and frame).
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: tuple[int, int], each: Literal["all", "band", "cell"]) -> None:
        super().__init__()
        bins, frames = shape
        self._over = {"all": (0, 1, 2), "band": (0, 2), "cell": (0,)}[each]
        width = frames if each == "cell" else 1
        self.register_buffer("mean", torch.zeros(bins, width))
        self.register_buffer("deviation", torch.ones(bins, width))

    def fit(self, spectrograms: Iterable[torch.Tensor]) -> None:
        """Take mean and deviation of training spectrograms, given in parts [shape=(n, bins, frames) each]."""
        count = 0
        total = squares = torch.zeros(())
        for part in spectrograms:
            x = part.double()
            count += x.numel()
            total = total + x.sum(dim=self._over, keepdim=True)[0]
            squares = squares + x.square().sum(dim=self._over, keepdim=True)[0]
        each = count / total.numel()
        mean = total / each
        deviation = (squares / each - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean.expand_as(self.mean))
        self.deviation.copy_(deviation.clamp(min=1e-6).expand_as(self.deviation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardise [shape=(n, bins, frames)] and add a channel [shape=(n, 1, bins, frames)]."""
        standardized: torch.Tensor = (x.float() - self.mean) / self.deviation
        return standardized[:, None]
