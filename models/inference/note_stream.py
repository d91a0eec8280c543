"""Notes of a sound that is still going on: PCM from a pipe, and a prediction of each note as soon as it was heard."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.report import Prediction, as_data
from timbre_data.models.inference.sound_files import (
    HOP,
    SHORTEST_SECONDS,
    cut_notes,
    onset_candidates,
    rises,
    sharpened,
)
from timbre_data.pipeline.sound.audio import onset
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError

Sample = Literal["s16", "s24", "s32", "f32"]
WIDTH = {"s16": 2, "s24": 3, "s32": 4, "f32": 4}
"""Bytes of a sample."""
BLOCK_SECONDS = 0.1
"""So much is read at once, at most."""
LOOK_SECONDS = 0.25
"""So often onsets are looked for."""
BEHIND_SECONDS = 0.15
"""Sound after an onset before it is taken for one."""
CONTEXT_SECONDS = 1.0
"""Sound before the place where onsets are looked for."""
LOUDEST_SECONDS = 30
"""So long the loudest sample is remembered, which notes are compared with."""
QUIETEST = 10 ** (-50 / 20)
"""A stream whose loudest sample is below this (-50 dBFS) holds no note."""


@dataclass(frozen=True)
class PcmFormat:
    """How the samples of a stream are written: little-endian, channels interleaved."""

    rate: int
    channels: int = 1
    sample: Sample = "s16"

    def __post_init__(self) -> None:
        if not (1000 <= self.rate <= 768_000 and 1 <= self.channels <= 64):
            raise UsageError(
                f"a stream of {self.channels} channels at {self.rate} Hz: 1 to 64 channels at 1000 to 768000 Hz can be read."
            )


def mono_blocks(stream: BinaryIO, form: PcmFormat, rate: int) -> Iterator[Audio]:
    """Yield a stream, as it comes, as mono float32 at `rate` [shape=(samples,)]. One that begins as a WAV file is read
    by its header instead of `form`. Raises `UsageError` for a header that says nothing that can be read.
    """
    left = _read(stream, 12)
    if left[:4] == b"RIFF" and left[8:] == b"WAVE":
        form, left = _wav_format(stream), b""
    resampler = None if form.rate == rate else soxr.ResampleStream(form.rate, rate, 1, dtype="float32", quality="HQ")
    frame = WIDTH[form.sample] * form.channels
    size = max(1, round(BLOCK_SECONDS * form.rate)) * frame
    read = getattr(stream, "read1", stream.read)  # what is there, without waiting for all of it
    while block := read(size):
        left += block
        whole = len(left) // frame * frame
        mono = _samples(left[:whole], form.sample).reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
        left = left[whole:]
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _read(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end of a stream."""
    content = b""
    while len(content) < size and (block := stream.read(size - len(content))):
        content += block
    return content


