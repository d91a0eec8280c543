"""Pooling."""

from __future__ import annotations

import torch
from torch import nn


class Largest(nn.Module):
    """The maximum over frequency and time [shape=(n, channels)]; unlike PyTorch's adaptive pooling its gradient is the
    same in every run on a GPU.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [shape=(n, channels, bands, frames)] to [shape=(n, channels)]."""
        return x.amax(dim=(2, 3))
