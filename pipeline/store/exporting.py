"""Hand-over formats: plain Zarr v3, WAV with CSV, Parquet. Each is made aside and moved into place when it is whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.layout import AUDIO_CHUNK, FRAMES, SPLITS, TAGS, segments_of
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import translated_errors
from timbre_data.schemas.errors import CorruptDataError, UsageError

SHARD_ROWS = 2048
MANIFEST = "SHA256SUMS"


def export(data: Dataset, to: Path, form: str) -> int:
    """Write a dataset to the new folder `to` in one of `FORMATS`. Returns the number of files. Refuses an unfinished dataset.

    Every file is listed with its SHA-256 in `SHA256SUMS` (check with `sha256sum -c`); `README.md` is the card.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form} is not known: choose {', '.join(FORMATS)}.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is there already: choose a new folder with --to.")
    if not data.complete():
        raise CorruptDataError(
            f"{data.location.address} is not finished ({int(data.present().sum())} of {data.recipe.n} rows): render it to the end first."
        )
    aside = to.with_name(to.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    with translated_errors(str(to)):
        aside.mkdir(parents=True)
        try:
            FORMATS[form](data, aside)
            (aside / "README.md").write_text(card(data, form), encoding="utf-8")
            count = _manifest(aside)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        if to.exists():
            to.rmdir()
        aside.rename(to)
    return count


def _manifest(folder: Path) -> int:
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _to_zarr(data: Dataset, folder: Path) -> None:
    """Copy every key as it is: the chunks are not decoded."""
    from zarr.abc.store import Store
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    source: Store = data._session.store

    async def keys() -> list[str]:
        return [key async for key in source.list()]

    for key in sync(keys()):
        value = sync(source.get(key, default_buffer_prototype()))
        if value is None:
            raise CorruptDataError(
                f"{data.location.address}: {key} cannot be read. See timbre-data dataset verify {data.name}."
            )
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value.to_bytes())


def records(data: Dataset) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield each usable row as (labels in their own units, sound [shape=(channels, samples)])."""
    space, steps = data.space, data.names("labels/order", "steps")
    plain = ("split", "attempt", "gain", "labels/effect_db", "dry/index")
    for start in range(0, data.n, AUDIO_CHUNK):
        rows = slice(start, min(start + AUDIO_CHUNK, data.n))
        sounds = decode(data.read("audio", rows))
        extra = tuple(data.meta.get("extra_labels", ()))
        paths = (*plain, *extra, "params", "labels/mask", "labels/order", "failed")
        columns = {path: data.read(path, rows) for path in paths}
        values = space.to_values(columns["params"])
        dry = np.unique(columns["dry/index"])
        identity = dict(zip(dry.tolist(), data.read("dry/identity", dry.astype(np.int64)), strict=True))
        for k in range(len(sounds)):
            if columns["failed"][k]:
                continue
            mask = columns["labels/mask"][k]
            order = [
                step
                for _, step in sorted(
                    (o, s) for o, s in zip(columns["labels/order"][k].tolist(), steps, strict=True) if o >= 0
                )
            ]
            record: dict[str, Any] = {
                "row": start + k,
                "split": SPLITS[columns["split"][k]],
                "dry": str(identity[int(columns["dry/index"][k])]),
                "effects": "+".join(order),
                "gain": float(columns["gain"][k]),
                "effect_db": float(columns["labels/effect_db"][k]),
            }
            for path in extra:
                value = columns[path][k]
                if path == TAGS:
                    record["tags"] = "+".join(
                        name for name, there in zip(data.names(TAGS), value, strict=True) if there
                    )
                elif path == FRAMES:
                    heard = segments_of(value, data.names(FRAMES))
                    record["segments"] = "; ".join(f"{start:.2f} {stop:.2f} {name}" for start, stop, name in heard)
                elif np.ndim(value):
                    continue  # a whole response: it is in the dataset itself, and in its zarr export
                else:
                    record[path.partition("/")[2]] = str(value) if isinstance(value, str) else float(value)
            if data.meta.get("kind") == "imported":  # nobody knows the parameters of recordings
                yield record, sounds[k]
                continue
            record |= {name: float(f"{values[k, i]:.7g}") if mask[i] else None for i, name in enumerate(space.names)}
            yield record, sounds[k]


def _to_wav(data: Dataset, folder: Path) -> None:
    """Hugging Face's `audiofolder` layout: train/, validation/, test/, each with metadata.csv and one WAV file a row."""
    files: dict[str, Any] = {}
    subtype = "PCM_16" if data.recipe.audio.dtype == "int16" else "FLOAT"
    try:
        for record, sound in records(data):
            split = str(record["split"])
            name = f"{record['row']:07d}.wav"
            fields = {"file_name": name} | record
            if split not in files:
                (folder / split).mkdir()
                handle = (folder / split / "metadata.csv").open("w", newline="", encoding="utf-8")
                files[split] = (handle, csv.DictWriter(handle, list(fields)))
                files[split][1].writeheader()
            files[split][1].writerow(fields)
            soundfile.write(folder / split / name, _as_stored(sound, data), data.recipe.audio.rate, subtype=subtype)
    finally:
        for handle, _ in files.values():
            handle.close()