def _wav_format(stream: BinaryIO) -> PcmFormat:
    """The format of a WAV file, from its chunks up to the samples."""
    form: PcmFormat | None = None
    while len(head := _read(stream, 8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if form is None:
                break
            return form
        if size > 2**20:
            break
        content = _read(stream, size + size % 2)
        if name == b"fmt " and len(content) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            if kind == 0xFFFE and len(content) >= 26:  # extensible: the kind stands further on
                kind = struct.unpack("<H", content[24:26])[0]
            samples: dict[tuple[int, int], Sample] = {(1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32"}
            if (kind, bits) not in samples:
                raise UsageError(f"the stream is a WAV file of {bits} bits (kind {kind}): send 16, 24 or 32 bits.")
            form = PcmFormat(rate, channels, samples[kind, bits])
    raise UsageError("the stream begins as a WAV file and has no samples: send PCM, or a whole WAV file.")


def _samples(content: bytes, sample: Sample) -> NDArray[np.float32]:
    """Samples as float32 in [-1, 1]; those that are no number as 0."""
    if sample == "f32":
        return np.nan_to_num(np.frombuffer(content, "<f4"), nan=0.0, posinf=1.0, neginf=-1.0)
    if sample == "s24":
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return (wide.reshape(-1).view("<i4") / np.float32(2**31)).astype(np.float32)
    stored = np.frombuffer(content, "<i2" if sample == "s16" else "<i4")
    return (stored / np.float32(-np.iinfo(stored.dtype).min)).astype(np.float32)


class NoteListener:
    """Finds the notes of a sound that comes in blocks, as `sound_files.note_starts` does in a whole one: the first
    onset, then every onset at least one window after the last one taken. `side_by_side`: no notes, but pieces one after
    the other.

    What is loud is judged by the last half minute, since nobody knows yet how loud the sound will be.
    """

    def __init__(self, rate: int, window: int, *, side_by_side: bool = False) -> None:
        self._rate, self._window, self._side_by_side = rate, window, side_by_side
        self._sound = np.empty(0, np.float32)
        self._base = self._looked = self._from = 0
        self._start: int | None = None
        self._any = False
        self._peaks: deque[tuple[int, float]] = deque()

    @property
    def _end(self) -> int:
        return self._base + len(self._sound)

    def hear(self, block: Audio) -> list[tuple[int, Audio]]:
        """Take the next samples. Returns the notes that are whole by now: first sample, and sound [shape=(window,)]."""
        size = round(LOOK_SECONDS * self._rate)
        return [note for first in range(0, len(block), size) for note in self._hear(block[first : first + size])]

    def _hear(self, block: Audio) -> list[tuple[int, Audio]]:
        self._sound = np.concatenate((self._sound, block))
        self._peaks.append((self._end, float(np.abs(block).max())))
        while self._peaks[0][0] < self._end - LOUDEST_SECONDS * self._rate:
            self._peaks.popleft()
        return self._notes(final=False)

    def finish(self) -> list[tuple[int, Audio]]:
        """The notes that were still going on when the sound ended."""
        return self._notes(final=True)

    def _notes(self, *, final: bool) -> list[tuple[int, Audio]]:
        notes = []
        while True:
            if self._start is None:
                self._start = self._next_start(final=final)
            if self._start is None or (self._end - self._start < self._window and not final):
                break
            notes.append((self._start, cut_notes(self._sound, [self._start - self._base], self._window)[0]))
            self._from = self._start + self._window
            self._looked = min(self._looked, self._from)
            self._start, self._any = None, True
        self._forget()
        return notes

    def _forget(self) -> None:
        """Let go of what nobody will ask for."""
        again = self._end - round((LOOK_SECONDS + 2 * BEHIND_SECONDS) * self._rate)
        next_place = max(again, min(self._from, self._end)) if self._start is None else self._start
        keep = max(self._base, (next_place - round(1.5 * CONTEXT_SECONDS * self._rate)) // HOP * HOP)
        self._sound, self._base = self._sound[keep - self._base :], keep

    def _next_start(self, *, final: bool) -> int | None:
        if self._side_by_side:
            enough = self._end - self._from > (self._window // 2 if final and self._any else 0)
            return self._from if enough else None
        if not final and self._end - self._looked < LOOK_SECONDS * self._rate:
            return None
        peak = max((value for _, value in self._peaks), default=0.0)
        if peak < QUIETEST or self._from >= self._end:
            self._looked = self._end
            return None
        if not self._any:
            return self._base + onset(self._sound[None], self._rate)
        settled = self._end - round((SHORTEST_SECONDS if final else BEHIND_SECONDS) * self._rate)
        again = self._looked - round(BEHIND_SECONDS * self._rate) - 2 * HOP  # frames lie elsewhere every time
        first = max(self._from, again)
        begin = max(self._base, (first - round(CONTEXT_SECONDS * self._rate)) // HOP * HOP)  # frames as in a whole file
        part = np.ascontiguousarray(self._sound[begin - self._base :] / np.float32(peak))
        for offset in onset_candidates(part, self._rate):
            at = begin + offset
            if first <= at < settled and rises(self._sound, at - self._base, self._rate, peak):
                return self._base + sharpened(self._sound, at - self._base, self._rate)
        self._looked = self._end
        return None


def listener_for(predictor: Predictor) -> NoteListener:
    """What finds the notes of a run in a running sound."""
    return NoteListener(predictor.rate, predictor.samples, side_by_side=predictor.target.side_by_side)


def note_prediction(predictor: Predictor, start: int, note: Audio) -> Prediction:
    """What a run predicts of one note [shape=(samples,)] of a running sound, which sets in at sample `start`."""
    probabilities, labels = predictor.predict_arrays(note[None], np.full(1, np.nan, np.float32))
    return predictor.prediction_of("", [start / predictor.rate], probabilities, labels)


def predictions(predictor: Predictor, stream: BinaryIO, form: PcmFormat) -> Iterator[dict[str, Any]]:
    """Yield what a run predicts of each note of a stream, as plain data, as soon as the note was heard. Raises
    `UsageError` for runs that do not predict notes.
    """
    if predictor.target.windows:
        raise UsageError("this run names the frames of a whole recording: it cannot follow a stream.")
    if predictor.target.learns_from == "pairs":
        raise UsageError("this run maps sounds to sounds: give it files, with --out.")
    if predictor.needs_dry:
        raise UsageError("this run learned with the dry sound beside it: give it files, with --dry.")
    listener = listener_for(predictor)

    def predicted(notes: list[tuple[int, Audio]]) -> Iterator[dict[str, Any]]:
        for start, note in notes:
            prediction = note_prediction(predictor, start, note)
            try:
                settings = predictor.steps(prediction)
            except UsageError:  # an effect without known parameters; its class is said
                settings = []
            data = as_data(prediction, settings)
            yield {"onset_seconds": round(start / predictor.rate, 6)} | {
                key: data[key] for key in ("probabilities", "effects", "parameters") if data[key]
            }

    for block in mono_blocks(stream, form, predictor.rate):
        yield from predicted(listener.hear(block))
    yield from predicted(listener.finish())
