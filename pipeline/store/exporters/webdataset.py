"""WebDataset: tar files of WAV and JSON pairs, to stream from disk or network."""

from __future__ import annotations

import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.exporters._records import records
from timbre_data.pipeline.store.reader import Dataset

SHARD_BYTES = 250_000_000
"""Sound in one shard, about."""


class _Shards:
    """The open shard of every split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tarfile.TarFile] = {}
        self._counts: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def add(self, split: str, key: str, parts: dict[str, bytes]) -> None:
        """Add the files of one sample, one after the other."""
        if split not in self._open:
            number = self._counts.get(split, 0)
            (self._folder / split).mkdir(exist_ok=True)
            path = self._folder / split / f"{split}-{number:06d}.tar"
            self._open[split] = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  # open until it is full
            self._counts[split], self._written[split] = number + 1, 0
        for ending, content in parts.items():
            about = tarfile.TarInfo(f"{key}.{ending}")  # without time and owner: bytes depend on the dataset alone
            about.size = len(content)
            self._open[split].addfile(about, io.BytesIO(content))
            self._written[split] += len(content)
        if self._written[split] >= SHARD_BYTES:
            self._open.pop(split).close()

    def close(self) -> None:
        """End all tar files."""
        while self._open:
            self._open.popitem()[1].close()


def _write(data: Dataset, folder: Path) -> None:
    """Shards under train/, validation/ and test/; a sample is `0000012.wav` and `0000012.json`."""
    shards = _Shards(folder)
    try:
        for record, sound in records(data):
            labels = json.dumps({name: _json_value(value) for name, value in record.items()})
            parts = {"wav": sound, "json": labels.encode()}
            shards.add(record["split"], f"{record['row']:07d}", parts)
    finally:
        shards.close()


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _count_rows(folder: Path) -> int:
    total = 0
    for shard in folder.glob("*/*.tar"):
        with tarfile.open(shard) as tar:
            total += sum(name.endswith(".json") for name in tar.getnames())
    return total


EXPORTER = Exporter(
    summary="Tar shards of WAV and JSON pairs (WebDataset).",
    write=_write,
    count_rows=_count_rows,
    files=(FileSet("shards", "*/*.tar", "application/x-tar"),),
    splits="{split}/*.tar",
    snippets=(
        Snippet(
            "webdataset",
            """import glob
import io

import soundfile as sf
import webdataset as wds

rows = wds.WebDataset(sorted(glob.glob("train/*.tar")), shardshuffle=False).decode()
row = next(iter(rows))
sound, rate = sf.read(io.BytesIO(row["wav"]))""",
        ),
        Snippet(
            "Hugging Face datasets",
            """import io
import os

import soundfile as sf
from datasets import Audio, load_dataset

rows = load_dataset(os.getcwd(), split="train")
row = rows.cast_column("wav", Audio(decode=False))[0]  # with torchcodec installed, rows[0] is decoded
sound, rate = sf.read(io.BytesIO(row["wav"]["bytes"]))""",
        ),
        Snippet(
            "PyTorch",
            """import glob
import io

import soundfile as sf
import torch
import webdataset as wds


def tensors(row):
    return torch.from_numpy(sf.read(io.BytesIO(row["wav"]), dtype="float32")[0]), row["json"]["effect_db"]


rows = wds.WebDataset(sorted(glob.glob("train/*.tar")), shardshuffle=False).decode().map(tensors)
sound, effect_db = next(iter(torch.utils.data.DataLoader(rows, batch_size=None, num_workers=1)))""",
        ),
        Snippet(
            "Python alone",
            """import glob
import json
import tarfile

with tarfile.open(sorted(glob.glob("train/*.tar"))[0]) as tar:
    labels = json.load(tar.extractfile(next(name for name in tar.getnames() if name.endswith(".json"))))""",
        ),
        Snippet(
            "Croissant",
            """import mlcroissant

dataset = mlcroissant.Dataset(jsonld="croissant.json")
print(dataset.metadata.name, dataset.metadata.version)""",
        ),
    ),
)
