"""Building blocks of the analogue_* effects: a second, independent generator of the IDMT-SMT classes.

pedalboard's effects are one generator; a classifier that learns only those may know JUCE rather than choruses. These
are built as the old circuits were: triangle oscillators, echo lines that darken and saturate, asymmetric clipping.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

Numbers = NDArray[np.float64]


def triangle(rate_hz: float, samples: int, rate: int, phase: float = 0.0) -> Numbers:
    """A triangle oscillator in [-1, 1] that begins at 0 and falls [shape=(samples,)]."""
    position = (rate_hz * np.arange(samples) / rate + phase + 0.25) % 1.0
    return 4 * np.abs(position - 0.5) - 1


def one_pole(cutoff_hz: float, rate: int) -> float:
    """Coefficient a of y += a (x - y), a low-pass of that cut-off."""
    return float(1 - np.exp(-2 * np.pi * min(cutoff_hz, 0.49 * rate) / rate))


@njit(cache=True, nogil=True)
def _delay(sound: Numbers, delays: Numbers, feedback: float, tone: float, saturate: bool, out: Numbers) -> None:
    longest = int(delays.max()) + 3
    line = np.zeros(longest)
    low = 0.0
    for n in range(len(sound)):
        back = n - delays[n] + longest * 4
        whole = int(np.floor(back))
        part = back - whole
        delayed = (1 - part) * line[whole % longest] + part * line[(whole + 1) % longest]
        low += tone * (delayed - low)
        fed = sound[n] + feedback * low
        line[n % longest] = np.tanh(fed) if saturate else fed
        out[n] = low


def delay_line(
    audio: Audio, delays: Numbers, *, feedback: float = 0.0, tone: float = 1.0, saturate: bool = False
) -> Numbers:
    """The wet sound of a delay line [shape=(channels, samples)].

    `delays` in samples at every moment, at least 2 [shape=(samples,)]; read between samples linearly; `tone` is the
    one-pole low-pass that every pass goes through (1 is none), `saturate` the tanh of the tape.
    """
    wet = np.zeros(audio.shape)
    for channel, sound in enumerate(audio.astype(np.float64)):
        _delay(sound, np.maximum(delays, 2.0), feedback, tone, saturate, wet[channel])
    return wet


@njit(cache=True, nogil=True)
def _low_pass(sound: Numbers, coefficient: float, out: Numbers) -> None:
    value = 0.0
    for n in range(len(sound)):
        value += coefficient * (sound[n] - value)
        out[n] = value


def low_pass(sound: Numbers, cutoff_hz: float, rate: int) -> Numbers:
    """One-pole low-pass [shape=(channels, samples)]."""
    out = np.empty(sound.shape)
    for channel in range(len(sound)):
        _low_pass(sound[channel], one_pole(cutoff_hz, rate), out[channel])
    return out


@njit(cache=True, nogil=True)
def _phase(sound: Numbers, coefficients: Numbers, stages: int, feedback: float, out: Numbers) -> None:
    states = np.zeros(stages)
    last = 0.0
    for n in range(len(sound)):
        value = sound[n] + feedback * last
        a = coefficients[n]
        for stage in range(stages):
            passed = a * value + states[stage]
            states[stage] = value - a * passed
            value = passed
        last = value
        out[n] = value


def phase_shift(audio: Audio, corners_hz: Numbers, rate: int, *, stages: int, feedback: float) -> Numbers:
    """First-order all-passes in a row, their corner moving [shape=(samples,)], with feedback around them
    [shape=(channels, samples)].
    """
    tangent = np.tan(np.pi * np.clip(corners_hz, 20, 0.45 * rate) / rate)
    wet = np.empty(audio.shape)
    for channel, sound in enumerate(audio.astype(np.float64)):
        _phase(sound, (tangent - 1) / (tangent + 1), stages, feedback, wet[channel])
    return wet


def blend(audio: Audio, wet: Numbers, mix: float) -> Audio:
    """(1 - mix) dry + mix wet."""
    return ((1 - mix) * audio + mix * wet).astype(np.float32)
