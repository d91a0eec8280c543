"""WAV files and CSV tables: the layout of Hugging Face's `audiofolder`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import soundfile

from timbre_data.pipeline.catalogue.exporter import Exporter
from timbre_data.pipeline.store.exporters._records import as_stored, records
from timbre_data.pipeline.store.reader import Dataset


def _write(data: Dataset, folder: Path) -> None:
    """Hugging Face's `audiofolder` layout: train/, validation/, test/, each with metadata.csv and one WAV file a
    row.
    """
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
            soundfile.write(folder / split / name, as_stored(sound, data), data.recipe.audio.rate, subtype=subtype)
    finally:
        for handle, _ in files.values():
            handle.close()


def _count_rows(folder: Path) -> int:
    tables = (table.read_text(encoding="utf-8").splitlines() for table in folder.rglob("metadata.csv"))
    return sum(len(list(csv.DictReader(lines))) for lines in tables)


EXPORTER = Exporter(
    summary="WAV files with a metadata.csv per split (Hugging Face audiofolder).", write=_write, count_rows=_count_rows
)
