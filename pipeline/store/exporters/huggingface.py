"""A repository for the Hugging Face Hub: Parquet shards, named and described as the Hub does it."""

from __future__ import annotations

from pathlib import Path

from timbre_data.pipeline.catalogue.exporter import Exporter, Snippet
from timbre_data.pipeline.store.exporters._shown import PARQUET_FILES, PARQUET_SNIPPETS, PARQUET_SPLITS
from timbre_data.pipeline.store.reader import Dataset


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Shards under data/ whose names say how many there are: `train-00000-of-00003.parquet`."""
    from timbre_data.pipeline.store.exporters._shards import write_shards

    counts, digests = write_shards(data, folder / "data")
    renamed = {}
    for split, count in counts.items():
        for number in range(count):
            shard = folder / "data" / f"{split}-{number:05d}.parquet"
            final = shard.rename(shard.with_name(f"{split}-{number:05d}-of-{count:05d}.parquet"))
            renamed[f"data/{final.name}"] = digests[shard.name]
    return renamed


def _count_rows(folder: Path) -> int:
    from timbre_data.pipeline.store.exporters._shards import count_rows

    return count_rows(folder)


EXPORTER = Exporter(
    summary="Folder to upload to the Hugging Face Hub as it is: numbered Parquet shards and a card for its viewer.",
    write=_write,
    count_rows=_count_rows,
    files=PARQUET_FILES,
    splits=PARQUET_SPLITS,
    snippets=(
        Snippet(
            "Hugging Face datasets",
            """import io
import os

import soundfile as sf
from datasets import Audio, load_dataset

rows = load_dataset(os.getcwd(), split="train")
row = rows.cast_column("audio", Audio(decode=False))[0]  # with torchcodec installed, rows[0] is decoded
sound, rate = sf.read(io.BytesIO(row["audio"]["bytes"]))""",
        ),
        *PARQUET_SNIPPETS,
    ),
    front_matter={"viewer": True},
)
