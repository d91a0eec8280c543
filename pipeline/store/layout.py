"""The arrays of a dataset: their shapes, chunks and codecs.

    audio          (n, channels, samples)      dry/audio      (m, channels, samples)   each dry sound once
                                               dry/midi       (m,) what was played, instead of sound, where the chain
                                               begins with a synth
    params         (n, p) in [0, 1]            dry/*          identity, group, note, velocity, f0_hz, gain
    labels/*       mask, identifiable, order, effect_db; tags (n, k), clip (n,) and frames (n, f) where its source has
    some;
                   response_db (n, 513) where all of its effects are filters; variation (n, v) where dry
                   sounds are varied
    split, attempt, gain, failed, dry/index    one number a row
    features/<set>, spectrograms/<name>        one row of features a row, made by `featurize`
    integrity/*    content hash of every row of the above; 0 means "not there yet"

Audio has chunks of 64 rows, everything else of 256: a task covers whole chunks of both. Every array ends in crc32c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

from timbre_data.pipeline.catalogue.source import Segment
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    AUDIO,
    AUDIO_CHUNK,
    CLIP,
    DRY_AUDIO,
    DRY_F0,
    DRY_GAIN,
    DRY_GROUP,
    DRY_HASH,
    DRY_IDENTITY,
    DRY_INDEX,
    DRY_MIDI,
    DRY_NOTE,
    DRY_VELOCITY,
    EFFECT_DB,
    FAILED,
    FRAME_SECONDS,
    FRAMES,
    GAIN,
    IDENTIFIABLE,
    MASK,
    ORDER,
    PARAMS,
    RESPONSE,
    ROW_HASH,
    SPLIT,
    SPLITS,
    TABLE_CHUNK,
    TAGS,
    VARIATION,
)
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe

FORMAT_VERSION = 1
"""Key under which the root attributes hold everything about the dataset."""


@dataclass(frozen=True)
class ArraySpec:
    """One array: path, shape of a row, dtype, rows per chunk, which length it follows ("rows" or "dry"), and the names
    of the axes of a row, by which xarray and others know them.
    """

    path: str
    row_shape: tuple[int, ...]
    dtype: str
    chunk: int = TABLE_CHUNK
    follows: Literal["rows", "dry"] = "rows"
    attributes: dict[str, Any] | None = None
    axes: tuple[str, ...] = ()


SOUND_AXES = ("channel", "sample")
LENGTH_NAMES = {"rows": "row", "dry": "dry_sound"}
"""Names of the first axis of every array, by the length that it follows."""
RESPONSE_BINS = 513
"""Gain of a row's filters at so many frequencies from 0 to half the rate."""


def specs(
    recipe: Recipe,
    parameters: list[dict[str, Any]],
    steps: tuple[str, ...],
    tags: tuple[str, ...] = (),
    *,
    clips: bool = False,
    frame_classes: tuple[str, ...] = (),
    responses: bool = False,
    variation: Sequence[dict[str, Any]] = (),
) -> list[ArraySpec]:
    """List the arrays of a dataset."""
    sound = (recipe.audio.channels, recipe.audio.samples)
    dtype = recipe.audio.dtype
    names = [parameter["name"] for parameter in parameters]
    described = {"names": names, "parameters": parameters}
    width = len(parameters)
    played = recipe.chain.synth is not None
    dry = (
        [ArraySpec(DRY_MIDI, (), "str", TABLE_CHUNK, "dry")]
        if played
        else [
            ArraySpec(DRY_AUDIO, sound, dtype, AUDIO_CHUNK, "dry", {"rate": recipe.audio.rate}, axes=SOUND_AXES),
            ArraySpec(DRY_GAIN, (), "float32", TABLE_CHUNK, "dry"),
        ]
    )
    return [
        ArraySpec(AUDIO, sound, dtype, AUDIO_CHUNK, attributes={"rate": recipe.audio.rate}, axes=SOUND_AXES),
        ArraySpec(PARAMS, (width,), "float32", attributes=described, axes=("parameter",)),
        ArraySpec(MASK, (width,), "bool", attributes={"names": names}, axes=("parameter",)),
        ArraySpec(IDENTIFIABLE, (width,), "bool", attributes={"names": names}, axes=("parameter",)),
        ArraySpec(ORDER, (len(steps),), "int8", attributes={"steps": list(steps), "unused": -1}, axes=("step",)),
        ArraySpec(EFFECT_DB, (), "float32"),
        *([ArraySpec(TAGS, (len(tags),), "bool", attributes={"names": list(tags)}, axes=("tag",))] if tags else []),
        *([ArraySpec(CLIP, (), "str")] if clips else []),
        *([_frames_spec(recipe, frame_classes)] if frame_classes else []),
        *([_response_spec(recipe)] if responses else []),
        *([_variation_spec(variation)] if variation else []),
        ArraySpec(SPLIT, (), "uint8", attributes={"names": list(SPLITS)}),
        ArraySpec(ATTEMPT, (), "uint16"),
        ArraySpec(GAIN, (), "float32"),
        ArraySpec(FAILED, (), "bool"),
        ArraySpec(DRY_INDEX, (), "int32"),
        ArraySpec(ROW_HASH, (), "uint64"),
        *dry,
        ArraySpec(DRY_IDENTITY, (), "str", TABLE_CHUNK, "dry"),
        ArraySpec(DRY_GROUP, (), "str", TABLE_CHUNK, "dry"),
        ArraySpec(DRY_NOTE, (), "float32", TABLE_CHUNK, "dry"),
        ArraySpec(DRY_VELOCITY, (), "float32", TABLE_CHUNK, "dry"),
        ArraySpec(DRY_F0, (), "float32", TABLE_CHUNK, "dry"),
        ArraySpec(DRY_HASH, (), "uint64", TABLE_CHUNK, "dry"),
    ]


