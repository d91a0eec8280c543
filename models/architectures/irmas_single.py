"""Predominant instrument on IRMAS (Pons et al. 2017): one layer of six filter shapes and a soft-max."""

from __future__ import annotations

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import PooledOptions, irmas_frontend, shapes_of, timbre_model
from timbre_data.models.layers.shaped_filters import FilterShape, ShapedFilters

SHAPES = (
    *(FilterShape(count, 5, width) for count, width in ((128, 1), (64, 3), (32, 5))),
    *(FilterShape(count, 80, width) for count, width in ((128, 1), (64, 3), (32, 5))),
)


def _body(shape: Shape, options: PooledOptions) -> nn.Module:
    shapes = shapes_of(options, SHAPES, 96, 128)
    frames = 16 if options.pool == "text" else 32
    return nn.Sequential(
        ShapedFilters(shapes, padding="same", pool=(96, frames), norm=True),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(128 // frames * sum(one.count for one in shapes), shape.outputs),
    )


MODEL = timbre_model(
    irmas_frontend,
    _body,
    summary="Predominant instrument: one wide layer of six filter shapes.",
    source="Pons et al. 2017, timbre CNNs, Table II (Single-layer)",
    options=PooledOptions,
    batch_size=16,
    counts_statistics=True,
    l2_convolutions=1e-5,
    published={"11 instruments": (Shape(0, 11, samples=32_768, rate=12_000), 62_763)},
)
