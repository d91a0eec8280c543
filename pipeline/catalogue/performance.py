"""Performances: the notes that a synth plays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlayedNote:
    """One note of a performance: when it begins and ends, its MIDI key and velocity (1 to 127)."""

    start_seconds: float
    stop_seconds: float
    key: int
    velocity: int


@dataclass(frozen=True)
class Performance:
    """A performance for a synth: MIDI messages as (seconds, bytes), in order."""

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
        """As stored with a dataset: "0.000000 903c64; 0.900000 803c00". Times that microseconds do not hold have all
        their digits: a row played again is the same.
        """
        return "; ".join(f"{_exactly(seconds)} {message.hex()}" for seconds, message in self.events)

    @classmethod
    def from_text(cls, text: str) -> Performance:
        """The inverse of `to_text`."""
        parts = (part.split() for part in text.split(";")) if text else ()
        return cls(tuple((float(seconds), bytes.fromhex(message)) for seconds, message in parts))


def _exactly(seconds: float) -> str:
    text = f"{seconds:.6f}"
    return text if float(text) == seconds else repr(float(seconds))
