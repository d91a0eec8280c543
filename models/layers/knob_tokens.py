"""Knobs as the tokens of a transformer, so that parts that may be exchanged are treated alike.

Each part of an interchangeable group (an oscillator with all its knobs) is one token, and parts of one group share
their weights and have no place of their own: exchange two of them, and what the network says of them is exchanged.
Every other knob is a token with weights of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

Group = tuple[tuple[int, ...], ...]
"""The parts of an interchangeable group: of each the columns of its knobs, in the same order in every part."""


class KnobTokens(nn.Module):
    """Normalized knobs [shape=(n, knobs)] as tokens [shape=(n, tokens, width)] and back. It has no weights.

    A continuous knob is a number from -1 to 1, one with positions a number for each: 1 for its own, -1 for the others.
    `kinds` [shape=(tokens,)] is equal for tokens that may be exchanged; `cells` [shape=(tokens, width)] is 0 where a
    token has no number, and else one over the count of its knob's: each knob weighs the same.
    """

    kinds: torch.Tensor
    cells: torch.Tensor
    places: torch.Tensor
    knob_of: torch.Tensor

    def __init__(self, positions: Sequence[int], groups: Sequence[Group] = ()) -> None:
        super().__init__()
        self.positions = tuple(positions)
        grouped = {column for group in groups for part in group for column in part}
        tokens = [(kind, part) for kind, group in enumerate(groups) for part in group]
        alone = [column for column in range(len(positions)) if column not in grouped]
        tokens += [(len(groups) + k, (column,)) for k, column in enumerate(alone)]
        sizes = [count or 1 for count in positions]
        width = max(sum(sizes[column] for column in part) for _, part in tokens)
        cells = torch.zeros(len(tokens), width)
        where: list[list[int]] = [[] for _ in positions]
        for number, (_, part) in enumerate(tokens):
            first = 0
            for column in part:
                cells[number, first : first + sizes[column]] = 1 / sizes[column]
                where[column] = [number * width + first + k for k in range(sizes[column])]
                first += sizes[column]
        self.register_buffer("kinds", torch.tensor([kind for kind, _ in tokens]), persistent=False)
        self.register_buffer("cells", cells, persistent=False)
        self.register_buffer("places", torch.tensor([place for one in where for place in one]), persistent=False)
        knobs = [column for column, size in enumerate(sizes) for _ in range(size)]
        self.register_buffer("knob_of", torch.tensor(knobs), persistent=False)
        self._sizes = sizes

    def encode(self, labels: torch.Tensor) -> torch.Tensor:
        """Normalized knobs as tokens."""
        columns = [
            F.one_hot((labels[:, k] * (count - 1)).round().long().clamp(0, count - 1), count).to(labels.dtype)
            if count
            else labels[:, k : k + 1]
            for k, count in enumerate(self.positions)
        ]
        return self._placed(2 * torch.cat(columns, dim=1) - 1)

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens as normalized knobs: the position with the largest number, other knobs no further than their range."""
        numbers = tokens.flatten(1)[:, self.places].split(self._sizes, dim=1)
        values = [
            part.argmax(dim=1) / (count - 1) if count else ((part[:, 0] + 1) / 2).clamp(0, 1)
            for count, part in zip(self.positions, numbers, strict=True)
        ]
        return torch.stack(values, dim=1)

    def weights(self, mask: torch.Tensor) -> torch.Tensor:
        """The cells of the knobs that a mask [shape=(n, knobs)] says count [shape=(n, tokens, width)]."""
        return self._placed(mask.float()[:, self.knob_of]) * self.cells

    def _placed(self, numbers: torch.Tensor) -> torch.Tensor:
        out = numbers.new_zeros(len(numbers), self.cells.numel())
        out[:, self.places] = numbers
        return out.unflatten(1, self.cells.shape)
