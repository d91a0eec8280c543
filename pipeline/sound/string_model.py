"""The plucked string as signal processing: loop design and sample loop, compiled.

The loop holds a delay of N samples, the loss filter H(z) = g (1 - a) / (1 - a z^-1), `DISPERSERS` first-order
all-passes A(z) = (c + z^-1) / (1 + c z^-1), and one more all-pass for the fraction of a sample. Its phase delay at f0
is rate / f0.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

DISPERSERS = 4
HIGH_HZ = 3500.0
"""The frequency at which the second decay time is set: partials up there die this much faster."""
HIGH_DECAY_RATIO = 0.055


@njit(cache=True, nogil=True)
def _allpass_delay(coefficient: float, omega: float) -> float:
    """Phase delay in samples of (c + z^-1) / (1 + c z^-1)."""
    return 1.0 - 2.0 / omega * math.atan2(coefficient * math.sin(omega), 1.0 + coefficient * math.cos(omega))


@njit(cache=True, nogil=True)
def _loss_delay(pole: float, omega: float) -> float:
    """Phase delay in samples of (1 - a) / (1 - a z^-1)."""
    return math.atan2(pole * math.sin(omega), 1.0 - pole * math.cos(omega)) / omega


@njit(cache=True, nogil=True)
def _loss_ratio(pole: float, low: float, high: float) -> float:
    """|H(high)| / |H(low)| of the loss filter."""
    return math.sqrt((1 - 2 * pole * math.cos(low) + pole * pole) / (1 - 2 * pole * math.cos(high) + pole * pole))


@njit(cache=True, nogil=True)
def loop_coefficients(f0_hz: float, rate: float, inharmonicity: float, decay_seconds: float) -> NDArray[np.float64]:
    """Design the loop of one string.

    Returns [delay in samples, loss gain, loss pole, disperser coefficient, tuning coefficient]. The loss filter meets
    the decay (seconds to -60 dB) at f0 and `HIGH_DECAY_RATIO` of it at `HIGH_HZ`; the dispersers put the partial
    nearest 2500 Hz where a stiff string has it, f_k = k f0 sqrt((1 + B k^2) / (1 + B)).
    """
    omega = 2 * math.pi * f0_hz / rate
    period = rate / f0_hz
    high = min(2 * math.pi * HIGH_HZ / rate, 0.9 * math.pi)
    gain_low = 10 ** (-3 / (f0_hz * decay_seconds))
    gain_high = 10 ** (-3 / (f0_hz * decay_seconds * HIGH_DECAY_RATIO))
    below, above = 0.0, 0.999
    for _ in range(50):
        pole = 0.5 * (below + above)
        if _loss_ratio(pole, omega, high) > gain_high / gain_low:
            below = pole
        else:
            above = pole
    gain = gain_low * math.sqrt(1 - 2 * pole * math.cos(omega) + pole * pole) / (1 - pole)

    partial = max(2.0, math.floor(min(2500.0, 0.4 * rate) / f0_hz))
    stretched = omega * partial * math.sqrt((1 + inharmonicity * partial**2) / (1 + inharmonicity))
    wanted = (period - 2 * math.pi * partial / stretched) + _loss_delay(pole, stretched) - _loss_delay(pole, omega)
    below, above = -0.95, 0.0
    for _ in range(50):
        disperser = 0.5 * (below + above)
        if DISPERSERS * (_allpass_delay(disperser, omega) - _allpass_delay(disperser, stretched)) > wanted:
            below = disperser
        else:
            above = disperser

    rest = period - _loss_delay(pole, omega) - DISPERSERS * _allpass_delay(disperser, omega)
    delay = math.floor(rest - 0.5)
    fraction = rest - delay
    tuning = math.sin((1 - fraction) * omega / 2) / math.sin((1 + fraction) * omega / 2)
    return np.array([delay, gain, pole, disperser, tuning])


@njit(cache=True, nogil=True)
def _noise(state: np.uint64) -> tuple[np.uint64, float]:
    """One step of xorshift64*: the next state and a number in [-1, 1)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state, ((state * np.uint64(2685821657736338717)) >> np.uint64(11)) / 4503599627370496.0 - 1.0


