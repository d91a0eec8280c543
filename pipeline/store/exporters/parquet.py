"""Parquet shards with the sound inside: what `datasets.load_dataset` reads as audio."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import soundfile

from timbre_data.pipeline.catalogue.exporter import Exporter
from timbre_data.pipeline.store.exporters._records import as_stored, records
from timbre_data.pipeline.store.reader import Dataset

SHARD_ROWS = 2048


def _write(data: Dataset, folder: Path) -> None:
    """Shards a split under data/, with the sound as a WAV file in a column: what `datasets.load_dataset` reads as
    audio.
    """
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
        soundfile.write(buffer, as_stored(sound, data), data.recipe.audio.rate, format="WAV", subtype=subtype)
        pending.setdefault(split, []).append(
            {"audio": {"bytes": buffer.getvalue(), "path": f"{record['row']:07d}.wav"}} | record
        )
        if len(pending[split]) == SHARD_ROWS:
            flush(split)
    for split in list(pending):
        flush(split)


def _count_rows(folder: Path) -> int:
    import pyarrow.parquet

    return sum(pyarrow.parquet.read_metadata(shard).num_rows for shard in (folder / "data").glob("*.parquet"))


EXPORTER = Exporter(
    summary="Parquet shards per split, sounds as WAV bytes in an audio column (Hugging Face).",
    write=_write,
    count_rows=_count_rows,
)
