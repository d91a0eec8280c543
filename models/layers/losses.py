"""Losses that several targets share."""

from __future__ import annotations

import torch

FLOOR = 1e-3
"""Added to magnitudes before they are normalized: 108 dB below a full-scale sine's. Without it frames of silence, of which only rounding is left, decide the gradient."""


def masked_mse(predicted: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the entries where the mask holds [shape=(n, p) all]."""
    squared = (predicted - labels).square() * mask
    return squared.sum() / mask.sum().clamp(min=1)


def frame_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The loss of Martinez Ramirez & Reiss 2018: the sum of `frame_loss_parts`."""
    kl, mse, mae = frame_loss_parts(output, target)
    return kl + mse + mae


def frame_loss_parts(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """KL divergence of magnitudes normalized to a sum of 1, mean square of magnitudes (FFT of 1,024), mean absolute waveform difference [both shape=(n, 1024)]."""
    ours, theirs = torch.fft.rfft(output).abs(), torch.fft.rfft(target).abs()
    p = (theirs + FLOOR) / (theirs + FLOOR).sum(dim=1, keepdim=True)
    q = (ours + FLOOR) / (ours + FLOOR).sum(dim=1, keepdim=True)
    kl = (p * torch.log(p / q)).sum(dim=1).mean()
    return kl, (ours - theirs).square().mean(), (output - target).abs().mean()
