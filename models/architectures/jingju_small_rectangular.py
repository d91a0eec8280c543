"""Phonemes of jingju singing with small square filters only, at equal parameters (Pons et al. 2017)."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import SungOptions, jingju_frontend, normed, timbre_model
from timbre_data.models.layers.shaped_filters import OverSpectrogram


def _body(shape: Shape, options: Any) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, pool in ((1, 60, (2, 2)), (60, 84, (2, 1)), (84, 84, (2, 1)), (84, 84, (2, 1))):
        layers += normed(before, after, pool=pool)
    layers += [*normed(84, 60), nn.Flatten(), nn.Linear(60, shape.outputs)]
    return OverSpectrogram(*layers)


MODEL = timbre_model(
    lambda rate, options: jingju_frontend(rate, 21, padded=options.padded),
    _body,
    summary="Phonemes of singing: 3 x 3 filters throughout, over 21 frames of log-mel.",
    source="Pons et al. 2017, timbre CNNs, Table I (Small-rectangular)",
    options=SungOptions,
    batch_size=128,
    context=21,
    standardised="cell",
    counts_statistics=True,
    published={"29 phonemes": (Shape(0, 29, samples=9261, rate=44_100), 221_897)},
)
