"""The multi-resolution STFT loss as D'Hooghe 2022 prints it (equations 5.1 and 5.2): log magnitudes alone, and phases.

Frames overlap by 25 %, so the hop is three quarters of a window; `mrstft` has the usual hop of a quarter, and spectral
convergence instead of phases.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch

from timbre_data.models.evaluation.distances import Distance
from timbre_data.models.evaluation.distances.mrstft import FFT_SIZES
from timbre_data.schemas.arrays import Audio


@cache
def _loss() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from auraloss.freq import MultiResolutionSTFTLoss
    return MultiResolutionSTFTLoss(
        fft_sizes=list(FFT_SIZES),
        hop_sizes=[3 * size // 4 for size in FFT_SIZES],
        win_lengths=list(FFT_SIZES),
        w_sc=0.0,
        w_log_mag=1.0,
        w_phs=1.0,
    )


def _compute(made: Audio, target: Audio, rate: int) -> float:
    with torch.inference_mode():
        return float(_loss()(torch.from_numpy(made)[None, None], torch.from_numpy(target)[None, None]))


DISTANCE = Distance(
    summary="Multi-resolution STFT as D'Hooghe 2022 has it: log magnitudes and phases, frames a quarter over each other.",
    heading="MRSTFT, D'Hooghe",
    compute=_compute,
)
