"""Distortion of the AutoFX paper: tanh waveshaper, low shelf, high shelf (D'Hooghe 2022).

pedalboard's `Distortion`, `LowShelfFilter` and `HighShelfFilter` in a row, computed three to four times as fast:
NumPy's tanh is vectorised where the C library's is not, and both shelves run in one loop. A test holds it to
pedalboard's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.biquad import filter_twice, shelf
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    sound = audio * np.float32(10 ** (values["drive_db"] / 20))
    np.tanh(sound, out=sound)
    filter_twice(sound, shelf(rate, values, 1), shelf(rate, values, -1))
    return sound


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
    render=_render,
    pedalboard=_with_pedalboard,
    unidentifiable=_unidentifiable,
)
