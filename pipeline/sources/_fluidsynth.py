"""FluidSynth, one fresh synthesiser for everything that is played: a used one carries the tail of what came before.

Its samples are taken as floats. As 16-bit ones they would be dithered with C's `rand()`, which depends on whatever else
runs in the process; a soft note, brought to a peak of 1, would have that noise at -22 dB.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import MissingDependencyError, NotFoundError

SLOWEST, FASTEST = 8_000, 96_000
"""Rates of FluidSynth (`synth.sample-rate`), Hz."""
SEARCH = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
    Path("/usr/share/soundfonts/default.sf2"),
    Path("/usr/share/sounds/sf2/default-GM.sf2"),
)
INSTALL = "install FluidSynth and a SoundFont: pip install 'timbre-data[soundfont]' and, on Debian, apt-get install libfluidsynth3 fluid-soundfont-gm (or timgm6mb-soundfont)"


def find_soundfont(path: Path | None, setting: str = "source.path=FILE") -> Path:
    """Return the SoundFont to use; raise an error that says what to install or to set."""
    if path is not None:
        if not path.expanduser().is_file():
            raise NotFoundError(f"soundfont: there is no file {path}. Give an SF2 file with --set {setting}.")
        return path.expanduser()
    for candidate in SEARCH:
        if candidate.is_file():
            return candidate
    raise MissingDependencyError(
        f"soundfont: no SoundFont on this machine; {INSTALL}, or give an SF2 file with --set {setting}."
    )


_FIRST = threading.Lock()
"""FluidSynth fills its tables when the first synthesiser is made, and does not make a second one wait for that."""


def fluidsynth() -> Any:
    """The library. Raises `MissingDependencyError`."""
    try:
        import fluidsynth as module
    except (ImportError, OSError):
        raise MissingDependencyError(f"soundfont: FluidSynth is missing; {INSTALL}.") from None
    return module


@cache
def _write_float() -> Any:
    """`fluid_synth_write_float`, which pyfluidsynth leaves out."""
    buffers = [
        part
        for side in "lr"
        for part in (
            (f"{side}out", ctypes.c_void_p, 1),
            (f"{side}off", ctypes.c_int, 1),
            (f"{side}incr", ctypes.c_int, 1),
        )
    ]
    return fluidsynth().cfunc(
        "fluid_synth_write_float", ctypes.c_int, ("synth", ctypes.c_void_p, 1), ("len", ctypes.c_int, 1), *buffers
    )


def play(
    soundfont: Path,
    programs: Sequence[tuple[int, int, int]],
    events: Sequence[tuple[float, Any]],
    rate: int,
    samples: int,
    *,
    semitones: int = 0,
) -> Audio:
    """Play MIDI messages (seconds, `mido.Message`), in order, on (channel, bank, program)s: float32 [shape=(2,
    samples)].

    `semitones` is varispeed: the synthesiser runs so much faster, on keys moved down by as much, so that formants,
    envelopes and vibrato move and pitches and the times of the messages do not. It is left out at rates where
    FluidSynth could not (below 8 or above 96 kHz).

    Raises `NotFoundError` for what is no SoundFont, or a program that it does not have.
    """
    speed = 2 ** (semitones / 12)
    if not SLOWEST <= rate / speed <= FASTEST:
        semitones, speed = 0, 1.0
    with _FIRST:
        synth = fluidsynth().Synth(gain=0.8, samplerate=rate / speed)
    sound = np.zeros((2, samples), np.float32)
    left, right = (side.ctypes.data for side in sound)
    try:
        for name in ("synth.reverb.active", "synth.chorus.active"):
            synth.setting(name, 0)
        synth.setting(
            "synth.dynamic-sample-loading", 1
        )  # only what is played: a compressed SoundFont takes 10 s otherwise
        number = synth.sfload(str(soundfont))
        if number == -1:
            raise NotFoundError(f"soundfont: {soundfont} is not a SoundFont that FluidSynth can read.")
        for channel, bank, program in programs:
            if synth.program_select(channel, number, bank, program) == -1:
                raise NotFoundError(f"soundfont: {soundfont.name} has no program {program} in bank {bank}.")
        done = 0
        for seconds, message in (*events, (samples / rate, None)):
            until = min(round(seconds * rate), samples)
            if until > done:
                _write_float()(synth.synth, until - done, left, done, 1, right, done, 1)
                done = until
            if message is not None:
                _send(synth, message, semitones)
    finally:
        synth.delete()
    return sound


def _send(synth: Any, message: Any, down: int) -> None:
    if message.type == "note_on" and message.velocity:
        synth.noteon(message.channel, message.note - down, message.velocity)
    elif message.type in ("note_on", "note_off"):
        synth.noteoff(message.channel, message.note - down)
    elif message.type == "control_change":
        synth.cc(message.channel, message.control, message.value)
    elif message.type == "pitchwheel":
        synth.pitch_bend(message.channel, message.pitch)
