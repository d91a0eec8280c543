"""Parquet shards with the sounds inside, split by split."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from timbre_data.pipeline.store.exporters._files import HashedFile
from timbre_data.pipeline.store.exporters._records import Row, blocks, columns
from timbre_data.pipeline.store.reader import Dataset

SHARD_BYTES = 400_000_000
"""Sound in one shard, about: what people can still move and retry."""
ARROW = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}
HUGGING_FACE = {"integer": "int64", "number": "float64", "text": "string"}


class _Shards:
    """The open shards of an export, one a split, written a few hundred rows at a time."""

    def __init__(self, data: Dataset, folder: Path) -> None:
        labels = columns(data)
        sound = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        described: dict[str, Any] = {"audio": {"sampling_rate": data.recipe.audio.rate, "_type": "Audio"}}
        described |= {label.name: {"dtype": HUGGING_FACE[label.kind], "_type": "Value"} for label in labels}
        self._schema = pa.schema(
            [("audio", sound), *((label.name, ARROW[label.kind]) for label in labels)],
            metadata={"huggingface": json.dumps({"info": {"features": described}})},
        )
        self._folder = folder
        self._block = max(1, min(512, 32_000_000 // (data.array("audio").nbytes // max(data.n, 1) + 1)))
        self._pending: dict[str, list[pa.Table]] = {}
        self._writers: dict[str, tuple[pq.ParquetWriter, HashedFile, str]] = {}
        self._written: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.digests: dict[str, str] = {}

    def tables(self, block: list[Row]) -> dict[str, pa.Table]:
        """Some rows as tables, by split."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in block:
            content = {"bytes": row.wav, "path": f"{row.labels['row']:07d}.wav"}
            rows.setdefault(row.labels["split"], []).append({"audio": content} | row.labels)
        return {split: pa.Table.from_pylist(some, self._schema) for split, some in rows.items()}

    def add(self, split: str, table: pa.Table) -> None:
        """Write a table, some time."""
        self._pending.setdefault(split, []).append(table)
        if sum(map(len, self._pending[split])) >= self._block:
            self._flush(split)

    def _flush(self, split: str) -> None:
        tables = self._pending.pop(split, [])
        if not tables:
            return
        table = pa.concat_tables(tables)
        if split not in self._writers:
            number = self.counts.get(split, 0)
            name = f"{split}-{number:05d}.parquet"
            file = HashedFile(self._folder / name)
            # sounds do not shrink, and to pack them takes longer than everything else
            packed = {"audio.bytes": "NONE"} | {name: "SNAPPY" for name in self._schema.names if name != "audio"}
            writer = pq.ParquetWriter(
                file, self._schema, compression=packed, use_dictionary=False, write_statistics=False
            )
            self._writers[split] = (writer, file, name)
            self.counts[split], self._written[split] = number + 1, 0
        self._writers[split][0].write_table(table)
        self._written[split] += table.nbytes
        if self._written[split] >= SHARD_BYTES:
            self._end(split)

    def _end(self, split: str) -> None:
        writer, file, name = self._writers.pop(split)
        with file:
            writer.close()
            self.digests[name] = file.digest()

    def close(self) -> None:
        """Write what is left."""
        for split in list(self._pending):
            self._flush(split)
        for split in list(self._writers):
            self._end(split)

    def abandon(self) -> None:
        """Close the files as they are."""
        while self._writers:
            writer, file, _ = self._writers.popitem()[1]
            with file, suppress(OSError, ValueError):  # of a full disk, once more
                writer.close()


def write_shards(data: Dataset, folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Write `SPLIT-00000.parquet` and so on into a new folder. Returns the number of shards of every split, and the
    SHA-256 of each shard by its name.
    """
    folder.mkdir()
    shards = _Shards(data, folder)
    try:
        for tables in blocks(data, shards.tables):
            for split, table in tables.items():
                shards.add(split, table)
        shards.close()
    except BaseException:
        shards.abandon()
        raise
    return shards.counts, shards.digests


def count_rows(folder: Path) -> int:
    """Rows of all shards."""
    return sum(pq.read_metadata(shard).num_rows for shard in (folder / "data").glob("*.parquet"))
