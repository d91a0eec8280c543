"""Effect parameters from sound, by a network of its own: several time scales, effects recognised and estimated
together.

What an effect does shows at different scales: the time between echoes and the speed of a modulation in spectrograms of
short windows, the corner of a shelf and the teeth of a comb in those of long ones. A network over one spectrogram has
to choose. This one takes three, each by convolutions of its own whose places are kept (no global pooling), and puts
what they found together in a dense layer, to which feature sets (such as the pitch of the dry note) may be added. Where
the dry sound is known, each spectrogram stands beside that of the dry sound: what is to be learned is the difference,
whatever was played.

Each parameter is a distribution over its range, as in `inverse_cnn`; each effect gets a probability, learned from
which parameters apply to a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.knob_heads import KnobHeads
from timbre_data.models.layers.log_mel import LogMel, at_full_scale
from timbre_data.models.layers.shaped_filters import channels_last
from timbre_data.schemas.base import Frozen

STAGES = 4
"""Times that the sides of a spectrogram are halved."""


class Scale(Frozen):
    """One spectrogram of a sound."""

    n_fft: int = Field(ge=64, le=65536, description="FFT length in samples")
    hop_length: int = Field(ge=16, description="hop between frames in samples")
    n_mels: int = Field(ge=16, le=512, description="number of mel bands")


class RegressorCnnOptions(Frozen):
    """The spectrograms and the width of the network."""

    scales: tuple[Scale, ...] = Field(
        (
            Scale(n_fft=512, hop_length=256, n_mels=64),
            Scale(n_fft=2048, hop_length=512, n_mels=128),
            Scale(n_fft=8192, hop_length=2048, n_mels=256),
        ),
        min_length=1,
        max_length=6,
        description="spectrograms, from short windows to long ones",
    )
    width: int = Field(32, ge=4, description="channels of the first convolution")
    hidden: int = Field(512, ge=8, description="units of the dense layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of units left out in training")
    unheard_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="weight of parameters that a row's sound does not show, beside those that it does",
    )
    recognise: bool = Field(True, description="tell which effects are there, too, where there are several")
    recognition_weight: float = Field(
        0.3, gt=0, description="weight of recognising beside estimating, where effects are told"
    )


class Spectrograms(nn.Module):
    """Sounds [shape=(n, samples)] to log-mel spectrograms of several scales, one after another [shape=(n, 1,
    cells)].
    """

    def __init__(self, shape: Shape, options: RegressorCnnOptions) -> None:
        super().__init__()
        scales = [LogMel(shape.rate, shape.samples, **one.model_dump()) for one in options.scales]
        self.scales = nn.ModuleList(scales)
        self.shapes = [scale.shape for scale in scales]

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms."""
        return torch.cat([scale(audio).flatten(1) for scale in self.scales], dim=1)[:, None]

    def apart(self, cells: torch.Tensor) -> list[torch.Tensor]:
        """What `forward` gives, for one sound or for a sound and its dry sound [shape=(n, 1 or 2, cells)], as
        spectrograms again [shape=(n, 1 or 2, bins, frames) each].
        """
        parts = cells.split([bins * frames for bins, frames in self.shapes], dim=2)
        return [part.unflatten(2, shape) for part, shape in zip(parts, self.shapes, strict=True)]


class Residual(nn.Module):
    """A convolution of stride 2, and one more around which there is a way past."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.halve = _halved(before, after, 3)
        self.more = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [shape=(n, before, bins, frames)] to half the bins and frames."""
        x = self.halve(x)
        return F.relu(x + self.more(x))


