"""Frames of recordings, each seen with the frames around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model
from timbre_data.models.data.rows import Rows, clip_numbers, some_rows
from timbre_data.models.data.splitting import check_held_out, split_of
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import AUDIO, AUDIO_CHUNK, DRY_GROUP, DRY_INDEX, FRAMES, GAIN
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

Whole = Callable[[torch.Tensor], torch.Tensor]
"""All frames of one sound [shape=(1, samples)] as a spectrogram [shape=(1, bins, frames)]."""


@dataclass(frozen=True)
class Windows:
    """Frames with their context, cut out of whole spectrograms when they are asked for.

    `frames` [shape=(t, bins)] of all recordings one after another; each window has its middle, and the first and last
    frame of its own recording [shape=(n,) each]: beyond those the edge is repeated.
    """

    frames: torch.Tensor
    middle: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    context: int

    def __len__(self) -> int:
        return len(self.middle)

    @property
    def shape(self) -> tuple[int, int, int]:
        """As if all were there: (n, bins, context)."""
        return len(self.middle), self.frames.shape[1], self.context

    def __getitem__(self, indices: Any) -> torch.Tensor:
        """Some windows [shape=(k, bins, context)], by indices or a slice."""
        around = torch.arange(self.context) - self.context // 2
        first, last = self.first[indices][:, None], self.last[indices][:, None]
        positions = torch.minimum(torch.maximum(self.middle[indices][:, None] + around, first), last)
        return self.frames[positions].transpose(1, 2)

    def at(self, indices: NDArray[np.int64]) -> Windows:
        """Only some of them, still not cut out."""
        index = torch.from_numpy(indices)
        return Windows(self.frames, self.middle[index], self.first[index], self.last[index], self.context)


def windows_of(spectrogram: torch.Tensor, context: int) -> Windows:
    """Every frame of one spectrogram [shape=(bins, frames)] with its context."""
    count = spectrogram.shape[1]
    ends = torch.zeros(count, dtype=torch.int64), torch.full((count,), count - 1)
    return Windows(spectrogram.T.contiguous(), torch.arange(count), *ends, context)


class _Chunks:
    """Sounds row by row, each chunk of the store read once while rows come in order."""

    def __init__(self, data: Dataset) -> None:
        self._data, self._number, self._chunk = data, -1, np.empty(0)

    def __call__(self, row: int) -> NDArray[Any]:
        if row // AUDIO_CHUNK != self._number:
            self._number = row // AUDIO_CHUNK
            self._chunk = self._data.read(AUDIO, slice(self._number * AUDIO_CHUNK, (self._number + 1) * AUDIO_CHUNK))
        sound: NDArray[Any] = self._chunk[row % AUDIO_CHUNK]
        return sound


def load_frames(
    datasets: Sequence[Dataset],
    model: Model,
    whole: Whole,
    split: str = "note",
    limit: int | None = None,
    hold_out: Sequence[str] = (),
) -> Rows:
    """The labelled frames of datasets as rows; pieces of one recording are put together again, at their own levels, and
    brought to a peak of 1.

    `split` "row" divides pieces at random, as the published code did it: a recording is then on several sides. Raises
    `UsageError` for datasets without labelled frames, or with other classes.
    """
    check_held_out(datasets, hold_out)
    without = [data.name for data in datasets if not data.has(FRAMES)]
    if without:
        raise UsageError(f"{', '.join(without)} has no labelled frames: this network names the phoneme of every frame.")
    names = datasets[0].names(FRAMES)
    for data in datasets[1:]:
        if data.names(FRAMES) != names or data.recipe.audio.rate != datasets[0].recipe.audio.rate:
            raise UsageError(f"{data.name} has other classes or another rate than {datasets[0].name}.")
    rate = datasets[0].recipe.audio.rate
    if rate % 100:
        raise UsageError(f"{datasets[0].name}: frames of 10 ms need a rate that is a multiple of 100 Hz, not {rate}.")
    columns: dict[str, list[NDArray[Any]]] = {
        key: [] for key in ("classes", "split", "dataset", "row", "group", "clip", "middle", "first", "last")
    }
    spectrograms: list[torch.Tensor] = []
    total = 0
    for number, data in enumerate(datasets):
        usable = some_rows(data, limit)
        index = data.read(DRY_INDEX)[usable].astype(np.int64)
        groups = np.asarray(data.read(DRY_GROUP), object)[index]
        splits, gains = split_of(data, number, usable, split, hold_out), data.read(GAIN)[usable]
        labels = data.read(FRAMES)[usable]
        clips = clip_numbers(data, slice(None), usable, index)
        stored = _Chunks(data)
        for run in np.split(np.arange(len(usable)), np.flatnonzero(np.diff(clips)) + 1):
            pieces = [decode(stored(int(usable[k]))).mean(axis=0) / gains[k] for k in run]
            sound = torch.from_numpy(np.concatenate(pieces))
            sound = sound / sound.abs().max().clamp(min=1e-9)
            labels_of_run = np.concatenate(labels[run])
            spectrogram = whole(sound[None])[0][:, : len(labels_of_run)].half()
            spectrograms.append(spectrogram.T)
            known = np.flatnonzero(labels_of_run >= 0)
            row_of_frame = run[known // labels.shape[1]]
            labelled_frames = {
                "classes": labels_of_run[known],
                "split": splits[row_of_frame],
                "dataset": np.full(len(known), number),
                "row": usable[row_of_frame],
                "group": groups[row_of_frame],
                "clip": number * 2**32 + clips[row_of_frame],
                "middle": total + known,
                "first": np.full(len(known), total),
                "last": np.full(len(known), total + len(labels_of_run) - 1),
            }
            total += len(labels_of_run)
            for key, values in labelled_frames.items():
                columns[key].append(values)
    joined = {key: np.concatenate(values) for key, values in columns.items()}
    count = len(joined["classes"])
    if not count:
        raise UsageError(f"{', '.join(data.name for data in datasets)}: no frame has a label.")
    positions = {key: torch.from_numpy(joined.pop(key).astype(np.int64)) for key in ("middle", "first", "last")}
    classes = joined.pop("classes").astype(np.int64)
    nothing = np.empty((count, 0))
    columns_of_rows: Any = joined
    return Rows(
        **columns_of_rows,
        features=nothing.astype(np.float32),
        feature_names=(),
        labels=nothing.astype(np.float32),
        mask=nothing.astype(bool),
        identifiable=nothing.astype(bool),
        parameter_names=(),
        classes=classes,
        class_names=tuple(names),
        class_families=("other",) * len(names),
        present=np.eye(len(names), dtype=bool)[classes],
        effect_db=np.full(count, np.nan, np.float32),
        parameters=(),
        effects=(),
        feature_settings={},
        rate=rate,
        samples=0,
        audio=Windows(torch.cat(spectrograms), **positions, context=model.context),
    )