def _as_stored(sound: np.ndarray, data: Dataset) -> np.ndarray:
    """Samples x channels, in the stored numbers: int16 passes through WAV without another rounding."""
    return np.rint(sound.T * 32767).astype(np.int16) if data.recipe.audio.dtype == "int16" else sound.T


def _to_parquet(data: Dataset, folder: Path) -> None:
    """Shards a split under data/, with the sound as a WAV file in a column: what `datasets.load_dataset` reads as audio."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pending: dict[str, list[dict[str, Any]]] = {}
    shards: dict[str, int] = {}
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = json.dumps(
        {"info": {"features": {"audio": {"sampling_rate": data.recipe.audio.rate, "_type": "Audio"}}}}
    )
    (folder / "data").mkdir()

    def flush(split: str) -> None:
        rows = pending.pop(split)
        labels = {
            name: pa.array([row[name] for row in rows], pa.float64() if "." in name else None)
            for name in rows[0]
            if name != "audio"
        }
        table = pa.table({"audio": pa.array([row["audio"] for row in rows], audio)} | labels)
        number = shards[split] = shards.get(split, -1) + 1
        pq.write_table(
            table.replace_schema_metadata({"huggingface": features}), folder / "data" / f"{split}-{number:05d}.parquet"
        )

    for record, sound in records(data):
        split = str(record["split"])
        buffer = io.BytesIO()
        subtype = "PCM_16" if data.recipe.audio.dtype == "int16" else "FLOAT"
        soundfile.write(buffer, _as_stored(sound, data), data.recipe.audio.rate, format="WAV", subtype=subtype)
        pending.setdefault(split, []).append(
            {"audio": {"bytes": buffer.getvalue(), "path": f"{record['row']:07d}.wav"}} | record
        )
        if len(pending[split]) == SHARD_ROWS:
            flush(split)
    for split in list(pending):
        flush(split)


FORMATS: dict[str, Callable[[Dataset, Path], None]] = {"zarr": _to_zarr, "wav": _to_wav, "parquet": _to_parquet}


def card(data: Dataset, form: str) -> str:
    """The dataset's card: what it is, how it was made, what the columns mean."""
    recipe = data.recipe
    lines = [
        f"# {recipe.name} {data.version}",
        "",
        recipe.description or "Rendered by timbre-data.",
        "",
        f"- {data.n} sounds of {recipe.audio.seconds:g} s, {recipe.audio.rate} Hz, {recipe.audio.channels} channel(s); format: {form}",
        f"- licence {recipe.licence}; {recipe.citation}".rstrip("; "),
        f"- snapshot {data.snapshot}, seed {recipe.seed}, source of dry sound {recipe.source.name} (synthetic unless it plays recordings)",
        "- splits go by row, each with a patch of its own"
        + (f"; isolation of rows: {data.meta['isolation']}" if data.meta.get("isolation") else "")
        if recipe.chain.synth
        else "- splits go by dry sound: none is in two of them",
        "- `gain` is what the stored sound was multiplied with; `effect_db` is how much the effect changed (below -60 dB nobody hears it)",
        "",
        "| parameter | range | unit | scale |",
        "|---|---|---|---|",
        *(f"| {p.name} | {p.bounds[0]:g} to {p.bounds[1]:g} | {p.unit} | {p.kind} |" for p in data.space.each()),
        "",
        "The recipe:",
        "",
        "```json",
        json.dumps(recipe.model_dump(mode="json"), indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)