def _frames_spec(recipe: Recipe, classes: tuple[str, ...]) -> ArraySpec:
    attributes = {"names": list(classes), "hop_seconds": FRAME_SECONDS, "unknown": -1}
    return ArraySpec(FRAMES, (frames_of(recipe.audio.seconds),), "int8", attributes=attributes, axes=("frame",))


def _response_spec(recipe: Recipe) -> ArraySpec:
    return ArraySpec(
        RESPONSE,
        (RESPONSE_BINS,),
        "float32",
        attributes={"low_hz": 0.0, "high_hz": recipe.audio.rate / 2, "unit": "dB"},
        axes=("frequency",),
    )


def _variation_spec(parameters: Sequence[dict[str, Any]]) -> ArraySpec:
    described = {"names": [one["name"] for one in parameters], "parameters": list(parameters)}
    return ArraySpec(VARIATION, (len(parameters),), "float32", attributes=described, axes=("variation",))


def frames_of(seconds: float) -> int:
    """The number of frames of a sound of a given length. Raises `UsageError` unless they fill it."""
    frames = round(seconds / FRAME_SECONDS)
    if abs(frames * FRAME_SECONDS - seconds) > 1e-6:
        raise UsageError(
            f"audio.seconds = {seconds:g}: sounds with labelled frames last a multiple of {FRAME_SECONDS:g} s."
        )
    return frames


def frame_table(rows: Sequence[Sequence[Segment]], classes: Sequence[str], frames: int) -> NDArray[np.int8]:
    """The class of each frame, -1 where unlabelled [shape=(n, frames)]. Raises `ValueError` for a class that is not in
    the list.
    """
    index_of = {name: number for number, name in enumerate(classes)}
    out = np.full((len(rows), frames), -1, np.int8)
    for codes, row in zip(out, rows, strict=True):
        for start, stop, name in row:
            if name not in index_of:
                raise ValueError(f"{name} is not in the list of all classes")
            first, last = (int(np.ceil(seconds / FRAME_SECONDS - 1e-6)) for seconds in (max(start, 0), stop))
            codes[first:last] = index_of[name]
    return out


def segments_of(frames: NDArray[Any], classes: Sequence[str]) -> list[Segment]:
    """The inverse of `frame_table`, of one row [shape=(frames,)]: runs of equal frames, unlabelled frames omitted."""
    edges = np.flatnonzero(np.diff(frames)) + 1
    starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(frames)]
    return [
        (start * FRAME_SECONDS, stop * FRAME_SECONDS, classes[int(frames[start])])
        for start, stop in zip(starts, stops, strict=True)
        if frames[start] >= 0
    ]


def effects_text(order: Sequence[int], steps: Sequence[str]) -> str:
    """The effects of one row in their order, joined by +, given the place of each step."""
    used = sorted((place, step) for place, step in zip(order, steps, strict=True) if place >= 0)
    return "+".join(step for _, step in used)


def tag_table(rows: Sequence[Sequence[str]], tags: Sequence[str]) -> NDArray[np.bool_]:
    """A mask of the tags of each row [shape=(n, k)]. Raises `ValueError` for one that is not in the list."""
    index_of = {tag: column for column, tag in enumerate(tags)}
    out = np.zeros((len(rows), len(tags)), bool)
    for k, codes in enumerate(rows):
        for tag in codes:
            if tag not in index_of:
                raise ValueError(f"the tag {tag} is not in the list of all tags")
            out[k, index_of[tag]] = True
    return out


def compressors(dtype: str, codec: str) -> list[Any]:
    """Blosc with byte shuffle, then a checksum: without it most single flipped bits pass unnoticed."""
    cname: Literal["zstd", "lz4"] = "zstd" if codec == "archive" else "lz4"
    level = 3 if codec == "archive" else 1 if dtype == "int16" else 5
    shuffle = BloscShuffle.noshuffle if dtype in ("bool", "int8", "uint8", "str") else BloscShuffle.shuffle
    return [BloscCodec(cname=cname, clevel=level, shuffle=shuffle), Crc32cCodec()]


def create(root: zarr.Group, spec: ArraySpec, length: int, codec: str) -> None:
    """Create one array."""
    root.create_array(
        spec.path,
        shape=(length, *spec.row_shape),
        chunks=(spec.chunk, *(max(size, 1) for size in spec.row_shape)),
        dtype=spec.dtype,
        compressors=compressors(spec.dtype, codec),
        fill_value="" if spec.dtype == "str" else 0,
        attributes=spec.attributes or {},
        dimension_names=(LENGTH_NAMES[spec.follows], *spec.axes),
    )
