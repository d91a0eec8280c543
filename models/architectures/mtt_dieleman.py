"""Auto-tagging after Dieleman and Schrauwen 2014: filters over all of the frequency axis, then over time."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import magnatagatune_frontend, timbre_model


def _body(shape: Shape, options: Any) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, (128, 8)),
        nn.ReLU(),
        nn.Flatten(2),
        nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 8),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Flatten(),
        nn.Linear(32 * 9, 100),
        nn.ReLU(),
        nn.Linear(100, shape.outputs),
    )


MODEL = timbre_model(
    magnatagatune_frontend,
    _body,
    summary="Auto-tagging CNN with filters as high as the spectrogram.",
    source="Dieleman and Schrauwen 2014, as compared in Pons et al. 2017, Table III",
    batch_size=32,
    multi_label=True,
    standardised="band",
    published={"50 tags": (Shape(0, 50, samples=48_000, rate=16_000), 74_974)},
)
