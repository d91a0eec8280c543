"""Predominant instrument on IRMAS (Pons et al. 2017): one layer of six filter shapes and a soft-max."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures._timbre import irmas_front, timbre_model
from timbre_data.models.kinds import Shape
from timbre_data.models.layers import FilterShape, ShapedFilters

SHAPES = (
    *(FilterShape(count, 5, width) for count, width in ((128, 1), (64, 3), (32, 5))),
    *(FilterShape(count, 80, width) for count, width in ((128, 1), (64, 3), (32, 5))),
)


def _body(shape: Shape, options: Any) -> nn.Module:
    return nn.Sequential(
        ShapedFilters(SHAPES, padding="same", pool=(96, 32), norm=True),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(448 * 4, shape.outputs),
    )


MODEL = timbre_model(
    irmas_front,
    _body,
    summary="Predominant instrument: one wide layer of six filter shapes.",
    source="Pons et al. 2017, timbre CNNs, Table II (Single-layer)",
    batch_size=16,
    counts_statistics=True,
    l2_convolutions=1e-5,
    published={"11 instruments": (Shape(0, 11, samples=32_768, rate=12_000), 62_763)},
)
