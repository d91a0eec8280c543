"""Parquet shards with the sound inside."""

from __future__ import annotations

from pathlib import Path

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.reader import Dataset


def _write(data: Dataset, folder: Path) -> None:
    """Shards of every split under data/, with the sound as a WAV file in a column."""
    from timbre_data.pipeline.store.exporters._shards import write_shards

    write_shards(data, folder / "data")


def _count_rows(folder: Path) -> int:
    from timbre_data.pipeline.store.exporters._shards import count_rows

    return count_rows(folder)


EXPORTER = Exporter(
    summary="Parquet shards per split, sounds as WAV bytes in an audio column.",
    write=_write,
    count_rows=_count_rows,
    files=(FileSet("shards", "data/*.parquet", "application/x-parquet", has_labels=True),),
    splits="data/{split}-*.parquet",
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
        Snippet(
            "pandas and soundfile",
            """import glob
import io

import pandas as pd
import soundfile as sf

shard = sorted(glob.glob("data/train-*.parquet"))[0]
rows = pd.read_parquet(shard)
sound, rate = sf.read(io.BytesIO(rows["audio"][0]["bytes"]))""",
        ),
        Snippet(
            "pyarrow",
            """import pyarrow.dataset

table = pyarrow.dataset.dataset("data").to_table(columns=["row", "split", "effect_db"])""",
        ),
        Snippet(
            "PyTorch",
            """import glob
import io

import pandas as pd
import soundfile as sf
import torch

rows = pd.read_parquet(sorted(glob.glob("data/train-*.parquet")))
sounds = [torch.from_numpy(sf.read(io.BytesIO(one["bytes"]), dtype="float32")[0]) for one in rows["audio"][:16]]
batch = torch.stack(sounds)""",
        ),
        Snippet(
            "Croissant",
            """import mlcroissant

dataset = mlcroissant.Dataset(jsonld="croissant.json")
print(next(iter(dataset.records("rows"))))""",
        ),
    ),
)
