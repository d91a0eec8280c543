"""Random phrases for General MIDI instruments, as MIDI messages: register, tempo, articulation, velocity, vibrato and
pedal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UnusableSoundError

DRAWS = 32
SILENT = 1e-5
"""Peak of what nobody plays in."""
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MODULATION, VOLUME, EXPRESSION, PEDAL = 1, 7, 11, 64
Events = list[tuple[float, Any]]
DRUM_CHANNEL, DRUM_BANK = 9, 128
KICK, SNARE, HAT, RIDE = 36, 38, 42, 51


@dataclass(frozen=True)
class Player:
    """The playing of an instrument: General MIDI programs (from 0), its range in MIDI notes, and whether it bows, blows
    or sings, and plays chords.
    """

    programs: tuple[int, ...]
    low: int
    high: int
    sustained: bool = False
    chords: bool = False
    pedal: bool = False


INSTRUMENTS = {
    "cello": Player((42,), 36, 69, sustained=True),
    "clarinet": Player((71,), 50, 86, sustained=True),
    "flute": Player((73, 72, 75), 60, 91, sustained=True),
    "acoustic_guitar": Player((24, 25), 40, 76, chords=True),
    "electric_guitar": Player((26, 27, 28, 29, 30), 40, 79, chords=True),
    "organ": Player((16, 17, 18, 19), 40, 84, sustained=True, chords=True),
    "piano": Player((0, 1, 3), 33, 90, chords=True, pedal=True),
    "saxophone": Player((64, 65, 66, 67), 45, 80, sustained=True),
    "trumpet": Player((56, 59), 54, 82, sustained=True),
    "violin": Player((40, 110), 55, 91, sustained=True),
    "voice": Player((52, 53), 48, 79, sustained=True),
}
"""The eleven instruments of IRMAS. A fiddle is a violin; electric pianos and synthetic voices are not pianos and
voices.
"""


def phrase(
    rng: np.random.Generator,
    player: Player,
    seconds: float,
    channel: int = 0,
    *,
    beats_per_minute: float | None = None,
    register: tuple[int, int] | None = None,
) -> Events:
    """A random phrase that begins within the first tenth of a second and is played until the end: (seconds, message) in
    order.
    """
    from mido import Message

    low, high = register or (player.low, player.high)
    span = int(rng.integers(7, 15))
    base = int(rng.integers(low, max(low + 1, high - span)))
    scale = [key for key in range(base, min(base + span, high) + 1) if (key - base) % 12 in MAJOR]
    beat = 60 / (beats_per_minute or rng.uniform(60, 160))
    hold = rng.uniform(0.4, 0.7) if rng.random() < 0.35 else rng.uniform(0.85, 1.02)  # staccato or legato
    loud = rng.uniform(55, 115)
    events: Events = [(0.0, Message("control_change", channel=channel, control=EXPRESSION, value=127))]
    if player.sustained and rng.random() < 0.6:
        depth = int(rng.integers(20, 80))
        events.append(
            (float(rng.uniform(0, 0.4)), Message("control_change", channel=channel, control=MODULATION, value=depth))
        )
    with_pedal = player.pedal and rng.random() < 0.5
    scale_step, time = int(rng.integers(len(scale))), float(rng.uniform(0, 0.1))
    while time < seconds:
        length = beat * float(rng.choice([0.5, 1, 1, 2] if not player.sustained else [0.5, 1, 2, 2]))
        keys = [scale[scale_step]]
        if player.chords and rng.random() < 0.35:
            keys += [
                scale[scale_step] + step
                for step in (4, 7, 12)[: int(rng.integers(1, 4))]
                if scale[scale_step] + step <= high
            ]
        velocity = int(np.clip(rng.normal(loud, 8), 25, 127))
        if with_pedal:
            events.append((time, Message("control_change", channel=channel, control=PEDAL, value=0)))
            events.append((time + 0.02, Message("control_change", channel=channel, control=PEDAL, value=127)))
        for key in keys:
            events.append((time, Message("note_on", channel=channel, note=key, velocity=velocity)))
            events.append((time + length * hold, Message("note_off", channel=channel, note=key)))
        time += length
        scale_step = int(np.clip(scale_step + rng.integers(-3, 4), 0, len(scale) - 1))
    return in_order(events)


def beat(rng: np.random.Generator, beats_per_minute: float, seconds: float) -> Events:
    """Kick, snare and hi-hat or ride, as messages on General MIDI's channel of drums."""
    from mido import Message

    length, events = 60 / beats_per_minute, []
    metal = HAT if rng.random() < 0.7 else RIDE
    for number in range(int(seconds / (length / 2)) + 1):
        time = number * length / 2
        hits = [metal] + ([KICK] if number % 4 == 0 else []) + ([SNARE] if number % 4 == 2 else [])
        for key in hits:
            velocity = int(rng.integers(70, 115))
            events.append((time, Message("note_on", channel=DRUM_CHANNEL, note=key, velocity=velocity)))
            events.append((time + 0.1, Message("note_off", channel=DRUM_CHANNEL, note=key)))
    return in_order(events)


def audible_phrase(draw: Callable[[], Events], listen: Callable[[Events], Audio]) -> tuple[Events, Audio]:
    """Draw phrases until one sounds: a program need not have samples for all keys of its instrument. Raises
    `UnusableSoundError`.
    """
    for _ in range(DRAWS):
        events = draw()
        sound = listen(events)
        if float(np.abs(sound).max()) > SILENT:
            return events, sound
    raise UnusableSoundError("the SoundFont does not have this program")


def in_order(*parts: Sequence[tuple[float, Any]]) -> Events:
    """Messages of several players in the order in which they are sent; a note ends before the next one begins."""
    whole = [event for part in parts for event in part]
    return sorted(whole, key=lambda event: (event[0], event[1].type == "note_on"))
