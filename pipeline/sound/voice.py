"""The kernels of the subtractive synthesiser: band-limited oscillators, noise, envelopes and the ladder filter."""

from __future__ import annotations

import bisect
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

WAVEFORMS = ("triangle", "shark", "saw", "square", "wide_pulse", "narrow_pulse", "reverse_saw")
DUTY = {"square": 0.5, "wide_pulse": 0.29, "narrow_pulse": 0.17}
CONTROL = 16
"""Samples between two computations of the filter's coefficient; it moves in a straight line between them."""
FALL = 6.907755  # ln 1000: a decay is over when a thousandth is left
EXACT = 48
_COUNTS = sorted({*range(1, EXACT), *(int(EXACT * 2 ** (j / 48)) for j in range(500))})


def harmonics(rate: int, frequency: float) -> int:
    """The number of harmonics of a tone below half the sampling rate: exact for few, within 2 % for many, never
    above.
    """
    return _COUNTS[max(bisect.bisect_right(_COUNTS, int(0.4999 * rate / frequency)) - 1, 0)]


@lru_cache(maxsize=512)
def wave_table(waveform: str, count: int) -> Audio:
    """One period of a waveform from its Fourier series, cut after `count` harmonics, with one sample of guard
    [shape=(size + 1,)].

    The table is at least 32 times finer than its highest harmonic (24 for the very lowest tones), so that reading it
    with straight lines keeps images 100 dB down.
    """
    size = int(np.clip(2 ** np.ceil(np.log2(32 * count)), 2048, 65536))
    k = np.arange(1, min(count, size // 2 - 1) + 1)
    saw, triangle = -1j / k, np.where(k % 2 == 1, 4 / (np.pi * k**2), 0.0) + 0j
    if waveform in DUTY:
        series = 2 * np.sin(np.pi * k * DUTY[waveform]) / k * np.exp(-1j * np.pi * k * DUTY[waveform])
    else:
        series = {"triangle": triangle, "saw": saw, "reverse_saw": -saw, "shark": 0.5 * (triangle + saw)}[waveform]
    spectrum = np.zeros(size // 2 + 1, complex)
    spectrum[1 : len(k) + 1] = series * size / np.pi
    table = np.fft.irfft(spectrum, size).astype(np.float32)
    return np.append(table, table[:1])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def add_oscillator(out: Audio, table: Audio, cycles: float, start: float, volume: float) -> None:
    """Add a tone of so many cycles a sample, from a phase in [0, 1), to `out` [shape=(samples,)]."""
    size, gain = np.float64(len(table) - 1), np.float32(volume)
    for n in range(len(out)):
        phase = start + n * cycles
        position = (phase - np.floor(phase)) * size
        i = int(position)
        between = np.float32(position - i)
        out[n] += gain * (table[i] + between * (table[i + 1] - table[i]))


@njit(cache=True, nogil=True)
def add_noise(out: Audio, seed: int, volume: float, pink: bool) -> None:
    """Add noise that depends on the seed alone, white (uniform) or pink (three poles, Kellet's economy filter), to
    `out`.
    """
    a = b = c = 0.0
    for n in range(len(out)):
        z = np.uint64(seed) + np.uint64(n + 1) * np.uint64(0x9E3779B97F4A7C15)  # SplitMix64
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        white = 2.0 * (np.float64(z >> np.uint64(11)) / 9007199254740992.0) - 1.0
        if pink:
            a = 0.99765 * a + white * 0.0990460
            b = 0.96300 * b + white * 0.2965164
            c = 0.57000 * c + white * 1.0526913
            white = 0.3 * (a + b + c + white * 0.1848)
        out[n] += np.float32(volume * white)


@njit(cache=True, nogil=True)
def envelope(out: Audio, rate: float, gate: float, adsr: NDArray[np.float64]) -> int:
    """Fill `out` with an envelope: straight attack, exponential decay to the sustain level, exponential release from
    `gate` (samples) on.

    Times are seconds until a thousandth is left. Returns after how many samples it is over (below -100 dB).
    """
    attack, sustain = max(adsr[0] * rate, 1.0), adsr[2]
    decay, release = np.exp(-FALL / max(adsr[1] * rate, 1.0)), np.exp(-FALL / max(adsr[3] * rate, 1.0))
    level = 0.0
    top, end = min(len(out), int(np.ceil(attack))), min(gate, float(len(out)))
    stop = int(end)
    for n in range(min(top, stop)):
        level = n / attack
        out[n] = level
    if stop > top:
        above = 1.0 - sustain
        for n in range(top, stop):
            level = sustain + above
            out[n] = level
            above *= decay
    for n in range(stop, len(out)):
        level *= release
        if level < 1e-5:
            out[n:] = 0.0
            return n
        out[n] = level
    return len(out)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def ladder(
    sound: Audio,
    contour: Audio,
    amplitude: Audio,
    out: Audio,
    rate: float,
    cutoff: float,
    octaves: float,
    resonance: float,
) -> None:
    """Four-pole low-pass (24 dB an octave) over `sound`, its cut-off raised by `octaves` times `contour`; adds the
    result times `amplitude` to `out`.

    Zero-delay feedback (topology-preserving transform, Zavalishin 2012, ch. 5); only the fed-back signal saturates, so
    that without resonance the filter is linear and adds no harmonics. It oscillates by itself from a feedback of 4 on
    (`resonance` about 0.95).
    """
    k = 4.2 * resonance
    s1 = s2 = s3 = s4 = 0.0
    highest, lowest = 0.45 * rate, 8.0
    frequency = min(max(cutoff * 2.0 ** (octaves * contour[0]), lowest), highest)
    warped = np.tan(np.pi * frequency / rate)
    g = warped / (1.0 + warped)
    for begin in range(0, len(sound), CONTROL):
        end = min(begin + CONTROL, len(sound))
        frequency = min(max(cutoff * 2.0 ** (octaves * contour[end - 1]), lowest), highest)
        warped = np.tan(np.pi * frequency / rate)
        step = (warped / (1.0 + warped) - g) / CONTROL
        for n in range(begin, end):
            h = 1.0 - g
            x = np.float64(sound[n])
            g2 = g * g
            g4 = g2 * g2
            fed = (g4 * x + h * (g * g2 * s1 + g2 * s2 + g * s3 + s4)) / (1.0 + k * g4)
            limited = min(max(fed, -3.0), 3.0)
            square = limited * limited
            x -= k * limited * (27.0 + square) / (27.0 + 9.0 * square)  # tanh within 2.5 %
            v = g * (x - s1)
            y = v + s1
            s1 = y + v
            v = g * (y - s2)
            y = v + s2
            s2 = y + v
            v = g * (y - s3)
            y = v + s3
            s3 = y + v
            v = g * (y - s4)
            y = v + s4
            s4 = y + v
            out[n] += np.float32(y) * amplitude[n]
            g += step
