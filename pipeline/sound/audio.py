"""Sound as arrays: reading files, onset, level, and the 16-bit form in which datasets keep it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numba import njit
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.sound.riff import cut_short
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UnusableSoundError, UsageError

SILENCE_PEAK = 1e-4
"""A sound whose peak stays below this (-80 dB) counts as silent."""


@contextmanager
def readable() -> Iterator[None]:
    """Context in which a file is read: raises `UnusableSoundError` if it is not a readable sound."""
    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnusableSoundError(f"not a readable sound file ({str(error).splitlines()[0].rstrip('.')})") from None


def read(path: Path, rate: int, channels: int) -> Audio:
    """Read a sound file of any rate and channel count: float32 (channels, samples) at `rate`.

    Too many channels are averaged, one is repeated. Raises `UnusableSoundError` if the file is not a readable sound.
    """
    import soxr

    with readable():
        missing = cut_short(path)
        if missing:
            raise UnusableSoundError(missing)
        sound, file_rate = _samples(path)
    exact = sound.dtype == np.int16
    if not len(sound):
        raise UnusableSoundError("holds no samples")
    if not exact and not np.isfinite(magnitude(sound)):
        raise UnusableSoundError("holds samples that are not finite")
    scale = np.float32(2**-15 if exact else 1)
    if sound.shape[1] != channels:
        mono = _mono(sound, scale)[:, None]
        sound = mono if channels == 1 else np.repeat(mono, channels, axis=1)
    elif exact:
        sound = sound.astype(np.float32) * scale
    if file_rate != rate:
        sound = soxr.resample(sound, file_rate, rate, quality="VHQ")
    return np.ascontiguousarray(sound.T, np.float32)


def _samples(path: Path) -> tuple[NDArray[Any], int]:
    """All samples of a file [shape=(samples, channels)], as int16 where that is what it holds, else float32; and their
    rate.
    """
    if path.suffix.lower() == ".mp3":
        from timbre_data.pipeline.sound.mp3 import read_mp3  # half a second of numba, which no other format needs

        decoded = read_mp3(path)
        if decoded is not None:
            return decoded
    with soundfile.SoundFile(path) as file:
        # libsndfile's own conversion of 16-bit samples, to the same numbers, is slower than all else
        dtype = "int16" if file.subtype == "PCM_16" else "float32"
        return file.read(dtype=dtype, always_2d=True), file.samplerate


@njit(cache=True, nogil=True)
def _largest_bits(bits: NDArray[np.int32]) -> np.int32:
    """Magnitudes compare like integers, and those vectorise."""
    largest = np.int32(0)
    for n in range(len(bits)):
        largest = max(largest, bits[n] & np.int32(0x7FFFFFFF))
    return largest


def magnitude(sound: Audio) -> np.float32:
    """The largest magnitude in a sound of any shape; infinite or NaN where a sample is, 0 where there is none."""
    flat = np.ascontiguousarray(sound, np.float32).reshape(-1)
    return np.int32(_largest_bits(flat.view(np.int32))).view(np.float32)


@njit(cache=True, nogil=True)
def _mono(sound: NDArray[Any], scale: np.float32) -> Audio:
    """The mean over channels of interleaved samples [shape=(samples, channels)], times `scale`: NumPy's `mean(axis=1)`
    is thirty times slower.
    """
    samples, channels = sound.shape
    out = np.empty(samples, np.float32)
    for n in range(samples):
        total = np.float32(0.0)
        for channel in range(channels):
            total += np.float32(sound[n, channel])
        out[n] = total * scale / np.float32(channels)
    return out


def read_mono(path: Path, rate: int, longest_seconds: float) -> Audio:
    """Read a sound file of any rate, channel count and length as mono at `rate`, block by block [shape=(samples,)].

    Raises `UnusableSoundError` if the file is not a readable sound, or longer than `longest_seconds`.
    """
    import soxr

    with readable(), soundfile.SoundFile(path) as file:
        if file.frames > longest_seconds * file.samplerate:
            raise UnusableSoundError(
                f"{file.frames / file.samplerate:.0f} s is too long; cut it into parts of at most {longest_seconds:.0f} s"
            )
        same = file.samplerate == rate
        stream = None if same else soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="VHQ")
        parts = [np.empty(0, np.float32)]
        for block in file.blocks(2**18, dtype="float32", always_2d=True):
            mono = _mono(block, np.float32(1))
            parts.append(mono if stream is None else stream.resample_chunk(mono))
        if stream is not None:
            parts.append(stream.resample_chunk(np.empty(0, np.float32), last=True))
    sound = np.concatenate(parts)
    if not len(sound):
        raise UnusableSoundError("holds no samples")
    if not np.isfinite(sound).all():
        raise UnusableSoundError("holds samples that are not finite")
    return sound


def onset(audio: Audio, rate: int, threshold_db: float = -40.0) -> int:
    """Find the sample where a note begins: the first 3 ms frame above a fixed threshold, relative to the loudest
    one.
    """
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
    note = np.zeros((len(audio), samples), np.float32)
    np.divide(audio, np.abs(audio).max(), out=note[:, : audio.shape[1]])
    return note


def write_wav(sound: Audio, rate: int, out: Path) -> None:
    """Write a sound [shape=(channels, samples)] as 24-bit WAV, whole or not at all. Raises `UsageError` where that
    cannot be done.
    """
    if out.suffix.lower() != ".wav":
        raise UsageError(f"{out}: sounds are written as WAV; give a name that ends in .wav.")
    try:
        with whole(out) as partial:
            soundfile.write(partial, sound.T, rate, subtype="PCM_24", format="WAV")
    except (soundfile.LibsndfileError, OSError) as error:
        raise UsageError(f"{out} cannot be written ({str(error).splitlines()[0].rstrip('.')}).") from None


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _sums(wet: Audio, dry: Audio) -> tuple[float, float, float]:
    """Sums of wet wet, wet dry and dry dry: short runs in float32, of runs in float64."""
    wet_wet = wet_dry = dry_dry = np.float64(0.0)
    for start in range(0, len(wet), 1024):
        part_ww = part_wd = part_dd = np.float32(0.0)
        for n in range(start, min(start + 1024, len(wet))):
            part_ww += wet[n] * wet[n]
            part_wd += wet[n] * dry[n]
            part_dd += dry[n] * dry[n]
        wet_wet += np.float64(part_ww)
        wet_dry += np.float64(part_wd)
        dry_dry += np.float64(part_dd)
    return wet_wet, wet_dry, dry_dry


@njit(cache=True, nogil=True)
def _levels(wet: Audio, bits: NDArray[np.int32], dry: Audio, peak_bits: NDArray[np.int32], differences: Audio) -> None:
    for row in range(len(wet)):
        peak_bits[row] = _largest_bits(bits[row])
        wet_wet, wet_dry, dry_dry = _sums(wet[row], dry[row])
        differences[row] = 0.0
        if not np.isfinite(wet_wet):
            differences[row] = np.nan
        elif wet_wet > 0.0 and dry_dry > 0.0:
            differences[row] = 10.0 * np.log10(max(1.0 - wet_dry * wet_dry / (dry_dry * wet_wet), 1e-12))


def levels(wet: Audio, dry: Audio) -> tuple[Audio, Audio]:
    """Peak of each wet sound, and what the effect changed, in dB [shape=(n,) both]; NaN where a sound is not finite.

    The change is |wet - c dry|^2 / |wet|^2 with the best gain c, so a change of level is none; below about -60 dB
    nobody hears it.
    """
    rows = len(wet)
    peak_bits, differences = np.empty(rows, np.int32), np.empty(rows, np.float32)
    flat = np.ascontiguousarray(wet, np.float32).reshape(rows, -1)
    _levels(flat, flat.view(np.int32), np.ascontiguousarray(dry, np.float32).reshape(rows, -1), peak_bits, differences)
    peaks = peak_bits.view(np.float32)
    return np.where(np.isfinite(peaks) & np.isfinite(differences), peaks, np.float32(np.nan)), differences


@njit(cache=True, nogil=True)
def _to_int16(sounds: Audio, gains: Audio, out: NDArray[np.int16]) -> None:
    for row in range(len(sounds)):
        scale = gains[row] * np.float32(32767.0)
        for n in range(sounds.shape[1]):
            value = np.rint(sounds[row, n] * scale)
            out[row, n] = np.int16(min(max(value, np.float32(-32767.0)), np.float32(32767.0)))


def encode(sounds: Audio, gains: Audio, out: NDArray[Any]) -> None:
    """Store sounds [shape=(n, channels, samples)] times their gains in `out`: round(32767 gain sound) as int16, or
    float32.

    The caller's gains keep every sound within [-1, 1]; `out` is contiguous.
    """
    if out.dtype == np.int16:
        _to_int16(
            np.ascontiguousarray(sounds, np.float32).reshape(len(sounds), -1), gains, out.reshape(len(sounds), -1)
        )
    else:
        np.multiply(sounds, gains[:, None, None], out=out)


@njit(cache=True, nogil=True)
def _from_int16(stored: NDArray[np.int16], out: Audio) -> None:
    for i in range(len(stored)):
        out[i] = np.float32(stored[i]) / np.float32(32767.0)


def decode(stored: NDArray[np.generic]) -> Audio:
    """Turn stored sounds back into float32 in [-1, 1] (any shape)."""
    if stored.dtype != np.int16:
        return stored.astype(np.float32, copy=False)
    out = np.empty(stored.shape, np.float32)
    _from_int16(np.ascontiguousarray(stored, np.int16).reshape(-1), out.reshape(-1))
    return out


def in_channels(sound: Audio, channels: int) -> Audio:
    """A sound [shape=(c, samples)] as it is, or its mean in each of another number of channels [shape=(channels,
    samples)].
    """
    return sound if len(sound) == channels else np.repeat(sound.mean(axis=0, keepdims=True), channels, axis=0)


def mixed(stored: NDArray[Any]) -> NDArray[Any]:
    """Sounds as stored [shape=(n, channels, samples)], mixed to one channel in their own type [shape=(n, samples)]."""
    one: NDArray[Any] = stored[:, 0] if stored.shape[1] == 1 else stored.mean(axis=1).astype(stored.dtype)
    return one


def storing_gains(peaks: Audio, mode: str) -> Audio:
    """Gain with which each sound is stored: to full scale ("normalise"), or only down where it would clip ("fit")."""
    return (1.0 / peaks if mode == "normalise" else 1.0 / np.maximum(peaks, 1.0)).astype(np.float32)


def as_stored(sounds: Audio, dtype: str, mode: str) -> tuple[NDArray[Any], Audio]:
    """Sounds [shape=(n, channels, samples)] in the stored type, and the gain of each [shape=(n,)]; `mode` as in
    `storing_gains`.
    """
    peaks = np.maximum(np.abs(sounds).max(axis=(1, 2)), SILENCE_PEAK).astype(np.float32)
    gains = storing_gains(peaks, mode)
    stored = np.empty(sounds.shape, dtype)
    encode(sounds, gains, stored)
    return stored, gains
