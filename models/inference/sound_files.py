"""Sound files as a run hears them: mono at its rate, and where their notes begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from timbre_data.pipeline.sound.audio import SILENCE_PEAK, onset, read_mono, readable
from timbre_data.pipeline.sound.onsets import first_onsets, log_filters, superflux
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, magnitude
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UnusableSoundError, UsageError

SHORTEST_SECONDS = 0.1
"""Less than this is no note."""
LONGEST_SECONDS = 3600.0
N_FFT, HOP = 2048, 256
"""Of the frames in which onsets are looked for."""
BLOCK_SECONDS = 30.0
"""Onsets of long recordings are looked for in blocks of so much."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Context in which a file given by the user is read: raises `UsageError` if the sound is unusable."""
    try:
        with readable():
            yield
    except UnusableSoundError as error:
        raise UsageError(f"{path}: {error}.") from None


def load_sound(path: Path, rate: int) -> Audio:
    """Read any sound file as mono at `rate` [shape=(samples,)]. Raises `UsageError` in one line if the sound is
    unusable.
    """
    with reading(path):
        sound = read_mono(path, rate, LONGEST_SECONDS)
    if len(sound) < SHORTEST_SECONDS * rate:
        raise UsageError(
            f"{path}: {1000 * len(sound) / rate:.0f} ms is too short; a note takes at least {1000 * SHORTEST_SECONDS:.0f} ms."
        )
    if np.abs(sound).max() < SILENCE_PEAK:
        raise UsageError(f"{path}: silent.")
    return sound


def note_starts(sound: Audio, rate: int, window: int) -> list[int]:
    """The starts of notes, in samples: the first onset, then every onset at least one window after the last one taken.

    A window is as long as the sounds a model learned from, so an echo inside it is part of its note.
    """
    first = onset(sound[None], rate)
    starts = [first]
    if len(sound) - first < 1.2 * window:
        return starts
    block = int(BLOCK_SECONDS * rate) // HOP * HOP
    peak = np.abs(sound).max()
    for begin in range(0, len(sound), block):
        part = np.ascontiguousarray(sound[max(0, begin - rate) : begin + block] / peak)
        for offset in onset_candidates(part, rate):
            at = max(0, begin - rate) + offset
            if at - starts[-1] >= window and len(sound) - at > SHORTEST_SECONDS * rate and rises(sound, at, rate, peak):
                starts.append(sharpened(sound, at, rate))
    return starts


def onset_candidates(part: Audio, rate: int) -> list[int]:
    """Places in a sound, whose notes have a peak of about 1, at which something begins, by spectral flux."""
    transform = ShortTimeTransform(len(part), N_FFT, HOP)
    magnitudes = np.empty((transform.frames, N_FFT // 2 + 1), np.float32)
    magnitude(transform(part), magnitudes)
    times, _ = first_onsets(superflux(magnitudes, *log_filters(rate, N_FFT)), rate / HOP, 16 * int(BLOCK_SECONDS))
    return [round(seconds * rate) - HOP for seconds in times[times > 0].tolist()]


def cut_notes(sound: Audio, starts: Sequence[int], samples: int) -> Audio:
    """Notes of a sound [shape=(n, samples)], with zeros where it ends before them."""
    notes = np.zeros((len(starts), samples), np.float32)
    for k, start in enumerate(starts):
        part = sound[start : start + samples]
        notes[k, : len(part)] = part
    return notes


def sharpened(sound: Audio, at: int, rate: int) -> int:
    """The 3 ms frame in which a note found by spectral flux sets in: a twentieth of the way up from what sounded
    before.
    """
    frame = max(1, round(0.003 * rate))
    begin = max(0, at - 2 * frame)
    near = sound[begin : begin + round(0.1 * rate)]
    energy = (near[: len(near) // frame * frame].reshape(-1, frame).astype(np.float64) ** 2).mean(axis=1)
    before = energy[:4].mean()
    risen = np.flatnonzero(energy > before + 0.05 * (energy.max() - before))
    return begin + max(0, int(risen[0]) - 1) * frame if len(risen) else at


def rises(sound: Audio, at: int, rate: int, peak: float) -> bool:
    """Whether a sound is louder after a moment than before, and loud enough to be a note: the click of an end is
    neither.
    """
    span = rate // 20
    middle = at + 256
    before, after = sound[max(0, middle - span) : middle], sound[middle : middle + span]
    return bool((after**2).mean() > 1.5 * (before**2).mean() and np.abs(after).max() > 0.02 * peak)
