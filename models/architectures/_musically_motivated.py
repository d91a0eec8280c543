"""The auto-tagging network of Pons et al. 2018, in its three widths."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures._timbre import NoOptions, TimbreNetwork, magnatagatune_front
from timbre_data.models.kinds import Model, Shape
from timbre_data.models.layers import FilterShape, ShapedFilters

SHAPES = tuple(
    FilterShape(count, height, width)
    for height, counts in ((100, (10, 6, 3, 3)), (75, (15, 10, 5, 5)), (25, (15, 10, 5, 5)))
    for count, width in zip(counts, (1, 3, 5, 7), strict=True)
)
"""Filters of 100, 75 and 25 bands by 1, 3, 5 and 7 frames, pooled over all places in frequency: a timbre at any pitch."""


def network(shape: Shape, width: int) -> nn.Module:
    """92 filters of 12 shapes times `width`, a convolution over 8 pooled frames, a dense layer of 100."""
    shapes = [FilterShape(s.count * width, s.height, s.width) for s in SHAPES]
    channels = 92 * width
    body = nn.Sequential(
        ShapedFilters(shapes, padding="time", pool=(0, 4)),
        nn.Flatten(2),  # one row of frames a channel
        nn.Conv1d(channels, 32 * width, 8),
        nn.ELU(),
        nn.MaxPool1d(4),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(32 * width * 9, 100),
        nn.ELU(),
        nn.Dropout(0.5),
        nn.Linear(100, shape.outputs),
    )
    return TimbreNetwork(magnatagatune_front(shape.rate), body, each_band=True)


def model(width: int, count: int) -> Model:
    """The catalogue's entry for one width."""
    wide = f", {width} times as wide" if width > 1 else ""

    def build(shape: Shape, options: Any) -> nn.Module:
        return network(shape, width)

    return Model(
        summary=f"Auto-tagging CNN with a musically motivated first layer of twelve filter shapes{wide}.",
        source="Pons and Serra 2017-2018, timbre CNNs, Table III",
        task="classification",
        input="audio",
        front=lambda shape, options: magnatagatune_front(shape.rate),
        features=(),
        build=build,
        options=NoOptions,
        batch_size=32,
        learning_rate=1e-3,
        max_epochs=100,
        patience=10,
        published={
            f"{wide.removeprefix(', ') or 'Proposed'}, 50 tags": (Shape(0, 50, samples=48_000, rate=16_000), count)
        },
    )
