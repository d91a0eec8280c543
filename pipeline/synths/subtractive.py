"""A subtractive synthesiser with the signal path of a Minimoog: three oscillators and noise, a mixer, a 24 dB ladder,
two envelopes.

Every key has a voice of its own, so chords and phrases play too. A row's sound depends on its patch and its notes
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.seeding import number_of
from timbre_data.pipeline.catalogue.synth import Synth
from timbre_data.pipeline.sound.voice import add_noise, add_oscillator, envelope, harmonics, ladder, wave_table
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.parameter import Condition, Parameter
from timbre_data.schemas.space import ParameterSpace

RANGES = ("lo", "32", "16", "8", "4", "2")
"""Organ-pipe lengths in feet; 8' is the key's own pitch, "lo" makes single clicks."""
OCTAVES = (-5.0, -2.0, -1.0, 0.0, 1.0, 2.0)
TRACKING = ("off", "one_third", "two_thirds", "full")
SIX_VALUES = (0, 26, 51, 77, 102, 127)
"""Control values at which the six positions begin (Assayag)."""
CONTOUR_OCTAVES = 6.0
LEVEL = 0.25
"""Of one oscillator at full volume: three of them, and resonance, stay below full scale."""


class SubtractiveSettings(Frozen):
    """It has none: everything is a parameter."""


def _oscillator(i: int) -> list[Parameter]:
    second = "reverse_saw" if i == 3 else "shark"
    waveforms = ("triangle", second, "saw", "square", "wide_pulse", "narrow_pulse")
    audible = Condition(parameter=f"osc{i}_volume", above=0.0)
    return [
        Parameter(name=f"osc{i}_on", kind="switch", description="the mixer's switch"),
        Parameter(name=f"osc{i}_volume", condition=Condition(parameter=f"osc{i}_on", values=(1,)), description="mixer", unit="1"),
        Parameter(name=f"osc{i}_range", kind="choice", positions=RANGES, midi_values=SIX_VALUES, unit="feet", condition=audible, description="register of the oscillator, in organ feet"),
        Parameter(name=f"osc{i}_tuning", low=-7, high=7, unit="semitones", condition=audible, description="detuning against the key"),
        Parameter(name=f"osc{i}_waveform", kind="choice", positions=waveforms, midi_values=SIX_VALUES, condition=audible, description="waveform of the oscillator"),
    ]  # fmt: skip


def _envelope(name: str) -> list[Parameter]:
    return [
        Parameter(name=f"{name}_attack", kind="log", low=0.001, high=5, unit="s", description="straight rise to the top"),
        Parameter(name=f"{name}_decay", kind="log", low=0.005, high=5, unit="s", description="until a thousandth is left"),
        Parameter(name=f"{name}_sustain", description="level while the key is held", unit="1"),
        Parameter(name=f"{name}_release", kind="log", low=0.005, high=5, unit="s", description="after the key"),
    ]  # fmt: skip


SPACE = ParameterSpace.of(
    *_oscillator(1),
    *_oscillator(2),
    *_oscillator(3),
    Parameter(name="noise_on", kind="switch", description="the mixer's switch"),
    Parameter(
        name="noise_volume", condition=Condition(parameter="noise_on", values=(1,)), description="mixer", unit="1"
    ),
    Parameter(
        name="noise_colour",
        kind="choice",
        positions=("white", "pink"),
        condition=Condition(parameter="noise_volume", above=0.0),
        description="spectrum of the noise",
    ),
    Parameter(
        name="cutoff", kind="log", low=20, high=18_000, unit="Hz", description="cut-off frequency of the ladder filter"
    ),
    Parameter(name="resonance", description="feedback; the filter sounds by itself from 0.95 on", unit="1"),
    Parameter(
        name="contour", description="how far the filter's envelope raises the cut-off: six octaves at 1", unit="1"
    ),
    Parameter(name="keyboard_tracking", kind="choice", positions=TRACKING, description="the cut-off follows the key"),
    *_envelope("filter"),
    *_envelope("amp"),
)
PHASES = (0.0, 0.37, 0.71)
"""Initial phases of the oscillators: apart, so that equal ones do not simply add up."""


class Subtractive:
    """The synthesiser at one sampling rate."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels

    def play(self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int) -> Audio:
        """Play each performance with its own patch: float32 (n, channels, samples)."""
        out = np.zeros((len(performances), self._channels, samples), np.float32)
        for k, (performance, patch) in enumerate(zip(performances, values, strict=True)):
            for note in performance.notes:
                self._add_note(out[k, 0], note, patch)
            out[k, 1:] = out[k, 0]
        return out

    def close(self) -> None:
        """Nothing to let go of."""

    def _add_note(self, out: Audio, note: PlayedNote, patch: Mapping[str, float]) -> None:
        rate, start = self._rate, round(note.start_seconds * self._rate)
        room = len(out) - start
        if room <= 0:
            return
        gate = min((note.stop_seconds - note.start_seconds) * rate, float(room))
        amplitude, contour = np.empty(room, np.float32), np.empty(room, np.float32)
        length = envelope(amplitude, rate, gate, _adsr(patch, "amp"))
        if not length:
            return
        envelope(contour[:length], rate, gate, _adsr(patch, "filter"))
        amplitude *= np.float32(note.velocity / 127)
        mixed = np.zeros(length, np.float32)
        for i in (1, 2, 3):
            volume = patch[f"osc{i}_volume"] * patch[f"osc{i}_on"]
            if volume > 0:
                octave = OCTAVES[int(patch[f"osc{i}_range"])]
                frequency = 440.0 * 2 ** ((note.key - 69 + patch[f"osc{i}_tuning"]) / 12 + octave)
                if frequency < rate / 2:
                    table = wave_table(_waveform(i, patch), harmonics(rate, frequency))
                    add_oscillator(mixed, table, frequency / rate, PHASES[i - 1], volume * LEVEL)
        if patch["noise_on"] * patch["noise_volume"] > 0:
            seed = number_of(f"{note.key} {note.start_seconds:.6f} {sorted(patch.items())}")
            add_noise(mixed, seed, patch["noise_volume"] * LEVEL, patch["noise_colour"] == 1)
        tracked = patch["cutoff"] * 2 ** (patch["keyboard_tracking"] / 3 * (note.key - 60) / 12)
        ladder(mixed, contour[:length], amplitude[:length], out[start : start + length], rate, tracked, CONTOUR_OCTAVES * patch["contour"], patch["resonance"])  # fmt: skip


