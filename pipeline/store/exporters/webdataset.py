"""WebDataset: tar files of WAV and JSON pairs, to stream from disk or network."""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.exporters._records import Row, blocks
from timbre_data.pipeline.store.reader import Dataset

SHARD_BYTES = 250_000_000
"""Sound in one shard, about."""


class _Shards:
    """The open shard of every split, and the digests of those that are full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[str, BinaryIO, Any]] = {}
        self._counts: dict[str, int] = {}
        self.digests: dict[str, str] = {}

    def add(self, split: str, members: bytes) -> None:
        """Add some samples, as members of a tar file."""
        if split not in self._open:
            number = self._counts.get(split, 0)
            (self._folder / split).mkdir(exist_ok=True)
            path = f"{split}/{split}-{number:06d}.tar"
            self._open[split] = (path, (self._folder / path).open("wb", buffering=0), hashlib.sha256())
            self._counts[split] = number + 1
        _, file, digest = self._open[split]
        file.write(members)
        digest.update(members)
        if file.tell() >= SHARD_BYTES:
            self._end(split)

    def _end(self, split: str) -> None:
        path, file, digest = self._open.pop(split)
        with file:
            end = bytes(-(file.tell() + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE)
            file.write(end)
        digest.update(end)
        self.digests[path] = digest.hexdigest()

    def close(self) -> None:
        """End all tar files."""
        for split in list(self._open):
            self._end(split)


def _members(block: list[Row]) -> dict[str, bytes]:
    """The samples of a block as members of tar files, by split; without time and owner: bytes depend on the dataset
    alone.
    """
    parts: dict[str, list[bytes]] = {}
    for record, sound in block:
        labels = json.dumps({name: _json_value(value) for name, value in record.items()}).encode()
        tar = parts.setdefault(record["split"], [])
        for ending, content in (("wav", sound), ("json", labels)):
            about = tarfile.TarInfo(f"{record['row']:07d}.{ending}")
            about.size = len(content)
            tar += [about.tobuf(tarfile.USTAR_FORMAT), content, bytes(-len(content) % tarfile.BLOCKSIZE)]
    return {split: b"".join(tar) for split, tar in parts.items()}


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Shards under train/, validation/ and test/; a sample is `0000012.wav` and `0000012.json`."""
    shards = _Shards(folder)
    try:
        for members in blocks(data, _members):
            for split, samples in members.items():
                shards.add(split, samples)
    finally:
        shards.close()
    return shards.digests


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

rows = load_dataset(os.getcwd(), split="train")  # which asks for torchcodec in this layout
row = rows.cast_column("wav", Audio(decode=False))[0]  # rows[0] is decoded
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
