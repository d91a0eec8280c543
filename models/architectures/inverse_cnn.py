"""An inverse synthesiser that works: log-mel in, positions as classes, other knobs as distributions over their range.

Where the published network (`inverse_synth`) gives the middle of each range, this one
- sees a log-mel spectrogram at the sound's own level, and where things happen in it: a plain strided CNN without global
pooling;
- treats range, waveform and other positions as classes (a regression puts a saw between a triangle and a pulse);
- predicts every other knob as a distribution over 32 bins and answers with its mean, as is done for pitch (Kim et al.
2018, CREPE) and
  synth parameters (Yee-King et al. 2018; Barkan et al. 2019, InverSynth): two patches that sound alike then do not pull
  the weights apart;
- learns from knobs that can be heard only.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.knob_heads import KnobHeads
from timbre_data.models.layers.log_mel import LogMel
from timbre_data.models.layers.shaped_filters import channels_last
from timbre_data.schemas.base import Frozen


class InverseCnnOptions(Frozen):
    """The spectrogram and the width of the network."""

    n_fft: int = Field(2048, ge=64, description="FFT length in samples")
    hop_length: int = Field(690, ge=16, description="hop between frames in samples")
    n_mels: int = Field(96, ge=16, description="number of mel bands")
    width: int = Field(32, ge=4, description="channels of the first convolution")
    hidden: int = Field(512, ge=8, description="units of the dense layer")


class InverseCnn(nn.Module):
    """Sounds to one group of logits a knob: its positions, or bins of its range."""

    def __init__(self, shape: Shape, options: InverseCnnOptions) -> None:
        super().__init__()
        self.front = _front(shape, options)
        self.knobs = KnobHeads(shape.positions or (0,) * shape.outputs)
        w = options.width
        convolutions: list[nn.Module] = []
        for before, after, size in ((1, w, 5), (w, 2 * w, 3), (2 * w, 3 * w, 3), (3 * w, 4 * w, 3)):
            convolutions += [nn.Conv2d(before, after, size, 2, size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        bins, frames = (-(-size // 16) for size in self.front.shape)
        self.hidden = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(4 * w * bins * frames, options.hidden), nn.ReLU(), nn.Dropout(0.1)
        )
        self.heads = nn.Linear(options.hidden, self.knobs.width)
        channels_last(self)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n, bins, frames)], to logits
        [shape=(n, sum of heads)].
        """
        x = audio if audio.dim() == 3 else self.front(audio)
        x = x.float()[:, None].contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.heads(self.hidden(self.convolutions(x).flatten(1)))
        return logits.float()

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits into normalized values [shape=(n, outputs)]."""
        return self.knobs.decode(logits)

    def loss(
        self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, identifiable: torch.Tensor
    ) -> torch.Tensor:
        """Mean cross-entropy over the parameters that apply to a row and are identifiable."""
        return self.knobs.loss(logits, labels, (mask & identifiable).float())


def _front(shape: Shape, options: InverseCnnOptions) -> LogMel:
    return LogMel(shape.rate, shape.samples, n_fft=options.n_fft, hop_length=options.hop_length, n_mels=options.n_mels)


def _build(shape: Shape, options: InverseCnnOptions) -> nn.Module:
    return InverseCnn(shape, options)


MODEL = Model(
    summary="Inverse synthesiser that works: log-mel, positions as classes, other knobs as distributions over their range.",
    source="ours, after InverSynth (Barkan et al. 2019) and the output of CREPE (Kim et al. 2018)",
    task="regression",
    input="audio",
    frontend=_front,
    features=(),
    build=_build,
    options=InverseCnnOptions,
    batch_size=128,
    learning_rate=1e-3,
    learning_rate_decay=0.3,
    max_epochs=30,
    patience=6,
)
