"""A posterior of knobs given a sound, not a point: conditional flow matching behind a CNN.

Where two settings sound alike, a regression answers with their mean, which sounds like neither: oscillators that can
be exchanged, knobs that do nothing, a shelf's corner against its gain. This network draws settings that the sound may
have been made with, as often as they may have (`Flow`), and gives the regression's answer, too: what the flow is
conditioned on is the embedding of a `RegressorCnn`, which learns both at once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.architectures.regressor_cnn import RegressorCnn, RegressorCnnOptions, Scale, Spectrograms
from timbre_data.models.layers.flow import Flow, row_noise

VALIDATION_SEED = 1


class InverseFlowOptions(RegressorCnnOptions):
    """The spectrograms, the width of the network, and the flow."""

    scales: tuple[Scale, ...] = Field(
        (Scale(n_fft=2048, hop_length=690, n_mels=96),),
        min_length=1,
        max_length=6,
        description="spectrograms, from short windows to long ones",
    )
    flow_width: int = Field(128, ge=8, multiple_of=8, description="width of the flow's transformer")
    flow_layers: int = Field(3, ge=1, le=24, description="layers of the flow's transformer")
    flow_heads: int = Field(4, ge=1, le=32, description="attention heads of the flow's transformer")
    flow_points: int = Field(4, ge=1, description="points of the flow that are learned from each row at once")
    steps: int = Field(16, ge=1, description="steps from noise to knobs")


class InverseFlow(RegressorCnn):
    """Sounds to the logits of a `RegressorCnn`, followed by the embedding that draws are conditioned on."""

    def __init__(self, shape: Shape, options: InverseFlowOptions) -> None:
        super().__init__(shape, options)
        self.flow = Flow(
            self.knobs.positions,
            options.hidden,
            shape.interchangeable,
            width=options.flow_width,
            layers=options.flow_layers,
            heads=options.flow_heads,
        )
        self._points, self._steps, self._logits = options.flow_points, options.steps, self.heads.out_features

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map features [shape=(n, inputs)] and sounds [shape=(n, samples)], or their spectrograms [shape=(n, 1,
        cells)], to logits and the embedding [shape=(n, logits + hidden)]; with the dry sound as `RegressorCnn`.
        """
        embedding = self.embed(features, audio)
        return torch.cat([self.heads(embedding), embedding], dim=1).float()

    def recognise(self, output: torch.Tensor) -> torch.Tensor:
        """The probability of each effect [shape=(n, effects)]."""
        return super().recognise(output[:, : self._logits])

    def loss(
        self, output: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, identifiable: torch.Tensor
    ) -> torch.Tensor:
        """The loss of the regression, and of the flow over all knobs that apply: also of those that cannot be heard,
        which it learns to draw as they are drawn.
        """
        point = super().loss(output[:, : self._logits], labels, mask, identifiable)
        generator = None if self.training else torch.Generator().manual_seed(VALIDATION_SEED)
        return point + self.flow.loss(output[:, self._logits :], labels, mask, self._points, generator)

    def draw(self, output: torch.Tensor, rows: NDArray[np.int64], count: int, seed: int) -> torch.Tensor:
        """So many normalized knobs for each row of an output [shape=(n, count, outputs)], by the noise of its number
        among `rows` [shape=(n,)] and the seed.
        """
        condition = output[:, self._logits :].repeat_interleave(count, dim=0)
        noise = row_noise(self.flow, rows, count, seed)
        return self.flow.draw(condition, noise, self._steps).unflatten(0, (len(output), count))


MODEL = Model(
    summary="Draws of the settings that a sound may have been made with (conditional flow matching), and a point.",
    source="ours, after Lipman et al. 2023 (flow matching) and Hayes et al. 2025 (knobs that may be exchanged)",
    task="regression",
    input="audio",
    frontend=Spectrograms,
    varied=False,
    takes_dry=True,
    features=(),
    build=InverseFlow,
    options=InverseFlowOptions,
    batch_size=128,
    learning_rate=1e-3,
    learning_rate_decay=0.3,
    max_epochs=16,
    patience=6,
)