@njit(cache=True, nogil=True)
def pluck(
    samples: int,
    rate: float,
    f0_hz: float,
    loop: NDArray[np.float64],
    pick_position: float,
    coil_positions: NDArray[np.float64],
    brightness_hz: float,
    scrape: float,
    coil_hz: float,
    coil_q: float,
    level: float,
    hiss: float,
    seed: np.uint64,
) -> Audio:
    """Pluck the string once: float32 [shape=(samples,)], the attack within the first millisecond or two.

    Positions are fractions of the sounding length from the bridge; `level` is the peak, `hiss` the noise floor relative
    to it.
    """
    period = rate / f0_hz
    state = seed * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    for _ in range(8):
        state, _unused = _noise(state)

    # Excitation: a step of the string's velocity, smoothed by the pick or finger, with a burst of scrape noise
    force = np.zeros(samples, np.float64)
    attack = int(0.012 * rate) + 1
    smooth = math.exp(-2 * math.pi * brightness_hz / rate)
    leak = math.exp(-2 * math.pi * 90.0 / rate)
    first = second = velocity = 0.0
    for n in range(min(int(6 * attack), samples)):
        state, white = _noise(state)
        push = (1.0 if n == 0 else 0.0) + scrape * 0.25 * white * math.exp(-n / (0.0025 * rate))
        first = smooth * first + (1 - smooth) * push
        second = smooth * second + (1 - smooth) * first
        velocity = leak * velocity + second
        force[n] = velocity
    force_end = min(int(6 * attack), samples)

    delay, gain, pole, disperser, tuning = int(loop[0]), loop[1], loop[2], loop[3], loop[4]
    string = np.zeros(samples, np.float64)
    pick_delay = max(1.0, pick_position * period)
    pick_whole = int(pick_delay)
    pick_part = pick_delay - pick_whole
    loss = tuned_in = tuned = 0.0
    in0 = in1 = in2 = in3 = 0.0
    out0 = out1 = out2 = out3 = 0.0
    for n in range(samples):
        back = string[n - delay] if n >= delay else 0.0
        tuned = tuning * (back - tuned) + tuned_in
        tuned_in = back
        out0 = disperser * (tuned - out0) + in0
        in0 = tuned
        out1 = disperser * (out0 - out1) + in1
        in1 = out0
        out2 = disperser * (out1 - out2) + in2
        in2 = out1
        out3 = disperser * (out2 - out3) + in3
        in3 = out2
        loss = pole * loss + gain * (1 - pole) * out3
        push = 0.0
        if n < force_end + pick_whole + 1:
            push = force[n]
            if n >= pick_whole + 1:
                push -= (1 - pick_part) * force[n - pick_whole] + pick_part * force[n - pick_whole - 1]
        string[n] = loss + push

    # Pick-up: the comb of each coil's place, then the coil's resonant low-pass (bilinear transform, second order)
    out = np.zeros(samples, np.float32)
    warped = math.tan(math.pi * min(coil_hz, 0.45 * rate) / rate)
    norm = 1 / (1 + warped / coil_q + warped * warped)
    b0 = warped * warped * norm
    a1 = 2 * (warped * warped - 1) * norm
    a2 = (1 - warped / coil_q + warped * warped) * norm
    state1 = state2 = 0.0
    peak = 0.0
    count = len(coil_positions)
    for n in range(samples):
        sensed = 0.0
        for k in range(count):
            coil_delay = max(1.0, coil_positions[k] * period)
            whole = int(coil_delay)
            part = coil_delay - whole
            sensed += string[n]
            if n > whole:
                sensed -= (1 - part) * string[n - whole] + part * string[n - whole - 1]
        value = b0 * sensed + state1
        state1 = 2 * b0 * sensed - a1 * value + state2
        state2 = b0 * sensed - a2 * value
        out[n] = value
        peak = max(peak, abs(value))
    scale = level / peak
    for n in range(samples):
        state, white = _noise(state)
        out[n] = out[n] * scale + level * hiss * 1.7 * white
    return out
