"""Numbers of each frame of a spectrogram over time, and what sums them up: the kernels of the feature sets."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.pipeline.sound.short_time import Spectrum
from timbre_data.pipeline.sound.statistics import functionals
from timbre_data.schemas.arrays import Audio

ROLLOFF = 0.95
"""Share of a frame's energy that lies below its roll-off frequency."""
POWER_FLOOR = 1e-10


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def frame_series(magnitudes: Audio, rate: float, out: NDArray[np.float64]) -> None:
    """The eight series [shape=(8, frames)] of a magnitude spectrogram [shape=(frames, bins)]."""
    frames, bins = magnitudes.shape
    step = 0.5 * rate / (bins - 1)
    f_mean = 0.25 * rate
    f_variance = step * step * (bins * bins - 1) / 12.0
    for t in range(frames):
        row = magnitudes[t]
        total = weighted = energy = flux = 0.0
        for k in range(bins):
            value = np.float64(row[k])
            total += value
            weighted += k * value
            energy += value * value
        if t > 0:
            before = magnitudes[t - 1]
            for k in range(bins):
                flux += abs(row[k] - before[k])
        logarithm = 0.0
        k = 0
        while k < bins:  # one logarithm for sixteen bins
            product = 1.0
            for j in range(k, min(k + 16, bins)):
                product *= max(np.float64(row[j]), 1e-10)
            logarithm += np.log(product)
            k += 16
        inverse = 1.0 / total if total > 0 else 0.0
        centre = weighted * inverse
        second = third = fourth = 0.0
        for k in range(bins):
            d = k - centre
            a = row[k] * inverse
            second += d * d * a
            third += d * d * d * a
            fourth += d * d * d * d * a
        rolled, reached = 0.0, -1
        for start in range(0, bins, 32):  # runs of bins below the roll-off are added at once
            part = 0.0
            for value in row[start : start + 32]:
                part += np.float64(value) * np.float64(value)
            if rolled + part < ROLLOFF * energy:
                rolled += part
                continue
            for k in range(start, min(start + 32, bins)):
                rolled += np.float64(row[k]) * np.float64(row[k])
                if rolled >= ROLLOFF * energy:
                    reached = k
                    break
            if reached >= 0:
                break
        mean = total / bins
        out[0, t] = centre * step
        out[1, t] = second * step**2
        out[2, t] = third * step**3
        out[3, t] = fourth * step**4
        out[4, t] = (weighted * step / bins - f_mean * mean) / f_variance
        out[5, t] = max(reached, 0) * step
        out[6, t] = flux
        out[7, t] = np.exp(logarithm / bins) / max(mean, 1e-10)


@njit(cache=True, nogil=True)
def summarise_163(series: NDArray[np.float64], mfcc: Audio, f0_hz: float, out: NDArray[np.float64]) -> None:
    """All 164 numbers of one sound, in the order of `autofx163`'s names."""
    count = series.shape[0]
    for s in range(count):
        functionals(series[s], out[s * 6 : s * 6 + 6])
        functionals(np.diff(series[s]), out[(count + s) * 6 : (count + s) * 6 + 6])
        for k in range(6):
            out[(2 * count + s) * 6 + k] = out[s * 6 + k] / f0_hz if k < 4 else out[s * 6 + k]
    for c in range(mfcc.shape[1]):
        total, high = 0.0, mfcc[0, c]
        for t in range(mfcc.shape[0]):
            total += mfcc[t, c]
            high = max(high, mfcc[t, c])
        out[18 * count + 2 * c] = total / mfcc.shape[0]
        out[18 * count + 2 * c + 1] = high


@njit(cache=True, nogil=True)
def strongest_phase(spectrum: Spectrum, magnitudes: Audio, first: int, stop: int) -> NDArray[np.float64]:
    """Unwrapped phase, over the frames, of the bin with the most magnitude in all, less its regression line."""
    frames = spectrum.shape[0]
    best, loudest = first, -1.0
    for k in range(first, stop):
        total = 0.0
        for t in range(frames):
            total += magnitudes[t, k]
        if total > loudest:
            best, loudest = k, total
    phase = np.empty(frames)
    for t in range(frames):
        phase[t] = np.arctan2(spectrum[t, best].imag, spectrum[t, best].real)
    for t in range(1, frames):
        step = phase[t] - phase[t - 1]
        phase[t] -= 2 * np.pi * np.round(step / (2 * np.pi))
    middle, mean = (frames - 1) / 2, phase.mean()
    slope = spread = 0.0
    for t in range(frames):
        slope += (t - middle) * (phase[t] - mean)
        spread += (t - middle) ** 2
    for t in range(frames):
        phase[t] -= mean + (slope / spread * (t - middle) if spread > 0 else 0.0)
    return phase


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def power_db(spectrum: Spectrum, out: Audio) -> None:
    """10 log10 |X|^2, floored, transposed to [shape=(bins, frames)]."""
    for t in range(spectrum.shape[0]):
        for k in range(spectrum.shape[1]):
            value = spectrum[t, k]
            power = value.real * value.real + value.imag * value.imag
            out[k, t] = np.float32(10.0) * np.log10(max(power, np.float32(POWER_FLOOR)))
