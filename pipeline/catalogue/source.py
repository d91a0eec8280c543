"""The interface of a source's module: dry sounds, or notes for a synth to play."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.schemas.arrays import Audio

Segment = tuple[float, float, str]
"""Labels of parts of a sound: (start in seconds, stop in seconds, label)."""
COPY = "#"
"""Between the identity of a note and the number of its copy, where a recipe varies its notes."""


def key_hz(key: float) -> float:
    """The frequency of a MIDI note in equal temperament, A4 (69) at 440 Hz."""
    return float(440 * 2 ** ((key - 69) / 12))


@dataclass(frozen=True)
class Note:
    """A dry sound before it is made. `identity` is unique in its source; splits go by `group` (by default the same).

    `tags` are what is in it (instruments, a mood), from the source's own list `tags`; `split` says where it belongs
    where that is not left to its group; `clip` what it is a piece of, in a source that cuts longer sounds into pieces;
    `segments` say what is heard when (phonemes), from the source's own list `frame_classes`.
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


class DrySource(Protocol):
    """A source with its settings chosen: a list of notes, each made on demand, purely.

    One whose notes have tags has `tags`, the names of all there are, in their order; one whose notes have segments has
    `frame_classes`. One that reads files may have `skipped`, those it does not read, and `check()`, which opens all and
    raises `SourceError` for what is wrong; a setting `leave_out`, a tuple of identities, lets `--keep-going` do without
    the unusable ones, and without `problems`, files that are no notes (with the reason), where it has some.
    """

    notes: Sequence[Note]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make note `index`: float32 (channels, samples), starting at its onset. Raises `UnusableSoundError`."""
        ...


class MidiSource(Protocol):
    """A source of notes to play, for synths: each with what is known of it."""

    notes: Sequence[Note]

    def performance(self, index: int) -> Performance:
        """The performance of note `index`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of dry sound, or ("midi") of notes for a synth to play: its settings model and how to open it.

    `licence` is that of its sounds, unless a recipe states another; empty for recordings of the user's own.
    """

    summary: str
    settings: type[BaseModel]
    open: Callable[[Any], Any]
    gives: Literal["audio", "midi"] = "audio"
    licence: str = "CC0-1.0"