def _waveform(i: int, patch: Mapping[str, float]) -> str:
    return SPACE[f"osc{i}_waveform"].positions[int(patch[f"osc{i}_waveform"])]


def _adsr(patch: Mapping[str, float], name: str) -> np.ndarray:
    return np.array([patch[f"{name}_{part}"] for part in ("attack", "decay", "sustain", "release")])


def unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    """Parameters that leave no trace: an envelope's later parts when the attack fills the sound, the filter's without
    contour or above hearing.
    """
    hidden: set[str] = set()
    for name in ("filter", "amp"):
        if values[f"{name}_attack"] > 0.9 * seconds:
            hidden |= {f"{name}_decay", f"{name}_sustain"}
        if values[f"{name}_sustain"] > 0.98:
            hidden.add(f"{name}_decay")
    closed = values["amp_sustain"] < 0.01 and values["amp_attack"] + values["amp_decay"] < 0.1 * seconds
    if values["contour"] < 0.01 or values["cutoff"] > 16_000 or closed:
        hidden |= {f"filter_{part}" for part in ("attack", "decay", "sustain", "release")}
    return hidden


def _open(settings: SubtractiveSettings, rate: int, channels: int, isolation: str) -> Subtractive:
    return Subtractive(rate, channels)


SYNTH = Synth(
    summary="Our own subtractive synthesiser with the Minimoog's signal path; in-process and deterministic.",
    settings=SubtractiveSettings,
    space=lambda settings: SPACE,
    open=_open,
    interchangeable=(("osc1_", "osc2_", "osc3_"),),
    unidentifiable=unidentifiable,
)
