"""Sound as arrays: reading files, onset, level, and the 16-bit form in which datasets keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.pipeline.kinds import Audio, UnusableSoundError

SILENCE_PEAK = 1e-4
"""A sound whose peak stays below this (-80 dB) counts as silent."""
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
_FULL_SCALE = 32767.0


def read(path: Path, rate: int, channels: int) -> Audio:
    """Read a sound file of any rate and channel count: float32 (channels, samples) at `rate`.

    Too many channels are averaged, one is repeated. Raises `UnusableSoundError` for what is not a readable sound.
    """
    import soundfile
    import soxr

    try:
        sound, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnusableSoundError(f"not a readable sound file ({str(error).splitlines()[0].rstrip('.')})") from None
    if not len(sound):
        raise UnusableSoundError("holds no samples")
    if not np.isfinite(sound).all():
        raise UnusableSoundError("holds samples that are not finite")
    if sound.shape[1] != channels:
        sound = np.repeat(sound.mean(axis=1, keepdims=True), channels, axis=1)
    if file_rate != rate:
        sound = soxr.resample(sound, file_rate, rate, quality="VHQ")
    return np.ascontiguousarray(sound.T, np.float32)


def onset(audio: Audio, rate: int, threshold_db: float = -40.0) -> int:
    """Find the sample where a note begins: the first 3 ms frame above a fixed threshold, relative to the loudest one."""
    frame = max(1, round(0.003 * rate))
    mono = np.abs(audio).max(axis=0)
    frames = mono[: len(mono) // frame * frame].reshape(-1, frame)
    if not len(frames):
        return 0
    energy = (frames.astype(np.float64) ** 2).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (threshold_db / 10))
    return int(max(0, loud[0] - 1) * frame) if len(loud) else 0


def prepare_note(audio: Audio, rate: int, samples: int, *, cut_onset: bool, threshold_db: float) -> Audio:
    """Make a dry note of a recording: cut to the onset, peak at 1, cut or padded to `samples`.

    Raises `UnusableSoundError` for silence.
    """
    if np.abs(audio).max(initial=0.0) < SILENCE_PEAK:
        raise UnusableSoundError("silent")
    if cut_onset:
        audio = audio[:, onset(audio, rate, threshold_db) :]
    audio = audio[:, :samples]
    audio = audio / np.abs(audio).max()
    return np.pad(audio, ((0, 0), (0, samples - audio.shape[1]))).astype(np.float32)


@njit(cache=True, nogil=True)
def level_and_difference(wet: Audio, dry: Audio) -> tuple[float, float]:
    """Peak of `wet`, and what the effect changed, in dB: |wet - c dry|^2 / |wet|^2 with the best gain c (NaN if not finite).

    A difference below about -60 dB cannot be heard; a pure change of gain is no difference.
    """
    peak = np.float32(0.0)
    wet_wet = wet_dry = dry_dry = 0.0
    for c in range(wet.shape[0]):
        for n in range(wet.shape[1]):
            w, d = wet[c, n], dry[c, n]
            peak = max(peak, abs(w))
            wet_wet += w * w
            wet_dry += w * d
            dry_dry += d * d
    if not np.isfinite(wet_wet):
        return np.nan, np.nan
    if wet_wet == 0.0 or dry_dry == 0.0:
        return peak, 0.0
    rest = max(1.0 - wet_dry * wet_dry / (dry_dry * wet_wet), 1e-12)
    return peak, 10.0 * np.log10(rest)


@njit(cache=True, nogil=True)
def to_int16(sound: Audio, gain: float, out: NDArray[np.int16]) -> None:
    """Write round(32767 gain sound) to `out`; the caller's gain keeps |gain sound| at or below 1."""
    scale = np.float32(gain) * np.float32(32767.0)
    for c in range(sound.shape[0]):
        for n in range(sound.shape[1]):
            value = np.rint(sound[c, n] * scale)
            out[c, n] = np.int16(min(max(value, np.float32(-32767.0)), np.float32(32767.0)))


def encode(sound: Audio, gain: float, out: NDArray[np.generic]) -> None:
    """Store one sound times `gain` in `out` (int16 or float32)."""
    if out.dtype == np.int16:
        to_int16(sound, gain, out)  # type: ignore[arg-type]  # the dtype is checked above
    else:
        np.multiply(sound, np.float32(gain), out=out)  # type: ignore[call-overload]  # float32 here


def decode(stored: NDArray[np.generic]) -> Audio:
    """Turn stored sounds back into float32 in [-1, 1] (any shape)."""
    if stored.dtype == np.int16:
        return stored.astype(np.float32) / np.float32(_FULL_SCALE)
    return stored.astype(np.float32, copy=False)


def storing_gain(peak: float, mode: str) -> float:
    """Gain with which a sound is stored: to full scale ("normalise"), or only down where it would clip ("fit")."""
    if mode == "normalise":
        return 1.0 / peak
    return 1.0 / peak if peak > 1.0 else 1.0
