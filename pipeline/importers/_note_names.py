"""The pitch and the velocity that the name of a file tells: Fs3, A#3, Bb-1, D#4v8, piano_C4_ff, 060-100."""

from __future__ import annotations

import re
from dataclasses import dataclass

STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {"": 0, "#": 1, "s": 1, "♯": 1, "b": -1, "♭": -1}
DYNAMICS = {"ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 127}
"""MIDI velocities of dynamic marks, as notation programs play them."""
WORD = re.compile(r"[^\s_.\-()\[\],+]+")
NAME = re.compile(r"^([a-g])([#s♯b♭]?)(-?\d)(?:v(\d{1,3}))?$", re.IGNORECASE)
BELOW_ZERO = re.compile(r"(?:^|[\s_.()\[\],+\-])([a-g])([#s♯b♭]?)(-[12])(?=$|[\s_.()\[\],+v])", re.IGNORECASE)
NUMBER = re.compile(r"^(?:midi|note|key|n|m)?(\d{1,3})$", re.IGNORECASE)
VELOCITY = re.compile(r"^(?:v|vel|velocity|layer)(\d{1,3})$", re.IGNORECASE)


@dataclass(frozen=True)
class NamedNote:
    """A MIDI note, and what the name says of how hard it was played: a number as it stands there, or None."""

    midi_note: int
    velocity: float | None


def note_of(stem: str, middle_c: int = 4) -> NamedNote:
    """The note that the name of a file (without its suffix) tells; `middle_c` is the octave that its maker gives to
    MIDI note 60. A note's name goes before a number, the last of several names before the others, and a number
    stands for a MIDI note only where it is the first. Raises `ValueError` where it tells none.
    """
    words = WORD.findall(stem)
    velocity = _velocity(words)
    if below := BELOW_ZERO.search(stem):
        return NamedNote(_in_range(key_number(below[1], below[2], below[3], middle_c), below[0]), velocity)
    for word in reversed(words):
        if name := NAME.match(word):
            said = None if name[4] is None else float(name[4])
            return NamedNote(
                _in_range(key_number(name[1], name[2], name[3], middle_c), word), velocity if said is None else said
            )
    numbers = [found[1] for word in words if (found := NUMBER.match(word))]
    if not numbers:
        raise ValueError("its name tells no pitch, such as A3, As3, A#3, Bb3 or a MIDI note")
    second = float(numbers[1]) if velocity is None and len(numbers) > 1 and int(numbers[1]) <= 127 else velocity
    return NamedNote(_in_range(int(numbers[0]), numbers[0]), second)


def key_number(letter: str, accidental: str, octave: str, middle_c: int = 4) -> int:
    """The MIDI note of a name in its parts, upper or lower case."""
    return STEPS[letter.lower()] + ACCIDENTALS[accidental.lower()] + 12 * (int(octave) + 5 - middle_c)


def _in_range(key: int, said: str) -> int:
    if not 0 <= key <= 127:
        raise ValueError(f"{said.strip(' _.-')} is MIDI note {key}, not within 0 to 127")
    return key


def _velocity(words: list[str]) -> float | None:
    for word in reversed(words):
        if found := VELOCITY.match(word):
            return float(found[1])
        if word.lower() in DYNAMICS:
            return float(DYNAMICS[word.lower()])
    return None
