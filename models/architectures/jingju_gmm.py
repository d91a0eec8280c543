"""Phonemes by Gaussian mixtures, one of 40 diagonal components a class, over 13 MFCCs with their first and second
differences (the comparison of Pons et al. 2017).
"""

from __future__ import annotations

import math
import warnings
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import SungOptions, TimbreNetwork, jingju_frontend, timbre_model
from timbre_data.models.layers.spectrogram import MelFrontend
from timbre_data.pipeline.sound.mel_bands import cosine_basis

COEFFICIENTS, CONTEXT = 13, 9
SLOPE = (-0.2, -0.1, 0.0, 0.1, 0.2)
"""Regression over five frames: a difference (as HTK and librosa have it, window 5)."""


class JingjuGmmOptions(SungOptions):
    """Components of each class's mixture."""

    components: int = Field(40, ge=1, description="components of each class's mixture")


class Cepstra(nn.Module):
    """Standardised windows of a mel spectrogram [shape=(n, 1, bands, 9)] to the middle frame's MFCCs and their
    differences [shape=(n, 39)].
    """

    basis: torch.Tensor
    slope: torch.Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.from_numpy(cosine_basis(bands, COEFFICIENTS).copy()), persistent=False)
        self.register_buffer("slope", torch.tensor(SLOPE), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Cosine transform of each frame, then the slope over five frames, once and twice; in double precision."""
        cepstra = torch.matmul(self.basis.double(), x[:, 0].double())
        first = (cepstra.unfold(2, 5, 1) * self.slope).sum(-1)
        second = (first * self.slope).sum(-1)
        return torch.cat((cepstra[:, :, 4], first[:, :, 2], second), dim=1)


class Mixtures(nn.Module):
    """Log-likelihoods [shape=(n, classes)] of vectors [shape=(n, d)] under a mixture of diagonal Gaussians for each
    class.
    """

    def __init__(self, classes: int, components: int, size: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(classes, components, size))
        self.log_deviations = nn.Parameter(torch.zeros(classes, components, size))
        self.log_weights = nn.Parameter(torch.full((classes, components), -math.log(components)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum over the components, class by class to spare memory; in double precision, as small differences of large
        distances decide.
        """
        x, per_class = x.double(), []
        for means, logs, weights in zip(self.means, self.log_deviations, self.log_weights, strict=True):
            distance = ((x[:, None] - means) * torch.exp(-logs)).square().sum(-1)
            constant = weights - logs.sum(-1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
            per_class.append(torch.logsumexp(constant - 0.5 * distance, dim=1))
        return torch.stack(per_class, dim=1).float()

    @torch.no_grad()
    def fit(self, x: NDArray[np.float32], classes: NDArray[np.int64], seed: int) -> None:
        """Expectation maximisation (scikit-learn) on each class's vectors; a class with few vectors gets fewer
        components, one with none is never likely.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        for number in range(len(self.means)):
            members = x[classes == number]
            self.log_weights[number] = -1e4
            if not len(members):
                continue
            if len(members) == 1:
                members = np.repeat(members, 2, axis=0)
            count = min(self.means.shape[1], max(1, len(members) // 10))
            mixture = GaussianMixture(count, covariance_type="diag", reg_covar=1e-3, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(members)
            self.means[number, :count] = torch.from_numpy(mixture.means_)
            self.log_deviations[number, :count] = torch.from_numpy(0.5 * np.log(mixture.covariances_))
            self.log_weights[number, :count] = torch.from_numpy(np.log(np.maximum(mixture.weights_, 1e-30)))


class JingjuGmm(TimbreNetwork):
    """Windows to log-likelihoods of the classes."""

    def __init__(self, frontend: MelFrontend, classes: int, components: int) -> None:
        super().__init__(
            frontend, nn.Sequential(Cepstra(frontend.shape[0]), Mixtures(classes, components, 3 * COEFFICIENTS))
        )

    def fit_classes(self, windows: list[torch.Tensor], classes: NDArray[np.int64], seed: int) -> None:
        """Fit the mixtures to windows [shape=(n, bands, 9) each part] of known classes."""
        cepstra, mixtures = cast(nn.Sequential, self.body)
        with torch.inference_mode():
            x = torch.cat([cepstra(self.standardise(part)) for part in windows]).float().numpy()
        cast(Mixtures, mixtures).fit(x, classes, seed)


def _build(shape: Shape, options: JingjuGmmOptions) -> nn.Module:
    front = jingju_frontend(shape.rate, CONTEXT, padded=options.padded)
    return JingjuGmm(front, shape.outputs, options.components)


MODEL = timbre_model(
    lambda rate, options: jingju_frontend(rate, CONTEXT, padded=options.padded),
    _build,
    whole=True,
    summary="Phonemes of singing: a mixture of 40 Gaussians for each class over MFCCs and their differences.",
    source="Pons et al. 2017, timbre CNNs, Table I (GMM)",
    options=JingjuGmmOptions,
    batch_size=128,
    context=CONTEXT,
    published={
        "29 x 40 components": (Shape(0, 29, samples=3969, rate=44_100), 29 * 40 * (39 + 39 + 1)),
    },
)
