"""Parquet shards with the sound inside."""

from __future__ import annotations

from pathlib import Path

from timbre_data.pipeline.catalogue.exporter import Exporter, Snippet
from timbre_data.pipeline.store.exporters._shown import PARQUET_FILES, PARQUET_SNIPPETS, PARQUET_SPLITS
from timbre_data.pipeline.store.reader import Dataset


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Shards of every split under data/, with the sound as a WAV file in a column."""
    from timbre_data.pipeline.store.exporters._shards import write_shards

    _, digests = write_shards(data, folder / "data")
    return {f"data/{name}": digest for name, digest in digests.items()}


def _count_rows(folder: Path) -> int:
    from timbre_data.pipeline.store.exporters._shards import count_rows

    return count_rows(folder)


EXPORTER = Exporter(
    summary="Parquet shards per split, sounds as WAV bytes in an audio column.",
    write=_write,
    count_rows=_count_rows,
    files=PARQUET_FILES,
    splits=PARQUET_SPLITS,
    snippets=(
        Snippet(
            "Hugging Face datasets",
            """import io

import soundfile as sf
from datasets import Audio, load_dataset

rows = load_dataset("parquet", data_files={"train": "data/train-*.parquet"}, split="train")
row = rows.cast_column("audio", Audio(decode=False))[0]  # with torchcodec installed, rows[0] is decoded
sound, rate = sf.read(io.BytesIO(row["audio"]["bytes"]))""",
        ),
        *PARQUET_SNIPPETS,
    ),
)
