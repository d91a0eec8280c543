"""The auto-tagging network of Pons et al. 2018, in its three widths."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.architectures._timbre import ShapedOptions, magnatagatune_frontend, shapes_of, timbre_model
from timbre_data.models.layers.shaped_filters import FilterShape, ShapedFilters

SHAPES = tuple(
    FilterShape(count, height, width)
    for height, counts in ((100, (10, 6, 3, 3)), (75, (15, 10, 5, 5)), (25, (15, 10, 5, 5)))
    for count, width in zip(counts, (1, 3, 5, 7), strict=True)
)
"""Filters of 100, 75 and 25 bands by 1, 3, 5 and 7 frames, pooled over all places in frequency: a timbre at any
pitch.
"""


class TaggingOptions(ShapedOptions):
    """The filter shapes of the first layer, and what helps a network of few sounds to learn: what is published beside
    what the network of small filters that it is compared with has.
    """

    dropout: float = Field(0.5, ge=0, lt=1, description="dropout of both dense layers; 0.5 as published")
    norm: bool = Field(
        False, description="batch norms after the convolutions, as the network of small filters has; not published"
    )


def model(width: int, count: int) -> Model:
    """The network for one width: 92 filters of 12 shapes times `width`, a convolution over 8 pooled frames, a dense
    layer of 100.
    """
    wide = f", {width} times as wide" if width > 1 else ""
    wider = tuple(FilterShape(s.count * width, s.height, s.width) for s in SHAPES)

    def body(shape: Shape, options: TaggingOptions) -> nn.Module:
        shapes = shapes_of(options, wider, 128, 187)
        return nn.Sequential(
            ShapedFilters(shapes, padding="time", pool=(0, 4), norm=options.norm),
            nn.Flatten(2),  # one row of frames a channel
            nn.Conv1d(sum(one.count for one in shapes), 32 * width, 8),
            *([nn.BatchNorm1d(32 * width)] if options.norm else []),
            nn.ELU(),
            nn.MaxPool1d(4),
            nn.Flatten(),
            nn.Dropout(options.dropout),
            nn.Linear(32 * width * 9, 100),
            nn.ELU(),
            nn.Dropout(options.dropout),
            nn.Linear(100, shape.outputs),
        )

    return timbre_model(
        magnatagatune_frontend,
        body,
        summary=f"Auto-tagging CNN with a musically motivated first layer of twelve filter shapes{wide}.",
        source="Pons et al. 2017, timbre CNNs, Table III",
        options=TaggingOptions,
        batch_size=32,
        multi_label=True,
        standardised="band",
        published={
            f"{wide.removeprefix(', ') or 'Proposed'}, 50 tags": (Shape(0, 50, samples=48_000, rate=16_000), count)
        },
    )
