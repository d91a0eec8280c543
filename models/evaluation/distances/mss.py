"""Multi-scale spectral loss (Engel et al. 2020, DDSP, section 4.2.1): magnitudes and their logarithms at six FFT
sizes.
"""

from __future__ import annotations

from functools import cache

import torch

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio

FFT_SIZES = (2048, 1024, 512, 256, 128, 64)
FLOOR = 1e-5
"""Least magnitude whose logarithm is told from silence (DDSP's implementation)."""


@cache
def _window(size: int) -> torch.Tensor:
    return torch.hann_window(size)


def _compute(made: Audio, target: Audio, rate: int) -> float:
    total = 0.0
    with torch.inference_mode():
        pair = torch.stack([torch.from_numpy(made), torch.from_numpy(target)])
        for size in FFT_SIZES:
            spectrum = torch.stft(
                pair, size, size // 4, window=_window(size), center=True, pad_mode="constant", return_complex=True
            )
            first, second = spectrum.abs()
            logs = torch.log(spectrum.abs().clamp(min=FLOOR))
            total += float((first - second).abs().mean() + (logs[0] - logs[1]).abs().mean())
    return total


DISTANCE = Distance(
    summary="Multi-scale spectral loss of DDSP: mean absolute differences of magnitudes and of their logarithms.",
    heading="MSS",
    compute=_compute,
)
