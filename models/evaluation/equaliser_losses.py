"""A learned transformation on sounds of any length, by overlap and add, and its losses over notes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder
from timbre_data.models.data.pairs import EDGE, OVERLAP, Pairs, added, hann, padded, to_frames

BLOCK = 128
"""Frames that go through the network together when sounds are processed."""
FIRST_STAGE = "first-stage.pt"
"""In a run: the autoencoder after the first stage."""
FLOOR = 1e-3
"""Added to magnitudes before they are normalized: 108 dB below a full-scale sine's. Without it frames of silence, of
which only rounding is left, decide the gradient.
"""
Compared = list[tuple[torch.Tensor, torch.Tensor]]
"""Outputs, and the frames that they should be."""


@dataclass(frozen=True)
class Losses:
    """The paper's loss and its parts, averaged over frames."""

    kl: float
    mse: float
    mae: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.kl + self.mse + self.mae


def validate(network: EqAutoencoder, pairs: Pairs, indices: NDArray[np.int64], stage: int, hop: int = HOP) -> Losses:
    """Losses over some notes: of mapping (stage 1), or of reconstructing inputs and targets (stage 0)."""

    def compared(before: torch.Tensor, after: torch.Tensor, index: int) -> Compared:
        if stage == 0:
            return [(network.reconstruct(before), before), (network.reconstruct(after), after)]
        return [(network(before, pairs.condition_of(index, len(before))), after)]

    return losses_over(pairs, indices, compared, hop)


@torch.inference_mode()
def losses_over(
    pairs: Pairs,
    indices: NDArray[np.int64],
    compared: Callable[[torch.Tensor, torch.Tensor, int], Compared],
    hop: int = HOP,
) -> Losses:
    """Losses over some notes, of what `compared` makes of their frames before and after the filter, a block at a time
    [shape=(n, 1024)], and of their place.
    """
    sums, count = np.zeros(3), 0
    for index in indices.tolist():
        before, after = (to_frames(sound, hop).split(BLOCK) for sound in pairs.sounds(index))
        for x, y in zip(before, after, strict=True):
            for output, target in compared(x, y, index):
                sums += len(target) * np.array([float(one) for one in frame_loss_parts(output, target)])
                count += len(target)
    return Losses(*(sums / count).tolist())


@torch.inference_mode()
def play(
    network: EqAutoencoder, sound: NDArray[np.float32], level_db: float, condition: torch.Tensor | None = None
) -> NDArray[np.float32]:
    """Send a sound of any length [shape=(samples,)] through a trained network at the level it was trained at, and back
    to the sound's own.
    """
    scale = np.float32(10 ** (level_db / 20)) / np.maximum(np.abs(sound).max(), np.float32(1e-9))
    around = padded(torch.from_numpy(sound * scale))
    out = torch.zeros_like(around)
    count = (len(around) - FRAME) // HOP + 1
    for first in range(0, count, BLOCK):
        here = slice(first * HOP, (min(first + BLOCK, count) - 1) * HOP + FRAME)
        frames = around[here].unfold(0, FRAME, HOP) * hann()
        given = None if condition is None else condition.expand(len(frames), -1)
        out[here] += added(network(frames, given))
    return np.asarray(out[EDGE : EDGE + len(sound)].numpy() / (np.float32(OVERLAP) * scale))


def frame_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The loss of Martinez Ramirez & Reiss 2018: the sum of `frame_loss_parts`."""
    kl, mse, mae = frame_loss_parts(output, target)
    return kl + mse + mae


def warped_places(bins: int, rate: int) -> torch.Tensor:
    """Places among the bins of a spectrum at equal steps of frequency as the ear has it, from 0 to bins - 1
    [shape=(bins,)]: the bilinear map of Smith & Abel 1999, which frequency-warped designs use (Haerma et al. 2000).
    """
    warping = 1.0674 * math.sqrt(2 / math.pi * math.atan(0.06583 * rate / 1000)) - 0.1916
    angle = torch.linspace(0, math.pi, bins, dtype=torch.float64)
    plain = angle - 2 * torch.atan2(warping * torch.sin(angle), 1 + warping * torch.cos(angle))
    return (plain / math.pi * (bins - 1)).clamp(0, bins - 1)


def warped_frame_loss(output: torch.Tensor, target: torch.Tensor, rate: int) -> torch.Tensor:
    """As `frame_loss`, its magnitudes read at `warped_places`: low frequencies, which are close together to the ear,
    weigh as much as high ones.
    """
    return sum(frame_loss_parts(output, target, warped_places(output.shape[1] // 2 + 1, rate)), torch.zeros(()))


def frame_loss_parts(
    output: torch.Tensor, target: torch.Tensor, places: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """KL divergence of magnitudes normalized to a sum of 1, mean square of magnitudes (FFT of 1,024), mean absolute
    waveform difference [both shape=(n, 1024)]; of magnitudes between the bins at `places`, where they are given.
    """
    ours, theirs = torch.fft.rfft(output).abs(), torch.fft.rfft(target).abs()
    if places is not None:
        below = places.floor().long().clamp(max=ours.shape[1] - 2).to(ours.device)
        share = (places.to(ours.device) - below).to(ours.dtype)
        ours, theirs = (one[:, below] + share * (one[:, below + 1] - one[:, below]) for one in (ours, theirs))
    p = (theirs + FLOOR) / (theirs + FLOOR).sum(dim=1, keepdim=True)
    q = (ours + FLOOR) / (ours + FLOOR).sum(dim=1, keepdim=True)
    kl = (p * torch.log(p / q)).sum(dim=1).mean()
    return kl, (ours - theirs).square().mean(), (output - target).abs().mean()
