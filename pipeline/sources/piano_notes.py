"""Piano notes, every semitone at sixteen velocities, one pitch class kept for testing: the input of Martinez Ramirez &
Reiss 2018.

From the Salamander Grand Piano where its folder is given (recorded at every third semitone, so most notes are played a
little faster or slower than they were recorded), else from a SoundFont. What a SoundFont plays gets the noise floor of
a recording: it excites, in soft notes, the frequencies that a piano leaves silent. Pairs without it teach an equaliser
the bands of the notes only, and it is decibels off in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of, share
from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.importers._sfz import Region
from timbre_data.pipeline.importers.salamander import NOISES, SalamanderSettings, open_piano
from timbre_data.pipeline.sound.audio import in_channels, prepare_note, readable
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError

GRAND_PIANO = 0
"""General MIDI program, counted from 0."""
LAYERS = 16


class PianoNotesSettings(Frozen):
    """The piano and its keys, and the notes held out from training: all notes of `test_pitch_class` (11 is B), and for
    validation a share of the other keys.

    The noise is white, and the same for all notes of a SoundFont before each is brought to its level: soft ones are
    nearer to it.
    """

    path: Path | None = Field(None, description="folder of the Salamander Grand Piano; without it, a SoundFont plays")
    soundfont: Path | None = Field(None, description="SoundFont file; by default the one found here")
    noise_db: float | None = Field(
        -96.3,
        le=-40,
        description="a SoundFont's noise floor (RMS, dB of full scale): that of 16 bits with triangular dither; null for none",
    )
    keys: tuple[int, int] = Field((21, 108), description="lowest and highest MIDI note")
    test_pitch_class: int = Field(11, ge=0, le=11, description="pitch class kept for testing, 0 for C")
    validation: float = Field(0.05, ge=0, lt=1, description="share of the other notes used for validation")


class PianoNotes:
    """Key by key, each at sixteen velocities."""

    def __init__(self, settings: PianoNotesSettings) -> None:
        low, high = settings.keys
        if not 0 <= low <= high <= 127:
            raise UsageError("piano_notes: keys must be [low, high] within 0-127.")
        self._regions: dict[tuple[int, int], tuple[Path, Region]] = {}
        if settings.path is None:
            fluidsynth()
            self._font = find_soundfont(settings.soundfont, "source.soundfont=FILE")
            key_layers = [(key, layer) for key in range(low, high + 1) for layer in range(1, LAYERS + 1)]
        else:
            key_layers = self._sampled(settings, low, high)
        self._chosen = key_layers
        self._noise_db = settings.noise_db
        piano = "salamander" if settings.path else self._font.stem
        self.notes: Sequence[Note] = [self._note(piano, key, layer, settings) for key, layer in key_layers]

    def _sampled(self, settings: PianoNotesSettings, low: int, high: int) -> list[tuple[int, int]]:
        """Keys and velocity layers of the sampled piano. Raises `UsageError` where it has none in the range."""
        assert settings.path is not None
        folder, _, regions = open_piano(SalamanderSettings(path=settings.path))
        notes = [one for one in regions if not NOISES.match(Path(one.sample).name)]
        layers = {velocity: k for k, velocity in enumerate(sorted({one.low_velocity for one in notes}), 1)}
        for one in notes:
            for key in range(max(low, one.low_key), min(high, one.high_key) + 1):
                self._regions[key, layers[one.low_velocity]] = folder / one.sample, one
        if not self._regions:
            raise UsageError(f"piano_notes: {folder} has no notes between {low} and {high}.")
        return sorted(self._regions)

    def _note(self, piano: str, key: int, layer: int, settings: PianoNotesSettings) -> Note:
        test = key % 12 == settings.test_pitch_class
        validation = share(f"piano key {key}", 0) < settings.validation
        return Note(
            identity=f"{piano}/key{key:03d}/layer{layer:02d}",
            group=f"key{key:03d}",
            split="test" if test else "validation" if validation else "train",
            midi_note=float(key),
            velocity=layer / LAYERS,
            f0_hz=key_hz(key),
        )

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Note `index`, held throughout: float32 (channels, samples) from its onset, peak at 1."""
        key, layer = self._chosen[index]
        sound = self._recorded(key, layer, rate) if self._regions else self._played(key, layer, rate, samples)
        return prepare_note(in_channels(sound, channels), rate, samples, cut_onset=True, threshold_db=-40.0)

    def _played(self, key: int, layer: int, rate: int, samples: int) -> Audio:
        from mido import Message

        velocity = min(127, 8 * layer)
        events = [(0.0, Message("note_on", note=key, velocity=velocity))]
        sound = play(self._font, [(0, 0, GRAND_PIANO)], events, rate, samples + rate // 4)
        if self._noise_db is not None:
            noise = generator(number_of("piano noise"), key, layer).standard_normal(sound.shape[1], np.float32)
            sound += np.float32(10 ** (self._noise_db / 20)) * noise
        return sound

    def _recorded(self, key: int, layer: int, rate: int) -> Audio:
        """The sample of a key, faster or slower where it was recorded at a neighbour."""
        import soundfile
        import soxr

        path, region = self._regions[key, layer]
        with readable():
            sound, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
        faster = 2 ** ((key - region.key_center) / 12)
        return np.ascontiguousarray(soxr.resample(sound, file_rate * faster, rate).T, np.float32)


SOURCE = Source(
    summary="Piano notes at sixteen velocities, from the Salamander Grand Piano or a SoundFont, one pitch class for testing.",
    settings=PianoNotesSettings,
    open=PianoNotes,
)
