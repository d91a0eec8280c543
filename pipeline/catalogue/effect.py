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
RenderRows = Callable[[Audio, int, Mapping[str, NDArray[np.float64]], Audio], None]
"""Sounds [shape=(n, channels, samples)], rate, values of each row by name [shape=(n,)], the place of the results."""


class ByRows:
    """The `render` of an effect that is written for several rows: `rows` renders them in one call, each with the bytes
    that it gets alone.
    """

    def __init__(self, rows: RenderRows) -> None:
        self.rows = rows

    def __call__(self, audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
        """Render one sound [shape=(channels, samples)]."""
        out = np.empty(audio.shape, np.float32)
        columns = {name: np.array([value], np.float64) for name, value in values.items()}
        self.rows(np.ascontiguousarray(audio, np.float32)[None], rate, columns, out[None])
        return out


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An audio effect with a parameter space.

    `render(audio, rate, values)` is pure: float32 (channels, samples) in, the same shape out; `values` are physical.
    One that does several rows in one call is a `ByRows`.
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
