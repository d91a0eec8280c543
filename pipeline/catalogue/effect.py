"""The interface of an effect's module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.space import ParameterSpace

Family = Literal["dry", "delay", "reverb", "modulation", "tremolo", "distortion", "other"]


FAMILIES: tuple[Family, ...] = ("dry", "delay", "reverb", "modulation", "tremolo", "distortion")
"""The six aggregated classes of IDMT-SMT-Audio-Effects (D'Hooghe 2022), in the order of the conditioning vector."""


def _all_identifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    return set()


Render = Callable[[Audio, int, Mapping[str, float]], Audio]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An audio effect with a parameter space.

    `render(audio, rate, values)` is pure: float32 (channels, samples) in, the same shape out; `values` are physical.
    `unidentifiable(values, seconds)` names the parameters that nobody could hear at these settings (anything at mix 0).
    `effect_class` is what a classifier is to call it where that is not its own name: several choruses are one class. An
    effect with `settings` (which plug-in?) becomes one with a space by `configure(settings)`. A linear one may have a
    `response(values, rate, hertz)`: what it does to each frequency, complex [shape=(f,)]; it is stored with every row.
    Where `render` is a kernel of ours, `pedalboard` is the same by pedalboard's plug-ins: for chains with that engine.
    """

    summary: str
    family: Family
    space: ParameterSpace
    render: Render
    unidentifiable: Callable[[Mapping[str, float], float], set[str]] = _all_identifiable
    effect_class: str = ""
    pedalboard: Render | None = None
    response: Callable[[Mapping[str, float], int, NDArray[np.float64]], NDArray[np.complex128]] | None = None
    settings: type[BaseModel] | None = None
    configure: Callable[[Any], Effect] | None = None
