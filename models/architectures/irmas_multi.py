"""Predominant instrument on IRMAS (Pons et al. 2017): the layer of six filter shapes, two 3 x 3 convolutions and a
dense layer.
"""

from __future__ import annotations

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import PooledOptions, irmas_frontend, normed, shapes_of, timbre_model
from timbre_data.models.architectures.irmas_single import SHAPES
from timbre_data.models.layers.shaped_filters import ShapedFilters


def _body(shape: Shape, options: PooledOptions) -> nn.Module:
    shapes = shapes_of(options, SHAPES, 96, 128)
    pool, left = ((12, 16), 4) if options.pool == "text" else ((24, 32), 1)
    return nn.Sequential(
        ShapedFilters(shapes, padding="same", pool=pool, norm=True),
        nn.Dropout(0.25),
        *normed(sum(one.count for one in shapes), 128, padding=1, pool=2),
        nn.Dropout(0.25),
        *normed(128, 128, padding=1, pool=2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(128 * left, 256),
        nn.ELU(),
        nn.Dropout(0.5),
        nn.Linear(256, shape.outputs),
    )


MODEL = timbre_model(
    irmas_frontend,
    _body,
    summary="Predominant instrument: a wide layer of six filter shapes under a deeper network.",
    source="Pons et al. 2017, timbre CNNs, Table II (Multi-layer)",
    options=PooledOptions,
    batch_size=16,
    counts_statistics=True,
    l2_convolutions=1e-5,
    published={"11 instruments": (Shape(0, 11, samples=32_768, rate=12_000), 743_723)},
)
