"""A stand-in for MagnaTagATune: clips of General MIDI music with tags that are true by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.sound.audio import in_channels
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.pipeline.sources._phrases import DRUM_BANK, DRUM_CHANNEL, Events, Player, beat, in_order, phrase
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

BAND = {
    "piano": Player((0, 1, 2, 3), 33, 90, chords=True, pedal=True),
    "harpsichord": Player((6,), 36, 84, chords=True),
    "organ": Player((16, 18, 19), 40, 84, sustained=True, chords=True),
    "guitar": Player((24, 25, 27), 40, 76, chords=True),
    "electric guitar": Player((29, 30), 40, 76, chords=True),
    "sitar": Player((104,), 48, 77),
    "harp": Player((46,), 36, 96),
    "strings": Player((48, 49, 50), 40, 84, sustained=True, chords=True),
    "violin": Player((40,), 55, 91, sustained=True),
    "cello": Player((42,), 36, 69, sustained=True),
    "brass": Player((56, 60, 61), 46, 80, sustained=True),
    "saxophone": Player((65, 66), 45, 80, sustained=True),
    "flute": Player((73, 75), 60, 91, sustained=True),
    "choir": Player((52, 53), 48, 79, sustained=True, chords=True),
    "synth": Player((81, 87, 90), 40, 84, sustained=True),
    "bass": Player((32, 33, 35), 28, 50),
}
MOODS = ("solo", "ensemble", "fast", "slow", "high", "low", "loud", "quiet", "reverberant", "distorted", "drums")
HIGH, LOW = (72, 96), (28, 50)
Split = Literal["train", "validation", "test"]


class GmTagsSettings(Frozen):
    """The number of clips and of pieces in each; a clip's pieces are one row each, played by the same players in the
    same manner.
    """

    clips: int = Field(300, ge=4, description="number of clips")
    pieces: int = Field(10, ge=1, description="10 pieces of 3 s are a clip of 30 s")
    soundfont: Path | None = Field(None, description="SoundFont file; by default the one found here")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


@dataclass(frozen=True)
class Clip:
    """The properties that are constant within a clip."""

    players: tuple[tuple[str, int], ...]
    beats_per_minute: float
    register: tuple[int, int] | None
    drums: bool
    level_db: float
    reverberant: bool
    distorted: bool
    tags: tuple[str, ...]
    split: Split


class GmTags:
    """Clips in turn, each a band of one to five players; everything depends on the seed, the clip and the piece
    only.
    """

    tags = (*BAND, *MOODS)

    def __init__(self, settings: GmTagsSettings) -> None:
        fluidsynth()
        self._settings = settings
        self._font = find_soundfont(settings.soundfont, "source.soundfont=FILE")
        self._clips = [self._clip(number) for number in range(settings.clips)]
        self.notes: Sequence[Note] = [
            Note(
                identity=f"clip{number:05d}/{piece:02d}",
                group=f"clip{number:05d}",
                clip=f"clip{number:05d}",
                tags=clip.tags,
                split=clip.split,
            )
            for number, clip in enumerate(self._clips)
            for piece in range(settings.pieces)
        ]

    def _clip(self, number: int) -> Clip:
        rng = generator(self._settings.seed, number_of("gm_tags"), number)
        share = rng.random()
        split: Split = "test" if share < 0.2 else "validation" if share < 0.3 else "train"
        count = 1 if rng.random() < 0.35 else int(rng.integers(2, 6))
        names = rng.permutation(list(BAND)).tolist()[:count]
        players = tuple((name, int(rng.choice(BAND[name].programs))) for name in names)
        tempo = rng.choice(["fast", "slow", ""])
        speed = {"fast": rng.uniform(150, 190), "slow": rng.uniform(45, 70)}.get(tempo, rng.uniform(90, 120))
        register = ""
        if count == 1:  # a band has players of all registers
            possible = [
                name
                for name, (low, high) in (("high", HIGH), ("low", LOW))
                if _overlap(BAND[names[0]], low, high) >= 12
            ]
            register = str(rng.choice([*possible, ""]))
        drums = bool(rng.random() < 0.35)
        loudness = rng.choice(["loud", "quiet", ""], p=[0.25, 0.25, 0.5])
        level = {"loud": 0.0, "quiet": rng.uniform(-19, -16)}.get(loudness, rng.uniform(-9, -5))
        reverberant, distorted = bool(rng.random() < 0.3), bool(rng.random() < 0.15)
        moods = {
            "solo": count == 1 and not drums,
            "ensemble": count > 2,
            "reverberant": reverberant,
            "distorted": distorted,
            "drums": drums,
        }
        there = {*names, tempo, register, loudness, *(mood for mood, is_so in moods.items() if is_so)}
        tags = tuple(tag for tag in self.tags if tag in there)
        bounds = {"high": HIGH, "low": LOW}.get(register)
        return Clip(players, float(speed), bounds, drums, float(level), reverberant, distorted, tags, split)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Play one piece of a clip: float32 (channels, samples), at the clip's own level below a peak of 1."""
        import pedalboard

        number, piece = divmod(index, self._settings.pieces)
        clip = self._clips[number]
        rng = generator(self._settings.seed, number_of("gm_tags"), number, piece + 1)
        parts: list[Events] = []
        for channel, (name, _) in enumerate(clip.players):
            player = BAND[name]
            register = None
            if clip.register:
                register = (max(player.low, clip.register[0]), min(player.high, clip.register[1]))
            parts.append(
                phrase(rng, player, samples / rate, channel, beats_per_minute=clip.beats_per_minute, register=register)
            )
        programs = [(channel, 0, program) for channel, (_, program) in enumerate(clip.players)]
        if clip.drums:
            parts.append(beat(rng, clip.beats_per_minute, samples / rate))
            programs.append((DRUM_CHANNEL, DRUM_BANK, 0))
        sound = play(self._font, programs, in_order(*parts), rate, samples)
        sound /= max(float(np.abs(sound).max()), 1e-6)
        if clip.distorted:
            sound = pedalboard.Distortion(drive_db=25)(sound, rate)
        if clip.reverberant:
            sound = pedalboard.Reverb(room_size=0.9, wet_level=0.5, dry_level=0.4)(sound, rate)
        sound = in_channels(sound, channels)
        sound = sound / max(float(np.abs(sound).max()), 1e-6) * 10 ** (clip.level_db / 20)
        return np.ascontiguousarray(sound, np.float32)


def _overlap(player: Player, low: int, high: int) -> int:
    return min(player.high, high) - max(player.low, low)


SOURCE = Source(
    summary="Stand-in for MagnaTagATune: clips of General MIDI music with tags that are true by construction.",
    settings=GmTagsSettings,
    open=GmTags,
)
