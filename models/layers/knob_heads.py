"""Outputs of a network that tells knobs: positions as classes, other knobs as distributions over their range."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

BINS = 32
BLUR = 0.75
"""Deviation, in bins, of the bell around a label that the network learns to give."""
SQUARES = 20
"""Weight of the squared error of a distribution's mean beside its cross-entropy."""


class KnobHeads(nn.Module):
    """What logits [shape=(n, width)] mean: a group for each knob, its positions, or bins of its range. It has no
    weights.

    `positions` of each knob: how many a choice, switch or integer has, 0 for a continuous one.
    """

    centres: torch.Tensor

    def __init__(self, positions: tuple[int, ...]) -> None:
        super().__init__()
        self.positions = positions
        self.width = sum(count or BINS for count in positions)
        self.register_buffer("centres", torch.linspace(0, 1, BINS), persistent=False)

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits into normalized values [shape=(n, knobs)]: the likeliest position, or the mean of the
        distribution.
        """
        values = []
        for count, part in zip(self.positions, self._groups(logits), strict=True):
            if count:
                values.append(part.argmax(dim=1) / (count - 1))
            else:
                values.append(torch.softmax(part, dim=1) @ self.centres)
        return torch.stack(values, dim=1)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy over knobs by their weights in each row [shape=(n, knobs)], and the squared error of the
        mean of those with a range.
        """
        total = logits.new_zeros(())
        for i, (count, part) in enumerate(zip(self.positions, self._groups(logits), strict=True)):
            rows = weights[:, i] > 0
            if not rows.any():
                continue
            logs, label, weight = torch.log_softmax(part[rows], dim=1), labels[rows, i], weights[rows, i]
            if count:
                loss = F.nll_loss(logs, torch.round(label * (count - 1)).long(), reduction="none")
            else:
                bell = torch.exp(-0.5 * ((label[:, None] - self.centres) * (BINS - 1) / BLUR).square())
                mean = logs.exp() @ self.centres
                loss = SQUARES * (mean - label).square() - (bell / bell.sum(dim=1, keepdim=True) * logs).sum(dim=1)
            total = total + weight @ loss
        return total / weights.sum().clamp(min=1)

    def _groups(self, logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return logits.split([count or BINS for count in self.positions], dim=1)
