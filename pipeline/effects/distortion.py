"""Distortion of the AutoFX paper: tanh waveshaper, low shelf, high shelf (D'Hooghe 2022).

pedalboard's `Distortion`, `LowShelfFilter` and `HighShelfFilter` in a row, computed three to four times as fast:
NumPy's tanh is vectorised where the C library's is not, and both shelves run in one loop. A test holds it to
pedalboard's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.effect import ByRows, Effect
from timbre_data.pipeline.sound.biquad import filter_twice, shelves
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render_rows(sounds: Audio, rate: int, values: Mapping[str, NDArray[np.float64]], out: Audio) -> None:
    drive = np.array([10 ** (drive_db / 20) for drive_db in values["drive_db"].tolist()], np.float32)
    np.multiply(sounds, drive[:, None, None], out=out)
    np.tanh(out, out=out)
    filter_twice(out, shelves(rate, values, 1), shelves(rate, values, -1))


def _with_pedalboard(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    import pedalboard
    from pedalboard._pedalboard import Pedalboard  # the package does not export it to type checkers

    low, high = ([values[f"{side}_shelf_{name}"] for name in ("cutoff_hz", "gain_db", "q")] for side in ("low", "high"))
    shelves = [pedalboard.LowShelfFilter(*low), pedalboard.HighShelfFilter(*high)]
    return Pedalboard([pedalboard.Distortion(values["drive_db"]), *shelves])(audio, rate)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    unheard: set[str] = set()
    for name in ("low_shelf", "high_shelf"):
        if abs(values[f"{name}_gain_db"]) < 1e-6:
            unheard |= {f"{name}_cutoff_hz", f"{name}_q"}
    return unheard


EFFECT = Effect(
    summary="Waveshaper y = tanh(drive x), then a low and a high shelf: the distortion effect of the AutoFX paper.",
    family="distortion",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=0, high=60, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(
            name="low_shelf_cutoff_hz", low=50, high=500, unit="Hz", description="corner frequency of the low shelf"
        ),
        Parameter(
            name="low_shelf_gain_db", low=-10, high=10, unit="dB", kind="db", description="gain of the low shelf"
        ),
        Parameter(name="low_shelf_q", low=0.5, high=2, unit="1", description="quality factor of the low shelf"),
        Parameter(
            name="high_shelf_cutoff_hz", low=500, high=2000, unit="Hz", description="corner frequency of the high shelf"
        ),
        Parameter(
            name="high_shelf_gain_db", low=-10, high=10, unit="dB", kind="db", description="gain of the high shelf"
        ),
        Parameter(name="high_shelf_q", low=0.5, high=2, unit="1", description="quality factor of the high shelf"),
    ),
    render=ByRows(_render_rows),
    pedalboard=_with_pedalboard,
    unidentifiable=_unidentifiable,
)
