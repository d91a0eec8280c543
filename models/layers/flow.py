"""Conditional flow matching (Lipman et al. 2023) over knobs: draws from what the knobs may have been, given a sound.

A velocity field carries normal noise at time 0 to knobs at time 1. It learns from straight lines between a draw of
noise and a row's knobs: the field at a point of the line is to be the line's direction. Where knobs that sound alike
may be exchanged, the network treats them alike, so all their orders are equally likely (why that matters: Hayes et al.
2025, arXiv 2506.07199).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from timbre_data.models.layers.knob_tokens import Group, KnobTokens

AT_ONCE = 2048
"""Draws that are carried together."""
NEARLY_NOTHING = 1e-3
"""Deviation of the first weights that open layers and the output."""
TIMES = 64
"""Numbers that describe a time."""


class Layer(nn.Module):
    """Attention and a perceptron, both scaled and shifted by the condition (Peebles & Xie 2023, adaLN-Zero): at first
    they do next to nothing.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.attend, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.condition = nn.Linear(width, 6 * width)
        nn.init.normal_(self.condition.weight, std=NEARLY_NOTHING)
        nn.init.zeros_(self.condition.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Map tokens [shape=(n, tokens, width)] given a condition [shape=(n, width)]."""
        shift, scale, gate, shift2, scale2, gate2 = self.condition(condition)[:, None].chunk(6, dim=2)
        parts = self.attend(self.norms[0](x) * (1 + scale) + shift).unflatten(2, (3, self._heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + gate * self.join(attended)
        mapped: torch.Tensor = x + gate2 * self.think(self.norms[1](x) * (1 + scale2) + shift2)
        return mapped


class Flow(nn.Module):
    """Draws of knobs with so many `positions` each (0 for a continuous one), given a condition [shape=(n, inputs)].

    `groups` say which parts may be exchanged.
    """

    frequencies: torch.Tensor

    def __init__(
        self,
        positions: Sequence[int],
        inputs: int,
        groups: Sequence[Group] = (),
        *,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.tokens = KnobTokens(positions, groups)
        kinds, cells = int(self.tokens.kinds.max()) + 1, self.tokens.cells.shape[1]
        self.enter = nn.Parameter(torch.randn(kinds, cells, width) / math.sqrt(cells))
        self.leave = nn.Parameter(NEARLY_NOTHING * torch.randn(kinds, width, cells))
        self.names = nn.Parameter(torch.randn(kinds, width) / math.sqrt(width))
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(200), TIMES // 2)), persistent=False)
        self.time = nn.Sequential(nn.Linear(TIMES, width), nn.SiLU(), nn.Linear(width, width))
        self.given = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last = nn.Linear(width, 2 * width)

    def forward(self, x: torch.Tensor, time: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """The velocity of tokens [shape=(n, tokens, cells)] at times in [0, 1] [shape=(n,)]."""
        kinds = self.tokens.kinds
        angles = time[:, None] * self.frequencies
        known = F.silu(self.time(torch.cat([angles.cos(), angles.sin()], dim=1)) + self.given(condition))
        hidden = torch.einsum("ntc,tcw->ntw", x, self.enter[kinds]) + self.names[kinds]
        for layer in self.layers:
            hidden = layer(hidden, known)
        shift, scale = self.last(known)[:, None].chunk(2, dim=2)
        hidden = self.norm(hidden) * (1 + scale) + shift
        return torch.einsum("ntw,twc->ntc", hidden, self.leave[kinds]) * (self.tokens.cells > 0)

    def loss(
        self,
        condition: torch.Tensor,
        labels: torch.Tensor,
        mask: torch.Tensor,
        draws: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Mean squared error of the velocity over the knobs that apply [shape=(n, knobs)], at `draws` random points a
        row (Lipman et al. 2023, equation 23, with no noise left at time 1).

        Knobs that do not apply are drawn at random, for the field to know no more of them than that.
        """
        labels, mask = labels.repeat(draws, 1), mask.repeat(draws, 1)
        condition = condition.repeat(draws, 1)
        anything = torch.rand(labels.shape, generator=generator)
        end = self.tokens.encode(torch.where(mask, labels, anything))
        begin = torch.randn(end.shape, generator=generator) * (self.tokens.cells > 0)
        time = torch.rand(len(end), generator=generator)
        at = torch.lerp(begin, end, time[:, None, None])
        weights = self.tokens.weights(mask)
        errors = (self(at, time, condition).float() - (end - begin)).square()
        return (errors * weights).sum() / weights.sum().clamp(min=1)

    def draw(self, condition: torch.Tensor, noise: torch.Tensor, steps: int = 16) -> torch.Tensor:
        """Normalized knobs [shape=(n, knobs)] that noise [shape=(n, tokens, cells)] is carried to, by the midpoint
        rule.
        """
        with torch.inference_mode():
            parts = [
                self._carried(one, given, steps)
                for one, given in zip(noise.split(AT_ONCE), condition.split(AT_ONCE), strict=True)
            ]
        return self.tokens.decode(torch.cat(parts))

    def _carried(self, x: torch.Tensor, condition: torch.Tensor, steps: int) -> torch.Tensor:
        x = x * (self.tokens.cells > 0)
        step = 1 / steps
        for number in range(steps):
            half = x + step / 2 * self(x, x.new_full((len(x),), number * step), condition)
            x = x + step * self(half, x.new_full((len(x),), (number + 0.5) * step), condition)
        return x

    def log_density(self, condition: torch.Tensor, labels: torch.Tensor, steps: int = 32) -> torch.Tensor:
        """The logarithm of the density of continuous normalized knobs [shape=(n, knobs)] given a condition
        [shape=(n,)]: they are carried back to noise, and what the field does to volumes is added up, exactly (Chen et
        al. 2018, equation 8). Costs a gradient for each knob and step.
        """
        if any(self.tokens.positions):
            raise ValueError("knobs with positions have probabilities, not a density")
        x = self.tokens.encode(labels)
        cells = self.tokens.cells > 0
        change = torch.zeros(len(x))
        for number in range(steps, 0, -1):
            half, _ = self._slope(x, (number) / steps, condition)
            middle = x - half / (2 * steps)
            velocity, divergence = self._slope(middle, (number - 0.5) / steps, condition)
            x, change = x - velocity / steps, change + divergence / steps
        noise = (-0.5 * x.square() - 0.5 * math.log(2 * math.pi)) * cells
        return noise.sum(dim=(1, 2)) - change + labels.shape[1] * math.log(2)  # knobs are twice as wide as tokens

    def _slope(self, x: torch.Tensor, time: float, condition: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The velocity and its divergence."""
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            velocity = self(x, torch.full((len(x),), time), condition).flatten(1)
            divergence = torch.zeros(len(x))
            for place in self.tokens.places.tolist():
                (gradient,) = torch.autograd.grad(velocity[:, place].sum(), x, retain_graph=True)
                divergence = divergence + gradient.flatten(1)[:, place]
        return velocity.detach().unflatten(1, x.shape[1:]), divergence.detach()


def row_noise(flow: Flow, rows: NDArray[np.int64], count: int, seed: int) -> torch.Tensor:
    """The noise that `count` draws of each row begin with [shape=(rows * count, tokens, cells)]: the same for a row
    with any others beside it.
    """
    shape = (count, *flow.tokens.cells.shape)
    each = [np.random.default_rng([seed, row]).standard_normal(shape, np.float32) for row in rows.tolist()]
    return torch.from_numpy(np.concatenate(each))
