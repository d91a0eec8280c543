"""Auto-tagging with small square filters only: the usual design that Pons et al. compare with, at equal parameters."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import magnatagatune_frontend, normed, timbre_model
from timbre_data.models.layers.shaped_filters import OverSpectrogram


def _body(shape: Shape, options: Any) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, pool in ((1, 32, (1, 4)), (32, 32, (4, 1)), (32, 64, (2, 2)), (64, 32, (2, 2))):
        layers += normed(before, after, bias=False, pool=pool)  # (frequency, time): the paper counts time first
    layers += [*normed(32, 16, bias=False), nn.Flatten(), nn.Linear(448, shape.outputs)]
    return OverSpectrogram(*layers)


MODEL = timbre_model(
    magnatagatune_frontend,
    _body,
    summary="Auto-tagging CNN with 3 x 3 filters throughout.",
    source="Pons et al. 2017, Table III",
    batch_size=32,
    counts_statistics=True,
    multi_label=True,
    standardised="band",
    published={
        "50 tags": (Shape(0, 50, samples=48_000, rate=16_000), 74_130),
        "51 outputs": (Shape(0, 51, samples=48_000, rate=16_000), 74_579),
    },
)
