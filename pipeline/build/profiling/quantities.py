"""What is measured of a captured note: quantities that a knob may raise, and how far two notes are apart.

All are blind to phase, so that oscillators that run freely do not hide what a knob does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

FloatArray = NDArray[np.float64]
FLOOR_DB, RANGE_DB = -100.0, 60.0
"""Silence, and how far below the loudest place something still counts."""
PARTIALS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Partials relative to the note's fundamental: those of an organ's drawbars."""
FRAME, HOP = 4096, 1024
SEGMENTS = 16
BANDS_PER_OCTAVE, LOWEST_BAND = 3, 31.25


@dataclass(frozen=True)
class Quantity:
    """One quantity: its unit, the change that can be heard easily (`scale`), and the smallest that counts."""

    unit: str
    scale: float
    least: float
    meaning: str


QUANTITIES: dict[str, Quantity] = {
    "level": Quantity("dB", 6.0, 0.5, "level while the key is held"),
    "brightness": Quantity("octaves", 0.5, 0.06, "centroid of the spectrum"),
    "attack": Quantity("doublings", 1.0, 0.4, "time until the note is 3 dB below its peak"),
    "sustain": Quantity("dB", 6.0, 0.7, "level at the end of the held note, relative to its peak"),
    "release": Quantity("doublings", 1.0, 0.4, "time for 30 dB after the key is let go"),
    "pitch": Quantity("semitones", 1.0, 0.3, "shift of the spectrum"),
    "balance": Quantity("dB", 6.0, 0.7, "right channel relative to the left"),
    "width": Quantity("dB", 6.0, 0.7, "sides relative to the middle"),
    "noise": Quantity("dB", 6.0, 0.7, "flatness of the spectrum"),
    "motion": Quantity("dB", 1.0, 0.15, "change of the spectrum from frame to frame"),
    **{f"partial_{ratio:g}": Quantity("dB", 6.0, 1.0, f"partial at {ratio:g} times the note's frequency, relative to the level") for ratio in PARTIALS},
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """One note: its quantities (NaN where one cannot be told), and the profile that distances are taken of."""

    values: dict[str, float]
    bands_db: FloatArray
    envelope_db: FloatArray
    spectrum: FloatArray

    @property
    def silent(self) -> bool:
        """Whether nothing is heard."""
        return bool(self.envelope_db.max() <= FLOOR_DB + 10)


def measure(sound: Audio, rate: int, key: int, held_seconds: float) -> Measured:
    """Measure a note of MIDI key `key`, held for `held_seconds` from the start of the sound [shape=(channels,
    samples)]. Pitch is the business of `semitones_between`.
    """
    mono = sound.mean(axis=0).astype(np.float64)
    held = mono[: max(round(held_seconds * rate), FRAME)]
    frames = _frames(held)
    power = (np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) / (FRAME / 4)) ** 2
    hertz = np.fft.rfftfreq(FRAME, 1 / rate).astype(np.float64)
    mean = power.mean(axis=0)
    bands = _bands(power, hertz)
    mean_bands = _db(bands.mean(axis=0))
    envelope = _envelope_db(mono, rate)
    values = {
        "level": float(_db(np.array([np.mean(held**2)]))[0]),
        "brightness": _centroid(mean, hertz),
        "noise": _flatness_db(mean, hertz),
        "motion": _motion_db(_db(bands)),
        **_times(envelope, held_seconds),
        **_stereo(sound),
    }
    values |= _partials(held, rate, key, values["level"])
    if envelope.max() <= FLOOR_DB + 10:
        values = dict.fromkeys(values, float("nan")) | {"level": FLOOR_DB}
    segments = [part.max() for part in np.array_split(envelope, SEGMENTS)]
    return Measured(values, mean_bands, np.array(segments), _on_log_axis(mean, hertz))


def distance_db(one: Measured, other: Measured) -> float:
    """How far two notes are apart: the root mean square difference of their band levels or of their envelopes, or of
    their balance, whichever is largest. What lies `RANGE_DB` below the louder note counts as silence.
    """
    if one.silent and other.silent:
        return 0.0
    far = [0.0]
    for first, second in ((one.bands_db, other.bands_db), (one.envelope_db, other.envelope_db)):
        floor = max(first.max(), second.max()) - RANGE_DB
        clipped = np.maximum(first, floor) - np.maximum(second, floor)
        heard = (np.maximum(first, second) > floor) if first is one.bands_db else np.ones(len(first), bool)
        far.append(float(np.sqrt(np.mean(clipped[heard] ** 2))) if heard.any() else 0.0)
    sides = abs(one.values["balance"] - other.values["balance"])
    return max(*far, sides / 2 if np.isfinite(sides) else 0.0)


def semitones_between(one: Measured, other: Measured) -> float:
    """By how many semitones the spectrum of `other` lies above that of `one`; NaN where the shapes do not fit."""
    if one.silent or other.silent:
        return float("nan")
    shifts = np.arange(-_LOG_BINS_PER_OCTAVE * 2, _LOG_BINS_PER_OCTAVE * 2 + 1)
    fits = np.array([_correlation(one.spectrum, other.spectrum, int(shift)) for shift in shifts])
    best, still = int(fits.argmax()), fits[len(shifts) // 2]
    if fits[best] < still + 0.05:
        return 0.0 if still > 0.5 else float("nan")
    return float(shifts[best]) * 12 / _LOG_BINS_PER_OCTAVE if fits[best] > 0.7 else float("nan")


_LOG_BINS_PER_OCTAVE = 60


def _db(power: FloatArray) -> FloatArray:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10))))


