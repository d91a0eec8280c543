"""The multi-resolution STFT loss as D'Hooghe 2022 prints it (equations 5.1 and 5.2): log magnitudes alone, and phases.

Frames overlap by 25 %, so the hop is three quarters of a window; `mrstft` has the usual hop of a quarter, and spectral
convergence instead of phases.
"""

from __future__ import annotations

from timbre_data.models.evaluation.distances import Distance
from timbre_data.models.evaluation.distances.mrstft import measured, stft_loss

DISTANCE = Distance(
    summary="Multi-resolution STFT as D'Hooghe 2022 has it: log magnitudes and phases, frames a quarter over each other.",
    heading="MRSTFT, D'Hooghe",
    compute=lambda made, target, rate: measured(stft_loss(0.75, 0.0, 1.0), made, target),
)
