"""What a member of each kind looks like: the one object that its module exposes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from timbre_data.schemas.recipe import AudioFormat
from timbre_data.schemas.space import ParameterSpace

Audio = NDArray[np.float32]
Segment = tuple[float, float, str]
"""From when to when, in seconds, a sound is what."""
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
    An effect with `settings` (which plug-in?) becomes one with a space by `configure(settings)`. A linear one may have a
    `response(values, rate, hertz)`: what it does to each frequency, complex [shape=(f,)]; it is stored with every row.
    """

    summary: str
    family: Family
    space: ParameterSpace
    render: Callable[[Audio, int, Mapping[str, float]], Audio]
    unidentifiable: Callable[[Mapping[str, float], float], set[str]] = _all_identifiable
    effect_class: str = ""
    response: Callable[[Mapping[str, float], int, NDArray[np.float64]], NDArray[np.complex128]] | None = None
    settings: type[BaseModel] | None = None
    configure: Callable[[Any], Effect] | None = None


def key_hz(key: float) -> float:
    """The frequency of a MIDI note in equal temperament, A4 (69) at 440 Hz."""
    return float(440 * 2 ** ((key - 69) / 12))


@dataclass(frozen=True)
class Note:
    """A dry sound before it is made. `identity` is unique in its source; splits go by `group` (by default the same).

    `tags` are what is in it (instruments, a mood), from the source's own list `tags`; `split` says where it belongs where that is not left to its group;
    `clip` what it is a piece of, in a source that cuts longer sounds into pieces; `segments` say what is heard when (phonemes), from the source's own list
    `frame_classes`.
    """

    identity: str
    group: str = ""
    tags: tuple[str, ...] = ()
    split: Literal["", "train", "validation", "test"] = ""
    clip: str = ""
    segments: tuple[Segment, ...] = ()
    midi_note: float = float("nan")
    velocity: float = float("nan")
    f0_hz: float = float("nan")


class UnusableSoundError(Exception):
    """A dry sound that cannot be used (unreadable, silent); the build collects these into one `SourceError`."""


class DrySource(Protocol):
    """A source with its settings chosen: a list of notes, each made on demand, purely.

    One whose notes have tags has `tags`, the names of all there are, in their order; one whose notes have segments has `frame_classes`.
    """

    notes: Sequence[Note]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make note `index`: float32 (channels, samples), starting at its onset. Raises `UnusableSoundError`."""
        ...


@dataclass(frozen=True)
class PlayedNote:
    """One note of a performance: when it begins and ends, its MIDI key and velocity (1 to 127)."""

    start_seconds: float
    stop_seconds: float
    key: int
    velocity: int


@dataclass(frozen=True)
class Performance:
    """What is played on a synth: MIDI messages as (seconds, bytes), in order."""

    events: tuple[tuple[float, bytes], ...]

    @classmethod
    def of(cls, *notes: PlayedNote) -> Performance:
        """Make a performance of single notes."""
        ons = [(note.start_seconds, 1, bytes((0x90, note.key, note.velocity))) for note in notes]
        offs = [(note.stop_seconds, 0, bytes((0x80, note.key, 0))) for note in notes]
        return cls(tuple((seconds, message) for seconds, _, message in sorted(ons + offs)))

    @property
    def notes(self) -> tuple[PlayedNote, ...]:
        """The notes, each held while its key or the sustain pedal is down; one that is never released sounds on."""
        held: dict[int, tuple[float, int]] = {}
        released: set[int] = set()
        pedal, done = False, []

        def end(key: int, seconds: float) -> None:
            start, velocity = held.pop(key)
            released.discard(key)
            done.append(PlayedNote(start, seconds, key, velocity))

        for seconds, message in self.events:
            status, key, value = message[0] & 0xF0, message[1], message[2] if len(message) > 2 else 0
            if status == 0x90 and value:
                if key in held:
                    end(key, seconds)
                held[key] = (seconds, value)
            elif status in (0x80, 0x90) and key in held:
                if pedal:
                    released.add(key)
                else:
                    end(key, seconds)
            elif status == 0xB0 and key == 64:
                pedal = value >= 64
                for waiting in () if pedal else tuple(released):
                    end(waiting, seconds)
        for key in tuple(held):
            end(key, float("inf"))
        return tuple(sorted(done, key=lambda note: (note.start_seconds, note.key)))

    def to_text(self) -> str:
        """As stored with a dataset: "0.000000 903c64; 0.900000 803c00". Times that microseconds do not hold have all their digits: a row played again is the same."""
        return "; ".join(f"{_exactly(seconds)} {message.hex()}" for seconds, message in self.events)

    @classmethod
    def from_text(cls, text: str) -> Performance:
        """The inverse of `to_text`."""
        parts = (part.split() for part in text.split(";")) if text else ()
        return cls(tuple((float(seconds), bytes.fromhex(message)) for seconds, message in parts))


class MidiSource(Protocol):
    """A source of notes to play, for synths: each with what is known of it."""

    notes: Sequence[Note]

    def performance(self, index: int) -> Performance:
        """What is played as note `index`."""
        ...


def _exactly(seconds: float) -> str:
    text = f"{seconds:.6f}"
    return text if float(text) == seconds else repr(float(seconds))


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of dry sound, or ("midi") of notes for a synth to play: its settings model and how to open it."""

    summary: str
    settings: type[BaseModel]
    open: Callable[[Any], Any]
    gives: Literal["audio", "midi"] = "audio"


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
    `interchangeable` names, by prefix, groups of knobs that can change places without a change of sound (equal oscillators).
    `isolations` are the ways it can keep rows apart, cheapest first; ("pure",) when a row's sound depends on its own patch alone.
    `in_real_time(settings)`: no two renders are ever equal, and each takes as long as it sounds.
    `unidentifiable(values, seconds)` names parameters that nobody could hear at these settings. `requires()` raises
    `MissingDependencyError` with what to install.
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


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file of a public dataset, or a piece of one: its dry sound (an index into the origins), which step of the chain it has, its tags, and further labels.

    `start_seconds` is where a piece begins; without it, the row begins where its sound sets in. `segments` are in seconds from there.
    """

    file: Path
    identity: str
    origin: int
    step: str
    labels: Mapping[str, float | str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    start_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What recordings have in common, so that a split keeps them together: a dry note, a song, a singer. `file` is a clean recording of it.

    `split` is where its publishers put it, where they did.
    """

    identity: str
    group: str = ""
    split: Literal["", "train", "validation", "test"] = ""
    file: Path | None = None
    midi_note: float = float("nan")
    f0_hz: float = float("nan")


@dataclass(frozen=True)
class Inventory:
    """What a folder holds: recordings in a fixed order, their origins, and every missing, unreadable or unexpected file with its reason.

    `tags` are the names of all tags, in their order, `frame_classes` those of all segments. Pieces of one file stand side by side.
    """

    recordings: tuple[Recording, ...]
    origins: tuple[Origin, ...]
    problems: dict[str, str]
    tags: tuple[str, ...] = ()
    frame_classes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of all that becomes a row or a label: an annotation that was corrected, or a table of classes, makes another set."""
        digest = hashlib.sha256(repr((self.tags, self.frame_classes)).encode())
        for one in self.origins:
            digest.update(
                repr((one.identity, one.group, one.split, one.midi_note, one.f0_hz, one.file is None)).encode()
            )
        for each in self.recordings:
            labels = (each.step, each.origin, each.start_seconds, dict(each.labels), each.tags, each.segments)
            digest.update(repr((each.identity, *labels)).encode())
        return digest.hexdigest()


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
