"""Phrases for a synth to play, cut from standard MIDI files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import MissingDependencyError, NotFoundError, SourceError

SOUNDING = ("note_on", "note_off", "control_change", "pitchwheel", "aftertouch", "polytouch")
"""Messages that are played. Program changes are not: the patch is the row's."""


class MidiFileSettings(Frozen):
    """A .mid file or a folder of them, cut into phrases of `seconds`; channels are merged unless one is chosen."""

    path: Path = Field(description="folder or file")
    seconds: float = Field(4.0, gt=0, le=600, description="duration of a phrase in seconds")
    channel: int | None = Field(None, ge=0, le=15, description="MIDI channel to play, counted from 1")
    drums: bool = Field(False, description="keep channel 10 (9 counted from 0), which is percussion in General MIDI")


def read_messages(path: Path, channel: int | None, drums: bool) -> list[tuple[float, bytes]]:
    """All sounding messages of a file as (seconds, bytes on channel 0), tempo applied. Raises `ValueError` for what is
    not MIDI.
    """
    import mido

    messages, seconds = [], 0.0
    try:
        song = mido.MidiFile(path)
        if song.ticks_per_beat == 0:
            raise ValueError("its beats have no ticks")
        if not 0 < song.ticks_per_beat < 2**15:
            raise ValueError("its times are SMPTE frames, which are not read: save it with ticks per beat")
        for message in song:  # iterating merges the tracks and gives seconds between messages
            seconds += message.time
            if message.type not in SOUNDING:
                continue
            if (channel is not None and message.channel != channel) or (message.channel == 9 and not drums):
                continue
            messages.append((seconds, bytes(message.copy(channel=0).bytes())))
    except (OSError, EOFError, ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(str(error) or "ends too early") from None
    return messages


def phrases(messages: Sequence[tuple[float, bytes]], seconds: float) -> list[Performance]:
    """Cut messages into phrases that begin with a note and last `seconds`; what sounds on at the cut is released
    there.
    """
    performances: list[Performance] = []
    number = 0
    while number < len(messages):
        while number < len(messages) and not _is_on(messages[number][1]):
            number += 1
        if number == len(messages):
            break
        start, events = messages[number][0], []
        down: set[int] = set()
        while number < len(messages) and messages[number][0] < start + seconds:
            moment, message = messages[number]
            if _is_on(message):
                down.add(message[1])
            elif message[0] & 0xF0 in (0x80, 0x90):
                down.discard(message[1])
            events.append((moment - start, message))
            number += 1
        events += [(seconds, bytes((0x80, key, 0))) for key in sorted(down)]
        performances.append(Performance(tuple(events)))
    return performances


def _is_on(message: bytes) -> bool:
    return message[0] & 0xF0 == 0x90 and message[2] > 0


class MidiFile:
    """The phrases of all files, in order; a split keeps those of one file together."""

    def __init__(self, settings: MidiFileSettings) -> None:
        try:
            import mido  # noqa: F401  # only whether it is there
        except ImportError:
            raise MissingDependencyError("midi_file: mido is missing; pip install mido.") from None
        path = settings.path.expanduser()
        files = (
            [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
        )
        if not files:
            raise NotFoundError(
                f"midi_file: there is no .mid file at {path}. Give a file or folder with --set source.path=PATH."
            )
        failures: dict[str, str] = {}
        self.notes: list[Note] = []
        self._performances: list[Performance] = []
        for file in files:
            try:
                cut = phrases(read_messages(file, settings.channel, settings.drums), settings.seconds)
            except ValueError as error:
                failures[file.name] = f"not a readable MIDI file ({error})"
                continue
            if not cut:
                failures[file.name] = "holds no notes"
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            self.notes += [Note(identity=f"{name}/{k:04d}", group=name) for k in range(len(cut))]
            self._performances += cut
        if failures:
            raise SourceError("midi_file", failures)

    def performance(self, index: int) -> Performance:
        """One phrase, from its first note on."""
        return self._performances[index]


SOURCE = Source(
    summary="Phrases for a synth from standard MIDI files (.mid).",
    settings=MidiFileSettings,
    open=MidiFile,
    gives="midi",
)
