"""Delay lines, fixed and modulated, that give what pedalboard's do, bit for bit.

The phase of the modulated one's LFO is added up in float32 as there, and the sine is the C library's: computed in
float64 by polynomials for a quarter of the circle, and rounded. Without calls the compiler computes eight at a time.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

LEAST_MS, SWING_MS = 1.0, 20.0
"""The shortest delay, and by how much a full depth moves it from end to end."""
UNCHANGED = -1
"""In place of a delay: the sound is passed on."""
QUARTERS = float.fromhex("0x1.45F306DC9C883p-1")
"""Quarter circles in a radian."""
QUARTER = np.pi / 2
SINE = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))
COSINE = tuple(map(float.fromhex, ("-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16")))  # fmt: skip
"""Coefficients of x^3, x^5, x^7 and of x^2, x^4, x^6, x^8 for up to half a quarter (as in ARM's Optimized Routines)."""


@njit(cache=True, nogil=True)
def _delayed(dry: Audio, delay: int, feedback: np.float32, mix: np.float32, line: Audio, wet: Audio) -> None:
    samples = len(dry)
    dry_share = np.float32(1) - mix
    nothing = np.float32(0)
    for n in range(min(delay, samples)):
        line[n] = dry[n] + feedback * nothing
        wet[n] = dry[n] * dry_share + mix * nothing
    start = delay
    while start < samples:
        end = min(start + delay, samples)
        for n in range(start, end):
            echo = line[n - delay]
            line[n] = dry[n] + feedback * echo
            wet[n] = dry[n] * dry_share + mix * echo
        start = end


@njit(cache=True, nogil=True)
def delayed(sounds: Audio, delays: NDArray[np.int64], feedback: Audio, mix: Audio, out: Audio) -> None:
    """Each of the sounds [shape=(n, channels, samples)] and, by its `mix`, its echoes after so many samples each, every
    one `feedback` times the one before [shape=(n,) all], in `out`; or the sound `UNCHANGED`.

    Made in blocks of the length of the delay, in which no sample depends on another.
    """
    line = np.empty(sounds.shape[2], np.float32)
    for row in range(len(sounds)):
        for channel in range(sounds.shape[1]):
            if delays[row] == UNCHANGED:
                out[row, channel] = sounds[row, channel]
            else:
                _delayed(sounds[row, channel], delays[row], feedback[row], mix[row], line, out[row, channel])


@njit(cache=True, nogil=True)
def _sine(x: np.float32) -> np.float32:
    """Sine of a number between -pi and pi."""
    turn = np.floor(np.float64(x) * QUARTERS + 0.5)
    y = np.float64(x) - turn * QUARTER
    z = y * y
    sine = (y + y * z * SINE[0]) + (y * z * z) * (SINE[1] + z * SINE[2])
    cosine = ((1.0 + z * COSINE[0]) + (z * z) * COSINE[1]) + (z * z * z) * (COSINE[2] + z * COSINE[3])
    value = cosine if (turn == 1.0) | (turn == -1.0) else sine
    return np.float32(-value if (turn == 2.0) | (turn == -2.0) | (turn == -1.0) else value)


@njit(cache=True, nogil=True)
def chorus(sounds: Audio, rate: float, values: Audio, out: Audio) -> None:
    """A chorus on each of the sounds [shape=(n, channels, samples)], in `out`. The values of a row are the LFO's
    frequency in Hz, its depth, the centre in ms, feedback and mix [shape=(n, 5)].

    By `mix`, the sound is heard with what it was `centre` before, a time that the LFO moves by `depth` times half of
    `SWING_MS` to both sides; never less than `LEAST_MS`.
    """
    for row in range(len(sounds)):
        hertz, depth, centre_ms, feedback, mix = values[row]
        _chorus(sounds[row], rate, hertz, depth, centre_ms, feedback, mix, out[row])


@njit(cache=True, nogil=True)
def _chorus(
    audio: Audio,
    rate: float,
    hertz: np.float32,
    depth: np.float32,
    centre_ms: np.float32,
    feedback: np.float32,
    mix: np.float32,
    out: Audio,
) -> None:
    samples = audio.shape[1]
    swing, full, half = depth * np.float32(0.5), np.float32(2 * np.pi), np.float32(np.pi)
    step = full / np.float32(rate) * hertz
    angle = np.empty(samples, np.float32)
    phase = np.float32(0)
    for n in range(samples):
        angle[n] = phase - half
        phase += step
        while phase >= full:
            phase -= full
    silence = np.int32(np.ceil((SWING_MS * np.float64(swing) + np.float64(centre_ms) + 1.0) * rate / 1000)) + 2
    whole, part = np.empty(samples, np.int32), angle  # place in the line, and how far from there to the one before
    for n in range(samples):
        moved = np.float32(SWING_MS) * (_sine(angle[n]) * swing) + centre_ms
        moved = moved if moved > np.float32(LEAST_MS) else np.float32(LEAST_MS)
        delay = np.float32(np.float64(moved) * rate / 1000.0)
        delayed = np.int32(delay)
        part[n] = delay - np.float32(delayed)
        whole[n] = np.int32(silence) + np.int32(n) - delayed
    line = np.zeros(silence + samples, np.float32)
    dry_share = np.float32(1) - mix
    for channel in range(len(audio)):
        dry, wet, written = audio[channel], out[channel], line[silence:]
        fed_back = np.float32(0)
        for n in range(samples):
            written[n] = dry[n] - fed_back
            place = np.uint64(np.uint32(whole[n]))  # unsigned: no check for places from the end
            echo = line[place] + part[n] * (line[place - np.uint64(1)] - line[place])
            fed_back = echo * feedback
            wet[n] = dry[n] * dry_share + echo * mix
