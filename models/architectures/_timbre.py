"""What the timbre CNNs share: a mel spectrogram, standardised by the training set, and a body that makes class scores of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from timbre_data.models.kinds import Model, Shape
from timbre_data.models.layers import MelFront, Standardise


class NoOptions(BaseModel):
    """Everything is as published."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TimbreNetwork(nn.Module):
    """Sounds to class scores."""

    def __init__(self, front: MelFront, body: nn.Module, *, each_band: bool = False, standardised: bool = True) -> None:
        super().__init__()
        self.front, self.body = front, body
        self.standardise = Standardise(front.shape[0], each=each_band)
        self._standardised = standardised

    def fit_front(self, spectrograms: torch.Tensor) -> None:
        """Take the standardisation from training spectrograms [shape=(n, bins, frames)]."""
        if self._standardised:
            self.standardise.fit(spectrograms)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `front` makes of them [shape=(n, bins, frames)], to scores [shape=(n, outputs)]."""
        x = audio if audio.dim() == 3 else self.front(audio)
        scores: torch.Tensor = self.body(self.standardise(x))
        return scores


def timbre_model(
    front: Callable[[int], MelFront],
    body: Callable[[Shape, Any], nn.Module],
    *,
    summary: str,
    source: str,
    published: Mapping[str, tuple[Shape, int]],
    each_band: bool = False,
    standardised: bool = True,
    **training: Any,
) -> Model:
    """A classifier of sounds: the spectrogram `front(rate)`, standardised as a whole or `each_band` by itself, and the network `body(shape, options)`."""

    def build(shape: Shape, options: Any) -> nn.Module:
        return TimbreNetwork(front(shape.rate), body(shape, options), each_band=each_band, standardised=standardised)

    usual: dict[str, Any] = {"options": NoOptions, "learning_rate": 1e-3, "max_epochs": 100, "patience": 10}
    return Model(
        summary=summary,
        source=source,
        task="classification",
        input="audio",
        features=(),
        front=lambda shape, options: front(shape.rate),
        build=build,
        published=published,
        **usual | training,
    )


def irmas_front(rate: int) -> MelFront:
    """96 mel bands, FFT 512, hop 256, dB, 128 frames: 2.7 s at the published 12 kHz."""
    return MelFront(rate=rate, n_fft=512, hop_length=256, n_mels=96, frames=128, scale="db")


def magnatagatune_front(rate: int) -> MelFront:
    """128 mel bands, FFT 512, hop 256, log10(10000 x + 1), 187 frames: 3 s at the published 16 kHz."""
    return MelFront(rate=rate, n_fft=512, hop_length=256, n_mels=128, frames=187, scale="log")


def jingju_front(rate: int, frames: int) -> MelFront:
    """80 mel bands, 25 ms frames every 10 ms, log(10000 x + 1), a context of so many frames."""
    return MelFront(
        rate=rate, n_fft=round(0.025 * rate), hop_length=round(0.01 * rate), n_mels=80, frames=frames, scale="log"
    )


def normed(before: int, after: int, *, bias: bool = True, padding: int = 0) -> list[nn.Module]:
    """A 3 x 3 convolution, batch norm and ELU."""
    return [nn.Conv2d(before, after, 3, padding=padding, bias=bias), nn.BatchNorm2d(after), nn.ELU()]
