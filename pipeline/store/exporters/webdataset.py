"""WebDataset: tar files of WAV and JSON pairs, to stream from disk or network."""

from __future__ import annotations

import json
import math
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.exporters._files import HashedFile, Piece
from timbre_data.pipeline.store.exporters._records import Row, blocks
from timbre_data.pipeline.store.reader import Dataset

SHARD_BYTES = 250_000_000
"""Sound in one shard, about."""


class _Shards:
    """The open shard of every split, and the digests of those that are full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[str, HashedFile]] = {}
        self._counts: dict[str, int] = {}
        self.digests: dict[str, str] = {}

    def add(self, split: str, members: list[Piece]) -> None:
        """Add some samples, as members of a tar file."""
        if split not in self._open:
            number = self._counts.get(split, 0)
            (self._folder / split).mkdir(exist_ok=True)
            path = f"{split}/{split}-{number:06d}.tar"
            self._open[split] = (path, HashedFile(self._folder / path))
            self._counts[split] = number + 1
        file = self._open[split][1]
        file.append(members)
        if file.size >= SHARD_BYTES:
            self._end(split)

    def _end(self, split: str) -> None:
        path, file = self._open.pop(split)
        with file:
            file.write(bytes(-(file.size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE))
            self.digests[path] = file.digest()

    def close(self) -> None:
        """End all tar files."""
        for split in list(self._open):
            self._end(split)

    def abandon(self) -> None:
        """Close the files as they are."""
        while self._open:
            self._open.popitem()[1][1].close()


def _members(block: list[Row]) -> dict[str, list[Piece]]:
    """The samples of a block as members of tar files, by split, in pieces."""
    parts: dict[str, list[Piece]] = {}
    for row in block:
        name, size = f"{row.labels['row']:07d}", len(row.header) + len(row.samples)
        labels = json.dumps({label: _json_value(value) for label, value in row.labels.items()}).encode()
        between = (_padding(size), _header(f"{name}.json", len(labels)), labels, _padding(len(labels)))
        pieces = (_header(f"{name}.wav", size) + row.header, row.samples, b"".join(between))
        parts.setdefault(row.labels["split"], []).extend(pieces)
    return parts


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


@lru_cache(maxsize=256)
def _template(size: int) -> tuple[bytes, bytes, int]:
    """A header for members of a size, before and after its checksum, and the sum of its bytes; without a name, time and
    owner: bytes depend on the dataset alone.
    """
    about = tarfile.TarInfo("")
    about.size = size
    header = about.tobuf(tarfile.USTAR_FORMAT)
    before, after = header[_NAME:_CHECKSUM], header[_CHECKSUM + 8 :]
    return before, after, sum(before) + sum(after) + 8 * ord(" ")


_NAME, _CHECKSUM = 100, 148
"""Where in a tar header the name ends, and where the checksum lies: eight bytes, counted as blanks."""


def _header(name: str, size: int) -> bytes:
    """The header of a member: that of `tarfile`, in a tenth of the time."""
    before, after, total = _template(size)
    encoded = name.encode("ascii")
    checksum = f"{total + sum(encoded):06o}\0 ".encode()
    return b"".join((encoded.ljust(_NAME, b"\0"), before, checksum, after))


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Shards under train/, validation/ and test/; a sample is `0000012.wav` and `0000012.json`."""
    shards = _Shards(folder)
    try:
        for members in blocks(data, _members):
            for split, samples in members.items():
                shards.add(split, samples)
        shards.close()
    finally:
        shards.abandon()
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
