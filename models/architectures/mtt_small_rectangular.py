"""Auto-tagging with small square filters only: the usual design that Pons et al. compare with, at equal parameters."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures._timbre import NoOptions, TimbreNetwork, magnatagatune_front, normed
from timbre_data.models.kinds import Model, Shape


def _build(shape: Shape, options: Any) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, pool in ((1, 32, (1, 4)), (32, 32, (4, 1)), (32, 64, (2, 2)), (64, 32, (2, 2))):
        layers += [
            *normed(before, after, bias=False),
            nn.MaxPool2d(pool),
        ]  # (frequency, time): the paper counts time first
    layers += [*normed(32, 16, bias=False), nn.Flatten(), nn.Linear(448, shape.outputs)]
    return TimbreNetwork(magnatagatune_front(shape.rate), nn.Sequential(*layers), each_band=True)


MODEL = Model(
    summary="Auto-tagging CNN with 3 x 3 filters throughout.",
    source="Pons et al. 2017, Table III",
    task="classification",
    input="audio",
    front=lambda shape, options: magnatagatune_front(shape.rate),
    features=(),
    build=_build,
    options=NoOptions,
    batch_size=32,
    learning_rate=1e-3,
    max_epochs=100,
    patience=10,
    counts_statistics=True,
    published={
        "50 tags": (Shape(0, 50, samples=48_000, rate=16_000), 74_130),
        "51 outputs": (Shape(0, 51, samples=48_000, rate=16_000), 74_579),
    },
)
