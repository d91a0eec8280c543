"""Drawn noise and random numbers, each known by a number from 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUMBERS = 2**24
"""Different draws between 0 and 1."""
LOWEST_HZ = 50.0
"""Below this the spectrum of coloured noise is flat."""


def generator_of(seed: float, salt: int) -> np.random.Generator:
    """Random numbers from a number between 0 and 1; `salt` keeps those of different effects apart."""
    return np.random.default_rng([round(seed * NUMBERS), salt])


def noise_of(seed: float, channels: int, samples: int, rate: int, slope_db: float) -> NDArray[np.float64]:
    """Noise of RMS 1 whose spectrum falls by `slope_db` an octave above 50 Hz [shape=(channels, samples)]."""
    white = generator_of(seed, 0).standard_normal((channels, samples))
    hertz = np.fft.rfftfreq(samples, 1 / rate)
    octaves = np.log2(np.maximum(hertz, LOWEST_HZ) / LOWEST_HZ)
    coloured = np.fft.irfft(np.fft.rfft(white, axis=1) * 10 ** (slope_db * octaves / 20), samples, axis=1)
    noise: NDArray[np.float64] = coloured / max(float(np.sqrt((coloured**2).mean())), 1e-12)
    return noise
