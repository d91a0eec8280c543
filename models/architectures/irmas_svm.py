"""Predominant instrument by a support vector machine over a bag of frames: a stand-in for Bosch et al. 2012, whose own
features are others.

The radial kernel by random Fourier features (Rahimi and Recht 2007), the machine by its primal: squared hinge, one
against the rest.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.schemas.base import Frozen


class IrmasSvmOptions(Frozen):
    """The kernel exp(-gamma |x - y|^2) on standardized features (gamma 0 takes 1 over their number), how many random
    features approach it, and the weight of the margin.
    """

    gamma: float = Field(
        0.0, ge=0, description="width of the kernel exp(-gamma |x - y|^2); 0 takes 1 over the number of features"
    )
    directions: int = Field(2000, ge=1, description="number of random features")
    penalty: float = Field(1e-4, ge=0, description="weight of the squared weights")


class IrmasSvm(nn.Module):
    """Features [shape=(n, d)] to margins [shape=(n, classes)]."""

    directions: torch.Tensor
    phases: torch.Tensor

    def __init__(self, shape: Shape, options: IrmasSvmOptions) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        scale = math.sqrt(2 * (options.gamma or 1 / max(shape.inputs, 1)))
        self.register_buffer("directions", scale * torch.randn(shape.inputs, options.directions, generator=draw))
        self.register_buffer("phases", 2 * math.pi * torch.rand(options.directions, generator=draw))
        self.margins = nn.Linear(options.directions, shape.outputs)
        self._penalty = options.penalty

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Margins: above 0 speaks for a class."""
        lifted = torch.cos(features @ self.directions + self.phases) * math.sqrt(2 / len(self.phases))
        margins: torch.Tensor = self.margins(lifted)
        return margins

    def class_loss(self, margins: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Squared hinge over all classes [both shape=(n, classes)], or of the one right class [shape=(n,)], and the
        size of the weights.
        """
        if present.dim() == 1:
            present = F.one_hot(present, margins.shape[1])
        hinge = F.relu(1 - margins * (2 * present - 1)).square().mean()
        return hinge + self._penalty * self.margins.weight.square().sum()

    def decode(self, margins: torch.Tensor) -> torch.Tensor:
        """Margins as something like probabilities: a margin of 1 is 95 %."""
        return torch.sigmoid(3 * margins)


MODEL = Model(
    summary="Predominant instrument: a support vector machine over a bag of frames.",
    source="Ours, after Bosch et al. 2012 as compared in Pons et al. 2017, Table II",
    task="classification",
    features=("bag_of_frames",),
    build=IrmasSvm,
    options=IrmasSvmOptions,
    batch_size=128,
    learning_rate=0.01,
    max_epochs=60,
    patience=10,
    learning_rate_decay=0.5,
    multi_label=True,
)