def _halved(before: int, after: int, size: int) -> nn.Sequential:
    """A convolution of stride 2, with batch norm."""
    convolution = nn.Conv2d(before, after, size, 2, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class RegressorCnn(nn.Module):
    """Sounds, and features where there are some, to logits of knobs, and of effects where these are told."""

    members: torch.Tensor

    def __init__(self, shape: Shape, options: RegressorCnnOptions) -> None:
        super().__init__()
        self.front = Spectrograms(shape, options)
        self._dry = shape.dry
        self.knobs = KnobHeads(shape.positions or (0,) * shape.outputs)
        effects = 1 + max(shape.groups, default=-1)
        self.recognises = effects if options.recognise and effects > 1 else 0
        self._weight, self._unheard_weight = options.recognition_weight, options.unheard_weight
        self.register_buffer("members", _members(shape.groups, self.recognises), persistent=False)
        w = options.width
        widths = (w, 2 * w, 3 * w, 4 * w)
        self.trunks = nn.ModuleList(
            nn.Sequential(_halved(1 + shape.dry, w, 5), *(Residual(*pair) for pair in pairwise(widths)))
            for _ in options.scales
        )
        cells = sum(-(-bins // 2**STAGES) * -(-frames // 2**STAGES) for bins, frames in self.front.shapes)
        self.hidden = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(widths[-1] * cells + shape.inputs, options.hidden),
            nn.ReLU(),
            nn.Dropout(options.dropout),
        )
        self.heads = nn.Linear(options.hidden, self.knobs.width + self.recognises)
        channels_last(self)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map features [shape=(n, inputs)] and sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n,
        1, cells)], to logits [shape=(n, sum of heads + effects)]. Where the dry sound is known, it follows each sound
        [shape=(n, 2 samples)], or its spectrograms [shape=(n, 2, cells)].
        """
        logits: torch.Tensor = self.heads(self.embed(features, audio))
        return logits.float()

    def embed(self, features: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """What the dense layer makes of a sound [shape=(n, hidden)]."""
        found = [trunk(x).flatten(1) for trunk, x in zip(self.trunks, self._spectrograms(audio), strict=True)]
        embedding: torch.Tensor = self.hidden(torch.cat([*found, features], dim=1))
        return embedding

    def style(self, features: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Mean and standard deviation of every channel after each halving of each spectrogram: what of a sound's
        texture does not depend on where it is (after Huang & Belongie 2017, section 4) [shape=(n, scales * 20 width)].
        """
        found = []
        for trunk, x in zip(cast("Iterable[nn.Sequential]", self.trunks), self._spectrograms(audio), strict=True):
            for layer in trunk:
                x = layer(x)
                found += [x.mean(dim=(2, 3)), x.flatten(2).std(dim=2, correction=0)]
        return torch.cat(found, dim=1)

    def _spectrograms(self, audio: torch.Tensor) -> list[torch.Tensor]:
        cells = audio if audio.dim() == 3 else self._cells(audio)
        return [x.contiguous(memory_format=torch.channels_last) for x in self.front.apart(cells.float())]

    def _cells(self, audio: torch.Tensor) -> torch.Tensor:
        """What the front end makes of sounds, each followed by its dry sound where that is known."""
        if not self._dry:
            cells: torch.Tensor = self.front(audio)
            return cells
        wet, dry = audio.chunk(2, dim=1)
        return torch.cat([self.front(wet), self.front(at_full_scale(dry))], dim=1)

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits into normalized values [shape=(n, outputs)]."""
        return self.knobs.decode(logits[:, : self.knobs.width])

    def recognise(self, logits: torch.Tensor) -> torch.Tensor:
        """The probability of each effect [shape=(n, effects)]."""
        return torch.sigmoid(logits[:, self.knobs.width :])

    def loss(
        self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, identifiable: torch.Tensor
    ) -> torch.Tensor:
        """Loss of the knobs that apply, and cross-entropy of the effects whose parameters apply.

        What cannot be heard is learned, too, with less weight: the best answer is its mean, and nearly so where a sound
        hardly shows it.
        """
        weights = mask * torch.where(identifiable, 1.0, self._unheard_weight)
        loss = self.knobs.loss(logits[:, : self.knobs.width], labels, weights)
        if not self.recognises:
            return loss
        there = (mask.float() @ self.members > 0).float()
        told = F.binary_cross_entropy_with_logits(logits[:, self.knobs.width :], there)
        return loss + self._weight * self.recognises * told


def _members(groups: tuple[int, ...], effects: int) -> torch.Tensor:
    """Which parameter belongs to which effect [shape=(parameters, effects)]."""
    return torch.eye(max(effects, 1))[list(groups)] if effects else torch.zeros(len(groups), 0)


MODEL = Model(
    summary="Effect parameters from log-mel spectrograms of several time scales; recognises the effects, too.",
    source="ours, after AutoFX (D'Hooghe 2022), with the output of CREPE (Kim et al. 2018)",
    task="regression",
    input="audio",
    frontend=Spectrograms,
    varied=False,
    takes_dry=True,
    features=(),
    build=RegressorCnn,
    options=RegressorCnnOptions,
    batch_size=128,
    learning_rate=1e-3,
    learning_rate_decay=0.3,
    max_epochs=12,
    patience=6,
)