def _frames(sound: FloatArray) -> FloatArray:
    starts = range(0, max(len(sound) - FRAME, 0) + 1, HOP)
    return np.stack([np.pad(sound[start : start + FRAME], (0, max(FRAME - len(sound) + start, 0))) for start in starts])


def _bands(power: FloatArray, hertz: FloatArray) -> FloatArray:
    """Power in thirds of an octave [shape=(frames, bands)]."""
    count = int(np.log2(hertz[-1] / LOWEST_BAND) * BANDS_PER_OCTAVE)
    band = np.floor(np.log2(np.maximum(hertz, 1.0) / LOWEST_BAND) * BANDS_PER_OCTAVE).astype(int)
    return np.stack([power[:, band == number].sum(axis=1) for number in range(count)], axis=1)


def _envelope_db(mono: FloatArray, rate: int) -> FloatArray:
    """Level in 5 ms steps."""
    hop = round(0.005 * rate)
    count = len(mono) // hop
    return _db((mono[: count * hop].reshape(count, hop) ** 2).mean(axis=1))


def _centroid(power: FloatArray, hertz: FloatArray) -> float:
    """Centroid of the magnitudes, in octaves above 1 Hz."""
    magnitude = np.sqrt(np.where(power > power.max() * 10 ** (-RANGE_DB / 10), power, 0.0))
    magnitude[hertz < 20] = 0.0
    return float(np.log2(max((magnitude * hertz).sum() / max(magnitude.sum(), 1e-30), 1.0)))


def _flatness_db(power: FloatArray, hertz: FloatArray) -> float:
    heard = np.maximum(power[(hertz > 50) & (hertz < 10_000)], power.max() * 1e-8 + 1e-20)
    return float(10 * (np.log10(heard).mean() - np.log10(heard.mean())))


def _motion_db(bands_db: FloatArray) -> float:
    steady = bands_db[1:]  # the attack aside
    if len(steady) < 3:
        return float("nan")
    floored = np.maximum(steady, steady.max() - 40)
    return float(np.sqrt(np.mean(np.diff(floored, axis=0) ** 2)))


def _times(envelope: FloatArray, held_seconds: float) -> dict[str, float]:
    smooth = np.convolve(10 ** (envelope / 10), np.ones(4) / 4, "same")
    level = _db(smooth)
    off = min(round(held_seconds / 0.005), len(level) - 1)
    peak = int(level[:off].argmax()) if off else 0
    top = level[:off].max() if off else FLOOR_DB
    reached = int(np.flatnonzero(level[:off] >= top - 3)[0]) if off else 0
    end = level[max(off - 10, peak) : off].mean() if off > peak else top
    after = np.flatnonzero(level[off:] < level[max(off - 1, 0)] - 30)
    gone = int(after[0]) if len(after) else len(level) - off
    return {
        "attack": float(np.log2(reached * 0.005 + 0.005)),
        "sustain": float(max(end - top, -RANGE_DB)),
        "release": float(np.log2(gone * 0.005 + 0.01)),
    }


def _stereo(sound: Audio) -> dict[str, float]:
    if len(sound) < 2:
        return {"balance": 0.0, "width": -RANGE_DB}
    left, right = (_db(np.array([np.mean(one.astype(np.float64) ** 2)]))[0] for one in sound[:2])
    middle, side = (float(np.mean(one.astype(np.float64) ** 2)) for one in (sound[0] + sound[1], sound[0] - sound[1]))
    width = 10 * np.log10((side + 1e-12) / (middle + 1e-12))
    return {"balance": float(np.clip(right - left, -40, 40)), "width": float(np.clip(width, -RANGE_DB, 20))}


def _partials(held: FloatArray, rate: int, key: int, level: float) -> dict[str, float]:
    """Each partial within a third of a semitone, relative to the whole note; NaN for one that is not there: 50 dB below
    the strongest.
    """
    length = 2 ** int(np.log2(max(len(held), FRAME)))
    part = held[-length:]
    spectrum = (np.abs(np.fft.rfft(part * np.hanning(len(part)))) / (len(part) / 4)) ** 2
    hertz = np.fft.rfftfreq(len(part), 1 / rate)
    levels = {}
    for ratio in PARTIALS:
        centre = 440 * 2 ** ((key - 69) / 12) * ratio
        wide = max(centre * (2 ** (0.33 / 12) - 1), 1.5 * rate / len(part))
        near = np.abs(hertz - centre) <= wide
        levels[f"partial_{ratio:g}"] = float(_db(np.array([spectrum[near].sum()]))[0])
    floor = max(max(levels.values()) - 50, FLOOR_DB + 10)
    return {name: value - level if value > floor else float("nan") for name, value in levels.items()}


def _on_log_axis(power: FloatArray, hertz: FloatArray) -> FloatArray:
    """Levels over a logarithmic frequency axis, standing out from their surroundings."""
    octaves = int(np.log2(hertz[-1] / 40))
    axis = 40 * 2 ** (np.arange(octaves * _LOG_BINS_PER_OCTAVE) / _LOG_BINS_PER_OCTAVE)
    level = np.interp(axis, hertz, _db(power))
    level = np.maximum(level, level.max() - RANGE_DB)
    around = np.convolve(np.pad(level, 30, mode="edge"), np.ones(61) / 61, "valid")
    return np.asarray(np.maximum(level - around, 0.0))


def _correlation(one: FloatArray, other: FloatArray, shift: int) -> float:
    a, b = (one[: len(one) - shift], other[shift:]) if shift >= 0 else (one[-shift:], other[:shift])
    return float((a * b).sum() / np.sqrt(max((a**2).sum() * (b**2).sum(), 1e-20)))
