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
def stft_loss(hop: float, convergence: float, phase: float) -> Any:
    """auraloss's loss with a hop of that share of the window: log magnitudes, and the other two parts by weight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from auraloss.freq import MultiResolutionSTFTLoss
    with torch.inference_mode(False):  # whoever asks first, others may want a gradient
        return MultiResolutionSTFTLoss(
            fft_sizes=list(FFT_SIZES),
            hop_sizes=[int(hop * size) for size in FFT_SIZES],
            win_lengths=list(FFT_SIZES),
            w_sc=convergence,
            w_log_mag=1.0,
            w_phs=phase,
        )


def measured(loss: Any, made: Audio, target: Audio) -> float:
    """A loss of auraloss between two sounds [shape=(samples,) each], without a gradient."""
    with torch.inference_mode():
        return float(loss(torch.from_numpy(made)[None, None], torch.from_numpy(target)[None, None]))


DISTANCE = Distance(
    summary="Multi-resolution STFT: spectral convergence and log magnitude at six FFT sizes (auraloss).",
    heading="MRSTFT",
    compute=lambda made, target, rate: measured(stft_loss(0.25, 1.0, 0.0), made, target),
)
