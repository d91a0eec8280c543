"""A captured synth on the bench: it plays patches of one profile, and every note is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from timbre_data.pipeline.build.profiling.quantities import Measured, distance_db, measure
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.midi import MidiSettings
from timbre_data.schemas.arrays import Audio

RATE, KEY, VELOCITY = 44_100, 60, 100
HELD_SECONDS, SECONDS = 1.0, 1.8
BATCH = 32

Patch = Mapping[str, float]


class Bench:
    """A synth that is open, to be used as a context. Patches are in the parameters' own units; without one (an empty
    patch) only the messages of `reset` are sent.
    """

    def __init__(self, settings: MidiSettings, progress: Progress | None = None) -> None:
        self.settings, self.profile = settings, settings.profile
        self.progress = progress or NoProgress()
        self.counting = False  # whether notes are counted by the progress, which has been started
        self.channels = min(len(self.profile.ports.audio), 2)
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._player.close()

    def restart(self) -> None:
        """Start the program anew: what it was told before is forgotten."""
        self._player.close()
        self._open()

    def _open(self) -> None:
        self._player = SYNTHS.load("midi").open(self.settings, RATE, self.channels, "settle")

    def notes(self, patches: Sequence[Patch]) -> list[Measured]:
        """Play and measure a note with each patch."""
        note = Performance.of(PlayedNote(0.0, HELD_SECONDS, KEY, VELOCITY))
        measured: list[Measured] = []
        for start in range(0, len(patches), BATCH):
            part = patches[start : start + BATCH]
            sounds = self.play([note] * len(part), part, SECONDS)
            measured += [measure(sound, RATE, KEY, HELD_SECONDS) for sound in sounds]
            if self.counting:
                self.progress.advance(len(part))
        return measured

    def note_after(self, messages: Sequence[bytes], pause: float, patch: Patch) -> Measured:
        """Play with a patch, send messages, and measure a note that is struck `pause` seconds after them."""
        turned = [(0.0, message) for message in messages]
        note = Performance.of(PlayedNote(pause, pause + HELD_SECONDS, KEY, VELOCITY))
        sound = self.play([Performance((*turned, *note.events))], [patch], pause + SECONDS)[0]
        return measure(sound[:, round(pause * RATE) :], RATE, KEY, HELD_SECONDS)

    def play(self, performances: Sequence[Performance], patches: Sequence[Patch], seconds: float) -> Audio:
        """Play any performances [shape=(n, channels, samples)]."""
        return self._player.play(performances, patches, round(seconds * RATE))


def spread_db(notes: Sequence[Measured]) -> float:
    """How far notes are apart at most."""
    return max((distance_db(one, other) for i, one in enumerate(notes) for other in notes[:i]), default=0.0)
