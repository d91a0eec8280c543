"""Phonemes of jingju singing with small square filters only, at equal parameters (Pons et al. 2017)."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures._timbre import NoOptions, TimbreNetwork, jingju_front, normed
from timbre_data.models.kinds import Model, Shape


def _build(shape: Shape, options: Any) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, pool in ((1, 60, (2, 2)), (60, 84, (2, 1)), (84, 84, (2, 1)), (84, 84, (2, 1))):
        layers += [*normed(before, after), nn.MaxPool2d(pool)]
    layers += [*normed(84, 60), nn.Flatten(), nn.Linear(60, shape.outputs)]
    return TimbreNetwork(jingju_front(shape.rate, 21), nn.Sequential(*layers))


MODEL = Model(
    summary="Phonemes of singing: 3 x 3 filters throughout, over 21 frames of log-mel.",
    source="Pons et al. 2017, timbre CNNs, Table I (Small-rectangular)",
    task="classification",
    input="audio",
    front=lambda shape, options: jingju_front(shape.rate, 21),
    features=(),
    build=_build,
    options=NoOptions,
    batch_size=128,
    learning_rate=1e-3,
    max_epochs=100,
    patience=10,
    counts_statistics=True,
    published={"29 phonemes": (Shape(0, 29, samples=9261, rate=44_100), 221_897)},
)
