"""What a member of each kind looks like: the one object that its module exposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from timbre_data.schemas.recipe import AudioFormat
from timbre_data.schemas.space import ParameterSpace

Audio = NDArray[np.float32]
Family = Literal["dry", "delay", "reverb", "modulation", "tremolo", "distortion", "other"]
FAMILIES: tuple[Family, ...] = ("dry", "delay", "reverb", "modulation", "tremolo", "distortion")
"""The six aggregated classes of IDMT-SMT-Audio-Effects (D'Hooghe 2022), in the order of the conditioning vector."""


def _all_identifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    return set()


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An audio effect with a parameter space.

    `render(audio, rate, values)` is pure: float32 (channels, samples) in, the same shape out; `values` are physical.
    `unidentifiable(values, seconds)` names the parameters that nobody could hear at these settings (anything at mix 0).
    `effect_class` is what a classifier is to call it where that is not its own name: several choruses are one class.
    """

    summary: str
    family: Family
    space: ParameterSpace
    render: Callable[[Audio, int, Mapping[str, float]], Audio]
    unidentifiable: Callable[[Mapping[str, float], float], set[str]] = _all_identifiable
    effect_class: str = ""


@dataclass(frozen=True)
class Note:
    """A dry sound before it is made. `identity` is unique in its source; splits go by `group` (by default the same)."""

    identity: str
    group: str = ""
    midi_note: float = float("nan")
    velocity: float = float("nan")
    f0_hz: float = float("nan")


class UnusableSoundError(Exception):
    """A dry sound that cannot be used (unreadable, silent); the build collects these into one `SourceError`."""


class DrySource(Protocol):
    """A source with its settings chosen: a list of notes, each made on demand, purely."""

    notes: Sequence[Note]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make note `index`: float32 (channels, samples), starting at its onset. Raises `UnusableSoundError`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of dry sound: its settings model and how to open it."""

    summary: str
    settings: type[BaseModel]
    open: Callable[[Any], DrySource]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file of a public dataset: its dry sound (an index into the origins), which step of the chain it has, and further labels."""

    file: Path
    identity: str
    origin: int
    step: str
    labels: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What recordings have in common, so that a split keeps them together: a dry note, a song, a singer. `file` is a clean recording of it."""

    identity: str
    group: str = ""
    file: Path | None = None
    midi_note: float = float("nan")
    f0_hz: float = float("nan")


@dataclass(frozen=True)
class Inventory:
    """What a folder holds: recordings in a fixed order, their origins, and every missing, unreadable or unexpected file with its reason."""

    recordings: tuple[Recording, ...]
    origins: tuple[Origin, ...]
    problems: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Importer:
    """A public dataset: where it comes from, what it may be used for, and `scan(settings)`, which lists it without decoding a sound.

    `settings` has at least `path`. `steps` are the effects a recording may have, by our names ("dry" alone where there are none).
    `checksums` are those of the published archives, where known. Extra labels have the same names and types in all recordings.
    """

    summary: str
    citation: str
    licence: str
    url: str
    settings: type[BaseModel]
    steps: tuple[str, ...]
    audio: AudioFormat
    scan: Callable[[Any], Inventory]
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """The outputs of a feature set for a given format: shape of one row, and a name per column where it is flat."""

    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    axes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """A feature vector or spectrogram of a sound.

    `compute(audio, rate, f0_hz, settings)` maps a batch of mono sounds [shape=(n, samples)], with the fundamental of
    each dry note [shape=(n,), NaN where unknown], to float32 [shape=(n, *columns.shape)]. Each row's result depends on
    that row alone. `group` is "features" (vectors) or "spectrograms".
    """

    summary: str
    group: Literal["features", "spectrograms"]
    settings: type[BaseModel]
    columns: Callable[[int, int, Any], Columns]
    compute: Callable[[Audio, int, NDArray[np.float32], Any], NDArray[np.float32]]
    dtype: Literal["float16", "float32"] = "float32"
