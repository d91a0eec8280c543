"""Phonemes of jingju singing (Pons et al. 2017): one wide layer of six filter shapes over 21 frames, pooled over all
time.
"""

from __future__ import annotations

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import (
    ShapedOptions,
    SungOptions,
    jingju_frontend,
    shapes_of,
    timbre_model,
)
from timbre_data.models.layers.shaped_filters import FilterShape, ShapedFilters

SHAPES = tuple(
    FilterShape(count, height, width) for height in (50, 70) for count, width in ((128, 1), (64, 5), (32, 10))
)


class JingjuOptions(SungOptions, ShapedOptions):
    """The filter shapes of the first layer, and how spectra are computed."""


def _body(shape: Shape, options: JingjuOptions) -> nn.Module:
    shapes = shapes_of(options, SHAPES, 79, 21)  # one place to shift to at least: pooling takes the larger of two
    outputs = sum(one.count * ((80 - one.height + 1) // 2) for one in shapes)
    return nn.Sequential(
        ShapedFilters(shapes, padding="valid", pool=(2, 0), dropout=0.3, flat=True), nn.Linear(outputs, shape.outputs)
    )


MODEL = timbre_model(
    lambda rate, options: jingju_frontend(rate, 21, padded=options.padded),
    _body,
    summary="Phonemes of singing: one wide layer of six filter shapes over 21 frames of log-mel.",
    source="Pons et al. 2017, timbre CNNs, Table I (Proposed)",
    options=JingjuOptions,
    batch_size=128,
    context=21,
    standardised="cell",
    l2_convolutions=1e-5,
    published={"29 phonemes": (Shape(0, 29, samples=9261, rate=44_100), 222_557)},
)
