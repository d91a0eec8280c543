"""The effect classifier of D'Hooghe 2022: 163 features, 100 sigmoid units, soft-max."""

from __future__ import annotations

from typing import cast

import torch
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Model, Shape
from timbre_data.schemas.base import Frozen


class ClassMlpOptions(Frozen):
    """Width of the hidden layer."""

    hidden: int = Field(100, ge=1, description="units per hidden layer")


class ClassMlp(nn.Module):
    """inputs -> hidden, sigmoid -> classes. Returns logits; the soft-max is in the loss (NLL) and in `predict`."""

    def __init__(self, inputs: int, classes: int, hidden: int = 100) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, hidden), nn.Sigmoid(), nn.Linear(hidden, classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features [shape=(n, inputs)] to logits [shape=(n, classes)]."""
        return cast(torch.Tensor, self.layers(features))


def _build(shape: Shape, options: ClassMlpOptions) -> nn.Module:
    return ClassMlp(shape.inputs, shape.outputs, options.hidden)


MODEL = Model(
    summary="Effect classifier: 163 features -> 100 sigmoid -> classes.",
    source="D'Hooghe 2022, PyTorch MLP",
    task="classification",
    features=("autofx163",),
    build=_build,
    options=ClassMlpOptions,
    batch_size=256,
    learning_rate=0.002,
    max_epochs=100,
    patience=10,
    published={
        "11 classes": (Shape(163, 11), 163 * 100 + 100 + 100 * 11 + 11),
        "6 classes": (Shape(163, 6), 163 * 100 + 100 + 100 * 6 + 6),
    },
)
