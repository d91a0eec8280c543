"""A stand-in for jingju a cappella: phrases of a synthetic singing voice, with the phoneme of every moment.

Syllables are an initial (a consonant, a glide), a final (a vowel, a diphthong, a vowel with its nasal) and sometimes a
nasal tail, drawn at random, the finals sung over one to three notes of a pentatonic scale with vibrato. Formants move
from sound to sound in about 70 ms (coarticulation). Every recording has a singer of its own: vocal tract, pitch,
vibrato, breath, softness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.shipped import read_table
from timbre_data.pipeline.catalogue.source import Note, Segment, Source
from timbre_data.pipeline.sound.singing import CONTROL_HZ, FORMANTS, Controls, sing
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

Role = Literal["dan", "laosheng"]


@dataclass(frozen=True)
class Sound:
    """A phoneme: first four formants in Hz (a man's) at its beginning and end, and how much voice, breath and hiss (dB)
    it has.
    """

    begin: tuple[float, float, float, float]
    end: tuple[float, float, float, float]
    voice_db: float = 0.0
    hiss_db: float = -120.0
    hiss_hz: float = 5000.0
    nasal_end: bool = False


def _vowel(f1: float, f2: float, f3: float = 2500, f4: float = 3500) -> Sound:
    return Sound((f1, f2, f3, f4), (f1, f2, f3, f4))


def _glide(begin: Sound, end: Sound, *, nasal: bool = False) -> Sound:
    return Sound(begin.begin, end.begin, nasal_end=nasal)


A_FRONT, A_BACK, E_OPEN, E_MID = _vowel(760, 1350), _vowel(700, 1020), _vowel(560, 1800), _vowel(420, 1980)
O_OPEN, O_MID, U_CLOSE, U_LAX = _vowel(560, 860), _vowel(430, 760), _vowel(310, 700), _vowel(390, 920)
I_CLOSE, Y_CLOSE, SCHWA = _vowel(280, 2250, 2950), _vowel(280, 1850, 2150), _vowel(500, 1450)
SEVEN, M_BACK, ONE = _vowel(460, 1120), _vowel(330, 1250), _vowel(330, 1600, 2650)
NASAL_FRONT, NASAL_BACK = _vowel(270, 1480, 2350), _vowel(270, 1000, 2150)
FINALS = {
    "an": _glide(A_FRONT, NASAL_FRONT, nasal=True),
    "in": _glide(I_CLOSE, NASAL_FRONT, nasal=True),
    "aI^": _glide(A_FRONT, _vowel(360, 2050)),
    "7N": _glide(SEVEN, NASAL_BACK, nasal=True),
    "@n": _glide(SCHWA, NASAL_FRONT, nasal=True),
    "eI^": _glide(E_MID, I_CLOSE),
    "1": ONE,
    "7": SEVEN,
    "iN": _glide(I_CLOSE, NASAL_BACK, nasal=True),
    "@": SCHWA,
    "E": E_OPEN,
    "M": M_BACK,
    "O": O_OPEN,
    "oU^": _glide(O_MID, U_LAX),
    "AN": _glide(A_BACK, NASAL_BACK, nasal=True),
    "AU^": _glide(A_BACK, U_LAX),
    "a": A_FRONT,
    "En": _glide(E_OPEN, NASAL_FRONT, nasal=True),
    "i": I_CLOSE,
    "UN": _glide(U_LAX, NASAL_BACK, nasal=True),
    "u": U_CLOSE,
    "y": Y_CLOSE,
}
VOICED = tuple(
    Sound(formants, formants, voice_db=-9, nasal_end=nasal)
    for formants, nasal in (
        ((250, 1050, 2200, 3300), True),
        ((340, 1150, 2750, 3400), False),
        ((250, 1500, 2450, 3400), True),
    )
)
"""m, l, n"""
UNVOICED = tuple(
    Sound((500, place, 2500, 3500), (500, place, 2500, 3500), voice_db=-120, hiss_db=level, hiss_hz=hertz)
    for hertz, level, place in (
        (7000, -14, 1700),
        (6200, -24, 1200),
        (1900, -18, 1900),
        (7600, -12, 1800),
        (1500, -20, 1300),
    )
)
"""c, f, k, s, x"""
INITIALS = {
    "j": Sound(I_CLOSE.begin, I_CLOSE.begin, voice_db=-3),
    "r\\'": Sound((330, 1350, 1700, 3200), (330, 1350, 1700, 3200), voice_db=-6, hiss_db=-34, hiss_hz=3000),
}
TAIL = Sound(NASAL_BACK.begin, NASAL_BACK.begin, voice_db=-7, nasal_end=True)
STOP = Sound(SCHWA.begin, SCHWA.begin, voice_db=-26)
SILENCE = Sound(SCHWA.begin, SCHWA.begin, voice_db=-120)
PENTATONIC = (0, 2, 4, 7, 9, 12, 14)
BLEND_SECONDS, ATTACK_SECONDS, SLIDE_SECONDS = 0.07, 0.03, 0.06
FLOOR_DB = -62.0


class SungPhonemesSettings(Frozen):
    """The number of recordings, each of a singer of its own, the number of phrases in each, and the length of a
    phrase.
    """

    role: Role = Field("dan", description="young female (dan) or old male (laosheng) voices")
    recordings: int = Field(120, ge=1, description="number of recordings")
    phrases: int = Field(4, ge=1, description="of each recording")
    seconds: float = Field(5.0, gt=0.5, description="duration of a recording in seconds")
    tract: tuple[float, float] = Field(
        (0.93, 1.07),
        description="least and largest factor of a singer's formants, of the length of the vocal tract; [1, 1] gives all singers the same",
    )
    seed: int = Field(0, ge=0, description="seed of the random numbers")


@dataclass(frozen=True)
class _Part:
    """A stretch of one phoneme, its notes in semitones over the singer's lowest."""

    start: float
    stop: float
    label: str
    sound: Sound
    notes: tuple[int, ...] = (0,)


class SungPhonemes:
    """Phrases, recording by recording; each depends on the seed, its recording and its number only."""

    frame_classes = tuple(read_table("jingju-phonemes"))

    def __init__(self, settings: SungPhonemesSettings) -> None:
        self._settings = settings
        self.notes: Sequence[Note] = [
            Note(
                identity=f"{settings.role}{recording:04d}/{phrase:03d}",
                group=f"{settings.role}{recording:04d}",
                segments=self._segments(recording, phrase),
            )
            for recording in range(settings.recordings)
            for phrase in range(settings.phrases)
        ]

    def _rng(self, recording: int, phrase: int, use: int) -> np.random.Generator:
        role = 0 if self._settings.role == "dan" else 1
        return generator(self._settings.seed, number_of("sung_phonemes"), role, recording, phrase, use)

    def _segments(self, recording: int, phrase: int) -> tuple[Segment, ...]:
        parts = _text(self._rng(recording, phrase, 0), self._settings.seconds)
        return tuple((part.start, part.stop, part.label) for part in parts)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Sing a phrase: float32 (channels, samples), peak at 1, silence after its end."""
        recording, phrase = divmod(index, self._settings.phrases)
        parts = _text(self._rng(recording, phrase, 0), self._settings.seconds)
        singer = _Singer(self._rng(recording, 0, 1), self._settings)
        rng = self._rng(recording, phrase, 2)
        count = min(samples, round(self._settings.seconds * rate))
        sound = np.zeros(samples, np.float32)
        controls = singer.controls(parts, self._settings.seconds, rng)
        sound[:count] = sing(controls, rate, count, rng, singer.tilt_hz, singer.jitter)
        sound /= np.abs(sound).max()
        floor = rng.standard_normal(samples).astype(np.float32) * 10 ** (singer.floor_db / 20)
        sound += floor
        return np.repeat(sound[None] / np.abs(sound).max(), channels, axis=0)


class _Singer:
    """The characteristics of the singer of a recording."""

    def __init__(self, rng: np.random.Generator, settings: SungPhonemesSettings) -> None:
        young = settings.role == "dan"
        self.tract = (1.17 if young else 1.0) * rng.uniform(*settings.tract)
        self.lowest_hz = (300 if young else 150) * 2 ** rng.uniform(-0.2, 0.2)
        self.vibrato_hz = rng.uniform(5.2, 6.5) if young else rng.uniform(4.3, 5.6)
        self.vibrato_cents = rng.uniform(20, 90)
        self.breath_db = rng.uniform(-58, -42)
        self.tilt_hz = rng.uniform(2000, 6000)
        self.jitter = rng.uniform(0.001, 0.006)
        self.floor_db = rng.uniform(FLOOR_DB - 8, FLOOR_DB + 8)
        self.bandwidth = rng.uniform(0.8, 1.3)
        self.habits = rng.uniform(0.95, 1.05, FORMANTS)

    def controls(self, parts: Sequence[_Part], seconds: float, rng: np.random.Generator) -> Controls:
        """The controls of the voice in a phrase."""
        t = np.arange(round(seconds * CONTROL_HZ) + 2) / CONTROL_HZ
        formants = np.empty((len(t), FORMANTS))
        wide = np.ones(len(t))
        cents, voice_db, hiss_db, hiss_hz = np.zeros(len(t)), *(np.full(len(t), level) for level in (-120.0, -120.0)), np.full(len(t), 5000.0)  # fmt: skip
        for part in parts:
            now = (t >= part.start) & (t < part.stop)
            along = (t[now] - part.start) / (part.stop - part.start)
            course = np.clip((along - 0.35) / 0.4, 0, 1)[:, None]  # a diphthong moves in its middle
            begin, end = np.array(part.sound.begin), np.array(part.sound.end)
            glide = begin * (end / begin) ** course
            formants[now] = np.append(glide, np.full((len(glide), 1), 4300.0), axis=1)
            wide[now] = 1 + 1.5 * part.sound.nasal_end * course[:, 0]
            cents[now] = 100 * np.array(part.notes)[np.minimum((along * len(part.notes)).astype(int), len(part.notes) - 1)]  # fmt: skip
            voice_db[now] = part.sound.voice_db - 6 * part.sound.nasal_end * course[:, 0]
            hiss_db[now], hiss_hz[now] = part.sound.hiss_db, part.sound.hiss_hz
        formants[t >= parts[-1].stop] = formants[np.flatnonzero(t < parts[-1].stop)[-1]]
        formants = _smooth(np.log(formants), BLEND_SECONDS)
        formants = np.exp(formants) * self.habits * self.tract
        rates = np.array([60, 80, 120, 180, 260]) * self.bandwidth
        phase = 2 * np.pi * np.cumsum(self.vibrato_hz * (1 + 0.05 * _drift(rng, len(t)))) / CONTROL_HZ
        pitch = _smooth(cents, SLIDE_SECONDS) + self.vibrato_cents * np.sin(phase) + 15 * _drift(rng, len(t))
        voice = _smooth(10 ** (voice_db / 20), ATTACK_SECONDS) * 10 ** (3 * _drift(rng, len(t)) / 20)
        return Controls(
            f0=self.lowest_hz * 2 ** (pitch / 1200),
            voice=voice,
            breath=voice * 10 ** (self.breath_db / 20) + 0.02 * _smooth(10 ** (hiss_db / 20), 0.015),
            hiss=_smooth(10 ** (hiss_db / 20), 0.015),
            hiss_hz=hiss_hz,
            formants=formants,
            bandwidths=rates * wide[:, None],
        )


def _text(rng: np.random.Generator, seconds: float) -> list[_Part]:
    """The text and notes of a phrase."""
    parts: list[_Part] = []
    time = 0.0
    note = int(rng.integers(len(PENTATONIC)))

    def add(label: str, sound: Sound, length: float, notes: Sequence[int]) -> None:
        nonlocal time
        if time < seconds - 0.02:
            stop = min(time + length, seconds)
            parts.append(_Part(time, stop, label, sound, tuple(PENTATONIC[place] for place in notes)))
            time = stop

    while time < seconds - 0.02:
        kind = rng.random()
        if kind < 0.32:
            add("unvoiced consonant", UNVOICED[int(rng.integers(len(UNVOICED)))], rng.uniform(0.07, 0.16), [note])
        elif kind < 0.5:
            add("voiced consonant", VOICED[int(rng.integers(len(VOICED)))], rng.uniform(0.06, 0.13), [note])
        elif kind < 0.75:
            name = str(rng.choice(list(INITIALS)))
            add(name, INITIALS[name], rng.uniform(0.07, 0.15), [note])
        final = str(rng.choice(list(FINALS)))
        course = [note]
        for _ in range(int(rng.integers(0, 3))):
            course.append(int(np.clip(course[-1] + rng.integers(-2, 3), 0, len(PENTATONIC) - 1)))
        add(final, FINALS[final], float(np.clip(rng.lognormal(np.log(0.4), 0.55), 0.15, 1.8)), course)
        note = course[-1]
        if final in ("7N", "iN", "AN", "UN") and rng.random() < 0.6:
            add("N", TAIL, rng.uniform(0.12, 0.5), [note])
        if rng.random() < 0.25:
            add("?", STOP, rng.uniform(0.05, 0.12), [note])
        elif rng.random() < 0.3:
            add("sil", SILENCE, rng.uniform(0.12, 0.5), [note])
    return parts


def _smooth(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """A moving average with a Hann window so long, edges repeated [shape as values, time first]."""
    from scipy.ndimage import convolve1d

    window = np.hanning(max(3, round(seconds * CONTROL_HZ)) | 1)
    smoothed: NDArray[np.float64] = convolve1d(values, window / window.sum(), axis=0, mode="nearest")
    return smoothed


def _drift(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Slow random movement of deviation about 1, a few times a second [shape=(count,)]."""
    knots = rng.standard_normal(count // 150 + 3)
    return np.interp(np.arange(count) / 150, np.arange(len(knots)), knots)


SOURCE = Source(
    summary="Stand-in for jingju a cappella: phrases of a synthetic singing voice, with the phoneme of every frame.",
    settings=SungPhonemesSettings,
    open=SungPhonemes,
)
