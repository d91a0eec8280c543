"""The interface of a synth's module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from timbre_data.pipeline.catalogue.effect import _all_identifiable
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.space import ParameterSpace


class Instrument(Protocol):
    """A synth, opened by one worker thread for itself."""

    def play(self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int) -> Audio:
        """Play each performance with its own patch (physical values): float32 (n, channels, samples)."""
        ...

    def close(self) -> None:
        """Let go of processes and files."""
        ...


@dataclass(frozen=True, kw_only=True)
class Synth:
    """A synthesiser: in-process, a hosted plug-in, or an external program.

    `space(settings)` are its parameters; `open(settings, rate, channels, isolation)` gives one worker its instrument.
    `interchangeable` names, by prefix, groups of knobs that can change places without a change of sound (equal
    oscillators). `isolations` are the ways it can keep rows apart, cheapest first; ("pure",) when a row's sound depends
    on its own patch alone. `in_real_time(settings)`: no two renders are ever equal, and each takes as long as it
    sounds. `unidentifiable(values, seconds)` names parameters that nobody could hear at these settings. `requires()`
    raises `MissingDependencyError` with what to install.
    """

    summary: str
    settings: type[BaseModel]
    space: Callable[[Any], ParameterSpace]
    open: Callable[[Any, int, int, str], Instrument]
    isolations: tuple[str, ...] = ("pure",)
    batch: int = 8
    interchangeable: tuple[tuple[str, ...], ...] = ()
    in_real_time: Callable[[Any], bool] = lambda settings: False
    unidentifiable: Callable[[Mapping[str, float], float], set[str]] = _all_identifiable
    requires: Callable[[], None] = lambda: None
