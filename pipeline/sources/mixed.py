"""Several sources as one: so that what is learned is not one instrument's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.catalogue.validation import validate
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import SourceError, UsageError
from timbre_data.schemas.recipe import SourceSpec


def _named(value: Any) -> Any:
    return (
        [{"name": one} if isinstance(one, str) else one for one in value] if isinstance(value, list | tuple) else value
    )


class MixedSettings(Frozen):
    """The sources, each with its settings, and how many sounds of each."""

    sources: Annotated[tuple[SourceSpec, ...], BeforeValidator(_named)] = Field(
        (SourceSpec(name="plucked_string"), SourceSpec(name="drawn_strings")),
        min_length=1,
        description="sources of dry sound, by name or with settings",
    )
    most: int | None = Field(
        None, ge=1, description="use at most so many sounds of each, from everywhere in it; by default all"
    )
    leave_out: tuple[str, ...] = Field(
        (), description="sounds that are not used, by identity; --keep-going adds the unusable ones"
    )


class Mixed:
    """The sounds of several sources, one source after the other."""

    def __init__(self, settings: MixedSettings) -> None:
        from timbre_data.pipeline.sources import SOURCES  # which lists this module

        self._sources: list[Any] = []
        self._chosen: list[list[int]] = []
        notes: list[Note] = []
        self.problems: dict[str, str] = {}
        left_out = set(settings.leave_out)
        for number, spec in enumerate(settings.sources):
            kind: Source = SOURCES.load(spec.name)
            if kind.gives != "audio":
                raise UsageError(f"mixed: {spec.name} gives notes for a synth, not sound.")
            source = kind.open(validate(kind.settings, spec.settings, f"source {spec.name}"))
            count = len(source.notes)
            chosen = np.unique(np.linspace(0, count - 1, min(count, settings.most or count)).astype(int)).tolist()
            place = f"{number}-{spec.name}"
            chosen = [index for index in chosen if f"{place}/{source.notes[index].identity}" not in left_out]
            self._sources.append(source)
            self._chosen.append(chosen)
            problems = {f"{place}/{name}": why for name, why in getattr(source, "problems", {}).items()}
            self.problems |= {name: why for name, why in problems.items() if name not in left_out}
            for index in chosen:
                note = source.notes[index]
                notes.append(
                    replace(
                        note,
                        identity=f"{place}/{note.identity}",
                        group=f"{place}/{note.group or note.identity}",
                        tags=(),
                        segments=(),
                        clip="",
                    )
                )
        self._ends = list(accumulate(len(one) for one in self._chosen))
        self.notes: Sequence[Note] = notes
        if not notes:
            raise UsageError("mixed: every sound is left out.")

    def check(self) -> None:
        """Check each source. Raises `SourceError` that names what is wrong with any."""
        problems: dict[str, str] = {}
        for source in self._sources:
            try:
                getattr(source, "check", lambda: None)()
            except SourceError as error:
                problems |= error.failures
        if problems:
            raise SourceError("mixed", problems)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make sound `index` by its own source: float32 (channels, samples)."""
        number = bisect_right(self._ends, index)
        chosen = self._chosen[number]
        sound: Audio = self._sources[number].render(chosen[index - self._ends[number]], rate, channels, samples)
        return sound


SOURCE = Source(
    summary="Several sources as one, so many sounds of each: strings, SoundFonts, folders of recordings.",
    settings=MixedSettings,
    open=Mixed,
    licence="",
)
