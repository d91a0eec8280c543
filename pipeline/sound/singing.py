"""A singing voice as source and filter: glottal pulses and noise through five moving formants, compiled.

Klatt 1980 (the resonators in cascade), Klatt & Klatt 1990 (the KLGLOTT88 pulse: flow t^2 - t^3 while the glottis is
open).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

CONTROL_HZ = 1000
"""Controls are given so often, and move in straight lines between."""
FORMANTS = 5
LEAST_INTERNAL_RATE = 80_000
"""Pulses are made at a multiple of the rate that is at least this, so that what folds back is low."""
OPEN = 0.6
"""Share of a period in which the glottis is open."""


@dataclass(frozen=True)
class Controls:
    """The controls of the voice, every millisecond [shape=(t,) each, `formants` and `bandwidths` (t, 5)]: Hz, and
    linear amplitudes.
    """

    f0: NDArray[np.float64]
    voice: NDArray[np.float64]
    breath: NDArray[np.float64]
    hiss: NDArray[np.float64]
    hiss_hz: NDArray[np.float64]
    formants: NDArray[np.float64]
    bandwidths: NDArray[np.float64]


def sing(controls: Controls, rate: int, samples: int, rng: np.random.Generator, tilt_hz: float, jitter: float) -> Audio:
    """Make the sound of some controls [shape=(samples,)]: pulses softened above `tilt_hz`, each period off by `jitter`
    (relative) at random.
    """
    from scipy.signal import resample_poly

    times = -(-LEAST_INTERNAL_RATE // rate)
    inner = rate * times
    count = samples * times
    noise = rng.standard_normal(count).astype(np.float32)
    wobble = 1 + jitter * rng.standard_normal(int(count / inner * controls.f0.max()) + 64)
    out = _sing(
        controls.f0,
        controls.voice,
        controls.breath,
        controls.hiss,
        controls.hiss_hz,
        controls.formants,
        controls.bandwidths,
        noise,
        wobble,
        float(inner),
        tilt_hz,
    )
    return np.asarray(resample_poly(out, 1, times)[:samples], np.float32)


@njit(cache=True, nogil=True)
def _sing(
    f0: NDArray[np.float64],
    voice: NDArray[np.float64],
    breath: NDArray[np.float64],
    hiss: NDArray[np.float64],
    hiss_hz: NDArray[np.float64],
    formants: NDArray[np.float64],
    bandwidths: NDArray[np.float64],
    noise: NDArray[np.float32],
    wobble: NDArray[np.float64],
    rate: float,
    tilt_hz: float,
) -> NDArray[np.float32]:
    """The sample loop. Formants are set anew 1000 times a second, everything else moves with every sample."""
    count = len(noise)
    out = np.empty(count, np.float32)
    a, b, c = np.zeros(FORMANTS), np.zeros(FORMANTS), np.zeros(FORMANTS)
    one, two = np.zeros(FORMANTS), np.zeros(FORMANTS)
    hiss_b, hiss_c, hiss_gain = 0.0, 0.0, 0.0
    hiss_one, hiss_two, noise_one, noise_two = 0.0, 0.0, 0.0, 0.0
    phase, period, soft = 0.0, 0, 0.0
    keep = np.exp(-2 * np.pi * tilt_hz / rate)
    step = CONTROL_HZ / rate
    last = len(f0) - 1
    before = -1
    for n in range(count):
        position = n * step
        k = min(int(position), last - 1)
        between = min(position - k, 1.0)
        if k != before:
            before = k
            for j in range(FORMANTS):
                c[j] = -np.exp(-2 * np.pi * bandwidths[k, j] / rate)
                b[j] = 2 * np.exp(-np.pi * bandwidths[k, j] / rate) * np.cos(2 * np.pi * formants[k, j] / rate)
                a[j] = 1 - b[j] - c[j]
            wide = 0.4 * hiss_hz[k]
            hiss_c = -np.exp(-2 * np.pi * wide / rate)
            hiss_b = 2 * np.exp(-np.pi * wide / rate) * np.cos(2 * np.pi * hiss_hz[k] / rate)
            hiss_gain = 0.5 * (1 + hiss_c)
        frequency = f0[k] + between * (f0[k + 1] - f0[k])
        phase += frequency * wobble[period % len(wobble)] / rate
        if phase >= 1:
            phase -= 1
            period += 1
        pulse, open_ = 0.0, 0.2
        if phase < OPEN:
            t = phase / OPEN
            pulse = t * (2 - 3 * t)  # the derivative of the flow: lips radiate that
            open_ = 1.0
        soft = (1 - keep) * pulse + keep * soft
        loud = voice[k] + between * (voice[k + 1] - voice[k])
        air = breath[k] + between * (breath[k + 1] - breath[k])
        x = loud * soft + air * open_ * noise[n]
        for j in range(FORMANTS):
            x = a[j] * x + b[j] * one[j] + c[j] * two[j]
            two[j], one[j] = one[j], x
        rub = hiss[k] + between * (hiss[k + 1] - hiss[k])
        y = hiss_gain * (noise[n] - noise_two) + hiss_b * hiss_one + hiss_c * hiss_two
        noise_two, noise_one = noise_one, noise[n]
        hiss_two, hiss_one = hiss_one, y
        out[n] = x + rub * y
    return out
