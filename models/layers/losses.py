"""Losses over a row's own parameters."""

from __future__ import annotations

import torch


def masked_mse(predicted: torch.Tensor, labels: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the entries that belong to each row's effect [shape=(n, p) all]."""
    squared = (predicted - labels).square() * own
    return squared.sum() / own.sum().clamp(min=1)
