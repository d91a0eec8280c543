"""Distortion of the AutoFX paper: tanh waveshaper, low shelf, high shelf (D'Hooghe 2022).

pedalboard's `Distortion`, `LowShelfFilter` and `HighShelfFilter` in a row, computed three to four times as fast: NumPy's
tanh is vectorised where the C library's is not, and both shelves run in one loop. A test holds it to pedalboard's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.pipeline.kinds import Audio, Effect
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _shelf(rate: int, values: Mapping[str, float], side: int) -> NDArray[np.float64]:
    """b0 b1 b2 a1 a2 of a shelf (Bristow-Johnson, Audio EQ Cookbook); `side` is 1 for the low shelf, -1 for the high one."""
    name = "low_shelf" if side == 1 else "high_shelf"
    a, w = 10 ** (values[f"{name}_gain_db"] / 40), 2 * np.pi * values[f"{name}_cutoff_hz"] / rate
    c, s = side * np.cos(w), np.sin(w) * np.sqrt(a) / values[f"{name}_q"]
    plus, minus = a + 1 + (a - 1) * c, a + 1 - (a - 1) * c
    b = (a * (minus + s), side * 2 * a * (a - 1 - (a + 1) * c), a * (minus - s))
    return np.array([*b, side * -2 * (a - 1 + (a + 1) * c), plus - s]) / (plus + s)


@njit(cache=True, nogil=True)
def _filter_twice(sound: Audio, first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    """Two biquads in a row, in place: transposed direct form II, state in float64."""
    b0, b1, b2, a1, a2 = first
    d0, d1, d2, c1, c2 = second
    for channel in range(len(sound)):
        s1 = s2 = t1 = t2 = 0.0
        for n in range(sound.shape[1]):
            x = np.float64(sound[channel, n])
            y = b0 * x + s1
            s1 = b1 * x - a1 * y + s2
            s2 = b2 * x - a2 * y
            z = d0 * y + t1
            t1 = d1 * y - c1 * z + t2
            t2 = d2 * y - c2 * z
            sound[channel, n] = z


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    sound = audio * np.float32(10 ** (values["drive_db"] / 20))
    np.tanh(sound, out=sound)
    _filter_twice(sound, _shelf(rate, values, 1), _shelf(rate, values, -1))
    return sound


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    unheard: set[str] = set()
    for shelf in ("low_shelf", "high_shelf"):
        if abs(values[f"{shelf}_gain_db"]) < 1e-6:
            unheard |= {f"{shelf}_cutoff_hz", f"{shelf}_q"}
    return unheard


EFFECT = Effect(
    summary="Waveshaper y = tanh(drive x), then a low and a high shelf: the distortion effect of the AutoFX paper.",
    family="distortion",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=0, high=60, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(name="low_shelf_cutoff_hz", low=50, high=500, unit="Hz"),
        Parameter(name="low_shelf_gain_db", low=-10, high=10, unit="dB", kind="db"),
        Parameter(name="low_shelf_q", low=0.5, high=2),
        Parameter(name="high_shelf_cutoff_hz", low=500, high=2000, unit="Hz"),
        Parameter(name="high_shelf_gain_db", low=-10, high=10, unit="dB", kind="db"),
        Parameter(name="high_shelf_q", low=0.5, high=2),
    ),
    render=_render,
    unidentifiable=_unidentifiable,
)
