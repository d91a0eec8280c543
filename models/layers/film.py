"""Feature-wise linear modulation."""

from __future__ import annotations

import torch
from torch import nn


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018): each channel times gamma plus beta, both linear in a
    condition.

    Initialised as in D'Hooghe 2022: weights of gamma N(1, 0.1), of beta N(0, 0.1).
    """

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Linear(condition, channels)
        self.beta = nn.Linear(condition, channels)
        nn.init.normal_(self.gamma.weight, 1.0, 0.1)
        nn.init.normal_(self.beta.weight, 0.0, 0.1)
        nn.init.zeros_(self.gamma.bias)
        nn.init.zeros_(self.beta.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Modulate [shape=(n, channels, bins, frames)] by a condition [shape=(n, condition)]."""
        gamma, beta = self.gamma(condition), self.beta(condition)
        return torch.addcmul(beta[:, :, None, None], gamma[:, :, None, None], x)
