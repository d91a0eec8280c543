"""The end-to-end equaliser of Martinez Ramirez & Reiss 2018: an adaptive front end, a latent network, and a back end
tied to the front.

Frames of 1,024 samples are filtered by 128 learned filters (their output is the residual R); |R| is smoothed channel by
channel, and the largest of every sixteen values is kept with its place: the latent representation, 128 x 64. The latent
network changes it, row by row and then all rows alike; the back end puts the values back to their places, multiplies by
R, and adds up the same filters again.

The paper does not say how the network begins. Here it begins as one that hardly changes a sound, which is a matter of
the places: no gradient reaches the choice of a place, so training does not mend a bad one. Where each band of a
short-time Fourier transform is kept at every sixteenth sample, overlap and add gives the sound back. The places follow
the smoothed magnitude: where that rises the last of sixteen is kept, where it falls the first, so they are evenly
spaced except at its extremes, close together at a maximum and far apart at a minimum. So (1) the smoothing begins as a
Hann window, which leaves few extremes, and (2) every band is there twice, once with a smoothing of negative sign: it is
sparse where the other is dense. The latent network begins with one constant for all values, which is a filter that lets
everything through.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.precise_places import precise_pool
from timbre_data.models.layers.sparse_filters import analyse, smooth_pool, synthesise
from timbre_data.schemas.base import Frozen

FRAME, HOP = 1024, 64
CHANNELS, TAPS, SMOOTHING, POOL = 128, 64, 128, 16
LATENT = FRAME // POOL
BANDS = CHANNELS // 4
"""At first: a cosine and a sine each, with a smoothing of either sign."""
OPEN, CLOSED = 0.69, -6.0
"""The constant that the latent network begins with, and (before the last soft-plus) where it is with rows of zero: -49
dB.
"""
ROW = 3.0
"""The constant of the rows."""
HIDDEN, WAVES = 256, 2
"""Units in both hidden layers of what turns settings into scales and shifts of the rows, and how many sines and cosines
it is given of each setting.
"""
FILTER_RATE, SMOOTHING_RATE, CONDITION_RATE, BACK_RATE = 0.1, 1e-3, 3.0, 0.3
"""Learning rates of the filters, of the smoothing (about as their weights are smaller), of the settings' layers, and of
filters of a back end of its own, as shares of the latent network's.
"""


class EqOptions(Frozen):
    """Training budget in iterations (the frames of `batch_size` notes each, of one in the paper), and the level at
    which notes are heard.

    At -10 dB a note filtered by the paper's +10 dB shelf just fills the scale, and the loss between input and target is
    near the published 1.21.
    """

    first_stage: int = Field(100, ge=0, description="iterations of reconstructing input and target")
    second_stage: int = Field(1200, ge=1, description="iterations of mapping input to target")
    level_db: float = Field(
        -10.0, le=0, description="level at which the network sees sounds, in dB relative to full scale"
    )
    validation_notes: int = Field(4, ge=1, description="number of notes to validate on")
    back_end: Literal["tied", "free"] = Field(
        "tied",
        description="tied: the filters of the back end are those of the front, as published; free: learned apart",
    )
    latent: Literal["dense", "recurrent"] = Field(
        "dense",
        description="latent network: dense, a layer for each row as published; recurrent, a GRU over the places of a frame (the paper's future work)",
    )
    warped_loss: bool = Field(
        False,
        description="train on magnitudes at frequencies that lie as far apart as the ear hears them; reported is the paper's loss all the same",
    )


def inverse_softplus(value: float) -> float:
    """The number whose soft-plus is `value`."""
    return math.log(math.expm1(value))


def filter_bank() -> torch.Tensor:
    """Cosines and sines of 32 frequencies, each twice, under half a sine [shape=(128, 64)]: kept at every 16th sample,
    scaled by `OPEN` and added up they give back what went in.
    """
    offset = torch.arange(TAPS) - (TAPS - 1) / 2
    cycles = (torch.arange(BANDS) + 0.5) / (2 * BANDS)
    angle = 2 * math.pi * cycles[:, None] * offset
    window = (math.pi * (torch.arange(TAPS) + 0.5) / TAPS).sin()
    bank = torch.stack((angle.cos(), angle.sin()) * 2, dim=1).reshape(CHANNELS, TAPS) * window
    energy = CHANNELS / 2 * float(window.square().sum()) / POOL
    return bank / math.sqrt(energy * OPEN)


def smoothing_bank() -> torch.Tensor:
    """Hann windows that sum to 1 or, every second pair, to -1 [shape=(128, 128)]."""
    window = torch.hann_window(SMOOTHING + 2, periodic=False)[1:-1]
    sign = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(BANDS)
    return sign[:, None] * window / window.sum()


class Conditioner(nn.Module):
    """Settings, from 0 to 1 each [shape=(n, c)], to a scale and a shift of each latent row [shape=(n, 256)]; at first
    zeros, so that every setting begins as the same.

    Each setting is also given as sines and cosines of half a period and of a whole one (Fourier features, Tancik et al.
    2020, with fixed frequencies): a perceptron is slow to learn the steep edge of a filter, which moves with one
    number.
    """

    def __init__(self, condition: int) -> None:
        super().__init__()
        last = nn.Linear(HIDDEN, 2 * CHANNELS)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        width = condition * (1 + 2 * WAVES)
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, HIDDEN), nn.ELU(), last)

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        """Scales and shifts, before any soft-plus."""
        angles = [math.pi * 2**k * condition for k in range(WAVES)]
        waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
        result: torch.Tensor = self.layers(torch.cat((condition, *waves), dim=1))
        return result


class EqAutoencoder(nn.Module):
    """Windowed frames [shape=(n, 1024)] to windowed frames; a condition [shape=(n, c)], if there is one, scales the
    latent rows.

    With a back end that is not tied, what goes out has filters of its own, which begin as the front end's: tied filters
    with positive weights between them can hardly turn a phase, and a target that does leaves an error in the waveform.
    """

    def __init__(
        self,
        condition: int = 0,
        back_end: Literal["tied", "free"] = "tied",
        latent: Literal["dense", "recurrent"] = "dense",
    ) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.empty(CHANNELS, TAPS))
        self.bias = nn.Parameter(torch.zeros(CHANNELS))
        self.smoothing = nn.Parameter(torch.empty(CHANNELS, SMOOTHING))
        self.smoothing_bias = nn.Parameter(torch.zeros(CHANNELS))
        self.latent = latent
        if latent == "recurrent":
            self.recurrent = nn.GRU(CHANNELS, CHANNELS, batch_first=True)
            self.gains = nn.Linear(CHANNELS, CHANNELS)
        else:
            self.rows = nn.Parameter(torch.empty(CHANNELS, LATENT, LATENT))
            self.rows_bias = nn.Parameter(torch.zeros(CHANNELS, LATENT))
            self.shared = nn.Linear(LATENT, LATENT)
        self.condition = Conditioner(condition) if condition else None
        self.precise = False
        """Whether places are those that every library finds (`precise_pool`): for sounds that are handed over."""
        with torch.no_grad():
            self.filters.copy_(filter_bank())
            self.smoothing.copy_(smoothing_bank())
            if latent == "recurrent":
                nn.init.normal_(self.gains.weight, 0, 1e-3)
                self.gains.bias.fill_(inverse_softplus(OPEN))
            else:
                nn.init.normal_(self.rows, 0, 1e-3)
                self.rows_bias.fill_(inverse_softplus(ROW))
                slope = (inverse_softplus(OPEN) - CLOSED) / ROW
                nn.init.normal_(self.shared.weight, 0, 1e-3)
                self.shared.weight += slope * torch.eye(LATENT)
                self.shared.bias.fill_(CLOSED)
        self.back_filters = nn.Parameter(self.filters.detach().clone()) if back_end == "free" else None

    def groups(self) -> list[dict[str, Any]]:
        """Parameters for an optimiser; `share` scales its learning rate for each group."""
        filters, smoothing = [self.filters, self.bias], [self.smoothing, self.smoothing_bias]
        condition = list(self.condition.parameters()) if self.condition is not None else []
        back = [self.back_filters] if self.back_filters is not None else []
        others = {id(one) for one in filters + smoothing + condition + back}
        latent = [one for one in self.parameters() if id(one) not in others]
        parameter_groups = [
            {"params": latent, "share": 1.0},
            {"params": filters, "share": FILTER_RATE},
            {"params": smoothing, "share": SMOOTHING_RATE},
            {"params": condition, "share": CONDITION_RATE},
            {"params": back, "share": BACK_RATE},
        ]
        return [group for group in parameter_groups if group["params"]]

    def for_inference(self) -> None:
        """Find places as `precise` says."""
        self.precise = True

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latent values, their places [shape=(n, 128, 64) both] and the residual [shape=(n, 128, 1024)]. The soft-plus
        comes after the pooling: it keeps order, so the same values are the largest.
        """
        residual = analyse(frames, self.filters, self.bias)
        if self.precise:
            weights = (self.filters, self.bias, self.smoothing, self.smoothing_bias)
            largest, positions = precise_pool(frames, weights, POOL)
        else:
            largest, positions = smooth_pool(residual, self.smoothing, self.smoothing_bias, POOL)
        return F.softplus(largest), positions, residual

    def transform(self, latent: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """The latent network: 128 dense layers 64 -> 64, a row each, then one for all rows, soft-plus after each; or a
        recurrent one, over the 64 places, and a dense layer for every place.
        """
        if self.latent == "recurrent":
            rows = self.recurrent(latent.transpose(1, 2))[0].transpose(1, 2)
        else:
            rows = F.softplus(torch.bmm(latent.transpose(0, 1), self.rows).transpose(0, 1) + self.rows_bias)
        if self.condition is not None:
            assert condition is not None
            scale, shift = self.condition(condition).chunk(2, dim=1)
            rows = F.softplus(scale[:, :, None] + inverse_softplus(1.0)) * rows + shift[:, :, None]
        if self.latent == "recurrent":
            gains: torch.Tensor = F.softplus(self.gains(rows.transpose(1, 2))).transpose(1, 2)
            return gains
        changed: torch.Tensor = F.softplus(self.shared(rows))
        return changed

    def rebuild(self, latent: torch.Tensor, positions: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Frames of latent values at their places, times the residual, through the filters of the back end."""
        values = latent * residual.gather(2, positions)
        filters = self.filters if self.back_filters is None else self.back_filters
        return synthesise(values, positions, filters, residual.shape[2])

    def reconstruct(self, frames: torch.Tensor) -> torch.Tensor:
        """The autoencoder alone, without the latent network (the first stage)."""
        return self.rebuild(*self.encode(frames))

    def forward(self, frames: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Map windowed frames to windowed frames."""
        latent, positions, residual = self.encode(frames)
        return self.rebuild(self.transform(latent, condition), positions, residual)


def _build(shape: Shape, options: EqOptions) -> nn.Module:
    return EqAutoencoder(shape.conditioning, options.back_end, options.latent)


MODEL = Model(
    summary="End-to-end equaliser: adaptive filters, a latent network, and the filters again.",
    source="Martinez Ramirez & Reiss 2018, end-to-end equalization, Table 2",
    task="transformation",
    features=(),
    input="audio",
    build=_build,
    options=EqOptions,
    batch_size=1,
    learning_rate=7e-4,
    max_epochs=1,
    patience=1,
    published={"with the latent network": (Shape(0, 0, samples=FRAME, rate=16_000), 561_472)},
)
