"""WAV files and CSV tables: the layout of Hugging Face's `audiofolder`."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.columns import SPLITS
from timbre_data.pipeline.store.exporters._files import write_pieces
from timbre_data.pipeline.store.exporters._records import Row, blocks, columns
from timbre_data.pipeline.store.exporters._shown import CROISSANT_RECORDS
from timbre_data.pipeline.store.reader import Dataset


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Hugging Face's `audiofolder` layout: train/, validation/, test/, each with metadata.csv and one WAV file a row.

    The sounds are written, and their digests computed, in the threads that make them.
    """
    for split in SPLITS:
        (folder / split).mkdir()

    def write_sounds(block: list[Row]) -> list[tuple[dict[str, Any], str, str]]:
        written = []
        for row in block:
            path = f"{row.labels['split']}/{row.labels['row']:07d}.wav"
            with open(f"{folder}/{path}", "wb", buffering=0) as file:
                write_pieces(file.fileno(), (row.header, row.samples))
            digest = hashlib.sha256(row.header)
            digest.update(row.samples)
            written.append((row.labels, path, digest.hexdigest()))
        return written

    header = ["file_name", *(column.name for column in columns(data))]
    tables: dict[str, tuple[Any, Any]] = {}
    digests: dict[str, str] = {}
    try:
        for block in blocks(data, write_sounds):
            for record, path, digest in block:
                split, name = path.split("/")
                if split not in tables:
                    handle = (folder / split / "metadata.csv").open("w", newline="", encoding="utf-8")
                    tables[split] = (handle, csv.writer(handle))
                    tables[split][1].writerow(header)
                tables[split][1].writerow([name, *record.values()])
                digests[path] = digest
    finally:
        for handle, _ in tables.values():
            handle.close()
    for split in SPLITS:
        if split not in tables:
            (folder / split).rmdir()
    return digests


def _count_rows(folder: Path) -> int:
    tables = (table.read_text(encoding="utf-8").splitlines() for table in folder.rglob("metadata.csv"))
    return sum(len(list(csv.DictReader(lines))) for lines in tables)


EXPORTER = Exporter(
    summary="WAV files with a metadata.csv per split (Hugging Face audiofolder).",
    write=_write,
    count_rows=_count_rows,
    files=(
        FileSet("tables", "*/metadata.csv", "text/csv", has_labels=True),
        FileSet("sounds", "*/*.wav", "audio/wav"),
    ),
    splits="{split}/**",
    snippets=(
        Snippet(
            "Hugging Face datasets",
            """import os

import soundfile as sf
from datasets import Audio, load_dataset

rows = load_dataset(os.getcwd(), split="train")  # which asks for torchcodec in this layout
row = rows.cast_column("audio", Audio(decode=False))[0]  # rows[0] is decoded
sound, rate = sf.read(row["audio"]["path"])""",
        ),
        Snippet(
            "pandas and soundfile",
            """import pandas as pd
import soundfile as sf

labels = pd.read_csv("train/metadata.csv")
sound, rate = sf.read("train/" + labels["file_name"][0])""",
        ),
        Snippet(
            "librosa",
            """import librosa

names = librosa.util.find_files("train", ext="wav")
sound, rate = librosa.load(names[0], sr=None)""",
        ),
        Snippet(
            "PyTorch",
            """import pandas as pd
import soundfile as sf
import torch


class Rows(torch.utils.data.Dataset):
    def __init__(self, split):
        self.split, self.labels = split, pd.read_csv(f"{split}/metadata.csv")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, k):
        sound, _ = sf.read(f"{self.split}/{self.labels.file_name[k]}", dtype="float32")
        return torch.from_numpy(sound), self.labels.effect_db[k]


sounds, effect_db = next(iter(torch.utils.data.DataLoader(Rows("train"), batch_size=16)))""",
        ),
        CROISSANT_RECORDS,
    ),
)
