"""Multi-resolution STFT distance: spectral convergence and log magnitude (Yamamoto et al. 2020), at the resolutions of
D'Hooghe 2022. Hop: a quarter of the window, as usual; `mrstft_dhooghe` is that paper's own.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio

FFT_SIZES = (64, 128, 256, 512, 1024, 2048)
"""Resolutions in D'Hooghe 2022; Hann."""


@cache
def _loss() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from auraloss.freq import MultiResolutionSTFTLoss
    return MultiResolutionSTFTLoss(
        fft_sizes=list(FFT_SIZES),
        hop_sizes=[size // 4 for size in FFT_SIZES],
        win_lengths=list(FFT_SIZES),
        w_sc=1.0,
        w_log_mag=1.0,
    )


def _compute(made: Audio, target: Audio, rate: int) -> float:
    with torch.inference_mode():
        return float(_loss()(torch.from_numpy(made)[None, None], torch.from_numpy(target)[None, None]))


DISTANCE = Distance(
    summary="Multi-resolution STFT: spectral convergence and log magnitude at six FFT sizes (auraloss).",
    heading="MRSTFT",
    compute=_compute,
)
