"""Rows as exports write them: labels in their own units, and the sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    AUDIO,
    AUDIO_CHUNK,
    DRY_IDENTITY,
    DRY_INDEX,
    EFFECT_DB,
    FAILED,
    FRAMES,
    GAIN,
    MASK,
    ORDER,
    PARAMS,
    SPLIT,
    SPLITS,
    TAGS,
)
from timbre_data.pipeline.store.layout import segments_of
from timbre_data.pipeline.store.reader import Dataset


def records(data: Dataset) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield each usable row as (labels in their own units, sound [shape=(channels, samples)])."""
    space, steps = data.space, data.names(ORDER, "steps")
    plain = (SPLIT, ATTEMPT, GAIN, EFFECT_DB, DRY_INDEX)
    for start in range(0, data.n, AUDIO_CHUNK):
        rows = slice(start, min(start + AUDIO_CHUNK, data.n))
        sounds = decode(data.read(AUDIO, rows))
        extra = tuple(data.meta.get("extra_labels", ()))
        paths = (*plain, *extra, PARAMS, MASK, ORDER, FAILED)
        columns = {path: data.read(path, rows) for path in paths}
        values = space.to_values(columns[PARAMS])
        dry = np.unique(columns[DRY_INDEX])
        identity = dict(zip(dry.tolist(), data.read(DRY_IDENTITY, dry.astype(np.int64)), strict=True))
        for k in range(len(sounds)):
            if columns[FAILED][k]:
                continue
            mask = columns[MASK][k]
            order = [
                step
                for _, step in sorted((o, s) for o, s in zip(columns[ORDER][k].tolist(), steps, strict=True) if o >= 0)
            ]
            record: dict[str, Any] = {
                "row": start + k,
                "split": SPLITS[columns[SPLIT][k]],
                "dry": str(identity[int(columns[DRY_INDEX][k])]),
                "effects": "+".join(order),
                "gain": float(columns[GAIN][k]),
                "effect_db": float(columns[EFFECT_DB][k]),
            }
            for path in extra:
                value = columns[path][k]
                if path == TAGS:
                    record["tags"] = "+".join(
                        name for name, there in zip(data.names(TAGS), value, strict=True) if there
                    )
                elif path == FRAMES:
                    segments = segments_of(value, data.names(FRAMES))
                    record["segments"] = "; ".join(f"{start:.2f} {stop:.2f} {name}" for start, stop, name in segments)
                elif np.ndim(value):
                    continue  # a whole response: it is in the dataset itself, and in its zarr export
                else:
                    record[path.partition("/")[2]] = str(value) if isinstance(value, str) else float(value)
            if data.meta.get("kind") == "imported":  # nobody knows the parameters of recordings
                yield record, sounds[k]
                continue
            record |= {name: float(f"{values[k, i]:.7g}") if mask[i] else None for i, name in enumerate(space.names)}
            yield record, sounds[k]


def as_stored(sound: np.ndarray, data: Dataset) -> np.ndarray:
    """Samples x channels, in the stored numbers: int16 passes through WAV without another rounding."""
    return np.rint(sound.T * 32767).astype(np.int16) if data.recipe.audio.dtype == "int16" else sound.T
