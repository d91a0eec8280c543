"""The interface of an importer's module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from timbre_data.pipeline.catalogue.source import Segment
from timbre_data.schemas.recipe import AudioFormat


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file of a public dataset, or a piece of one: its dry sound (an index into the origins), which step of the
    chain it has, its tags, and further labels.

    `start_seconds` is where a piece begins; without it, the row begins where its sound sets in. `segments` are in
    seconds from there.
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
    """The origin of recordings, which a split keeps together: a dry note, a song, a singer. `file` is a clean recording
    of it, or the piece of one that begins at `start_seconds`.

    `split` is where its publishers put it, where they did.
    """

    identity: str
    group: str = ""
    split: Literal["", "train", "validation", "test"] = ""
    file: Path | None = None
    midi_note: float = float("nan")
    f0_hz: float = float("nan")
    start_seconds: float | None = None


@dataclass(frozen=True)
class Inventory:
    """The contents of a folder: recordings in a fixed order, their origins, and every missing, unreadable or unexpected
    file with its reason.

    `tags` are the names of all tags, in their order, `frame_classes` those of all segments. Pieces of one file stand
    side by side.
    """

    recordings: tuple[Recording, ...]
    origins: tuple[Origin, ...]
    problems: dict[str, str]
    tags: tuple[str, ...] = ()
    frame_classes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of all that becomes a row or a label: an annotation that was corrected, or a table of classes, makes another
        set.
        """
        digest = hashlib.sha256(repr((self.tags, self.frame_classes)).encode())
        for one in self.origins:
            start = () if one.start_seconds is None else (one.start_seconds,)
            digest.update(
                repr((one.identity, one.group, one.split, one.midi_note, one.f0_hz, one.file is None, *start)).encode()
            )
        for each in self.recordings:
            labels = (each.step, each.origin, each.start_seconds, dict(each.labels), each.tags, each.segments)
            digest.update(repr((each.identity, *labels)).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Importer:
    """A public dataset: where it comes from, what it may be used for, and `scan(settings)`, which lists it without
    decoding a sound.

    `settings` has at least `path`. `steps` are the effects a recording may have, by our names ("dry" alone where there
    are none; settings with `steps` of their own decide). `checksums` are those of the published archives, where known.
    Extra labels have the same names and types in all recordings.
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
