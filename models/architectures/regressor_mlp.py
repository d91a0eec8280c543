"""The parameter regressors of D'Hooghe 2022: features (and class probabilities) to normalized effect parameters."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Model, Shape
from timbre_data.schemas.base import Frozen


class RegressorMlpOptions(Frozen):
    """Width and number of the hidden layers. The published first layer has no activation; `first_activation` adds
    one.
    """

    hidden: int = Field(100, ge=1, description="units per hidden layer")
    layers: int = Field(5, ge=1, description="number of hidden layers")
    first_activation: bool = Field(False, description="whether the first layer has an activation")


class RegressorMlp(nn.Module):
    """Five hidden layers of 100 (ReLU, the first linear), then sigmoid outputs, one per parameter."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conditioning: int = 0,
        hidden: int = 100,
        layers: int = 5,
        first_activation: bool = False,
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        stack: list[nn.Module] = [nn.Linear(inputs + conditioning, hidden)]
        if first_activation:
            stack.append(nn.ReLU())
        for _ in range(layers - 1):
            stack += [nn.Linear(hidden, hidden), nn.ReLU()]
        self.layers = nn.Sequential(*stack, nn.Linear(hidden, outputs))

    def forward(self, features: torch.Tensor, probabilities: torch.Tensor | None = None) -> torch.Tensor:
        """Map features [shape=(n, inputs)], with class probabilities [shape=(n, conditioning)], to [0, 1] [shape=(n,
        outputs)].
        """
        if probabilities is not None:
            features = torch.cat((features, probabilities), dim=1)
        return torch.sigmoid(self.layers(features))


def _build(shape: Shape, options: RegressorMlpOptions) -> nn.Module:
    return RegressorMlp(
        shape.inputs, shape.outputs, shape.conditioning, options.hidden, options.layers, options.first_activation
    )


MODEL = Model(
    summary="Parameter regressor: 163 or 211 features (and 6 class probabilities) -> 5 x 100 -> parameters.",
    source="D'Hooghe 2022, MLP regressors 163NC, 163C, 211C",
    task="regression",
    conditioned=True,
    features=("autofx163",),
    build=_build,
    options=RegressorMlpOptions,
    batch_size=64,
    learning_rate=0.001,
    max_epochs=100,
    patience=3,
    learning_rate_decay=0.5,  # ours: the paper names no schedule; without one the early stop catches noise, not the minimum
    published={
        "163NC": (Shape(163, 15), 58_315),
        "163C": (Shape(163, 15, 6), 58_915),
        "211C": (Shape(211, 15, 6), 63_715),
    },
)
