"""The base of the timbre CNNs: a mel spectrogram, standardised by the training set, and a body that computes class
scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.shaped_filters import FilterShape, channels_last
from timbre_data.models.layers.spectrogram import Frontend, MelFrontend
from timbre_data.models.layers.standardization import Standardise
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError

Scaling = Literal["no", "all", "band", "cell"]


class NoOptions(Frozen):
    """Everything is as published."""


class ShapedOptions(Frozen):
    """The filter shapes of the first layer; none are the published ones. `timbre-data design-filters` proposes some for
    a dataset.
    """

    shapes: tuple[FilterShape, ...] = Field((), description="[{count, height (bands), width (frames)}, ...]")


class SungOptions(Frozen):
    """How the spectrum of a frame of singing is computed."""

    padded: bool = Field(
        False,
        description="pad the window of 25 ms with zeros to the next power of two, 2048 samples at 44.1 kHz, as the paper does; without, its spectrum has the bins of the window alone",
    )


class PooledOptions(ShapedOptions):
    """The filter shapes of the first layer, and how what they find is pooled: as the published parameter counts say, or
    as the paper's text does.
    """

    pool: Literal["counts", "text"] = Field(
        "counts",
        description="pool of the first layer: counts, 32 frames (and 24 bands in Multi-layer), with which the printed numbers of parameters come out; text, 16 frames (and 12 bands) as printed",
    )


def shapes_of(
    options: ShapedOptions, published: tuple[FilterShape, ...], bands: int, frames: int
) -> tuple[FilterShape, ...]:
    """The shapes to use on spectrograms of such a size. Raises `UsageError` for one that does not fit."""
    for one in options.shapes:
        if not (one.count > 0 and 0 < one.height <= bands and 0 < one.width <= frames):
            raise UsageError(
                f"options.shapes: {one.count} filters of {one.height} x {one.width} do not fit a spectrogram of {bands} bands x {frames} frames."
            )
    return options.shapes or published


class TimbreNetwork(nn.Module):
    """Sounds to class scores."""

    def __init__(self, frontend: Frontend, body: nn.Module, standardised: Scaling = "all") -> None:
        super().__init__()
        self.front, self.body = frontend, body
        self.standardise = Standardise(frontend.shape, "all" if standardised == "no" else standardised)
        self._standardised = standardised != "no"

    def fit_front(self, spectrograms: Iterable[torch.Tensor]) -> None:
        """Take the standardisation from training spectrograms, given in parts [shape=(n, bins, frames) each]."""
        if self._standardised:
            self.standardise.fit(spectrograms)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n, bins, frames)], to scores
        [shape=(n, outputs)].
        """
        x = audio if audio.dim() == 3 else self.front(audio)
        scores: torch.Tensor = self.body(self.standardise(x))
        return scores


def timbre_model(
    frontend: Callable[[int, Any], Frontend],
    body: Callable[[Shape, Any], nn.Module],
    *,
    summary: str,
    source: str,
    published: Mapping[str, tuple[Shape, int]],
    standardised: Scaling = "all",
    whole: bool = False,
    **training: Any,
) -> Model:
    """A classifier of sounds, or of frames: the spectrogram `frontend(rate, options)`, standardised as a whole, each
    band or each cell by itself, and the network `body(shape, options)`: all behind the front, or with `whole` all of
    it.
    """

    def build(shape: Shape, options: Any) -> nn.Module:
        network = (
            body(shape, options)
            if whole
            else TimbreNetwork(frontend(shape.rate, options), body(shape, options), standardised)
        )
        return channels_last(network)

    usual: dict[str, Any] = {"options": NoOptions, "learning_rate": 1e-3, "max_epochs": 100, "patience": 10}
    return Model(
        summary=summary,
        source=source,
        task="classification",
        input="audio",
        features=(),
        frontend=lambda shape, options: frontend(shape.rate, options),
        build=build,
        published=published,
        **usual | training,
    )


def irmas_frontend(rate: int, options: Any = None) -> MelFrontend:
    """96 mel bands, FFT 512, hop 256, dB, 128 frames: 2.7 s at the published 12 kHz."""
    return MelFrontend(rate=rate, n_fft=512, hop_length=256, n_mels=96, frames=128, scale="db")


def magnatagatune_frontend(rate: int, options: Any = None) -> MelFrontend:
    """128 mel bands, FFT 512, hop 256, log10(10000 x + 1), 187 frames: 3 s at the published 16 kHz."""
    return MelFrontend(rate=rate, n_fft=512, hop_length=256, n_mels=128, frames=187, scale="log")


def jingju_frontend(rate: int, frames: int, *, padded: bool = False) -> MelFrontend:
    """80 mel bands up to 11 kHz, 25 ms frames every 10 ms, log(10000 x + 1), a context of so many frames; `padded`
    with zeros to the next power of two, 2048 samples at 44.1 kHz.
    """
    window = round(0.025 * rate)
    return MelFrontend(
        rate=rate,
        window=window,
        n_fft=2 ** (window - 1).bit_length() if padded else window,
        hop_length=round(0.01 * rate),
        n_mels=80,
        frames=frames,
        scale="log",
        highest_hz=11_000,
    )


def normed(
    before: int, after: int, *, bias: bool = True, padding: int = 0, pool: int | tuple[int, int] = 1
) -> list[nn.Module]:
    """A 3 x 3 convolution, batch norm, ELU and a pool of largest values, which gives the same before ELU and leaves it
    less to do.
    """
    convolution = nn.Conv2d(before, after, 3, padding=padding, bias=bias)
    return [convolution, nn.BatchNorm2d(after), *([] if pool == 1 else [nn.MaxPool2d(pool)]), nn.ELU()]
