"""MagnaTagATune: 25,863 clips of 29 s with 188 tags given by players of a game (Law et al. 2009).

0/ ... f/                  mono MP3 at 16 kHz; a few are empty files
annotations_final.csv      tab separated: clip_id, a column of 0 and 1 for each tag, mp3_path
clip_info_final.csv        tab separated: what clip, album and artist each is
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.importers._files import files_below, piece_starts, seconds_of
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import AudioFormat

ANNOTATIONS = "annotations_final.csv"
FOLDERS = "0123456789abcdef"
VALIDATION, TEST = "c", "def"
Row = dict[str, str]


class MagnaTagATuneSettings(Frozen):
    """The unpacked folders, the annotations, and the number of most frequent tags to use."""

    path: Path = Field(description="folder or file")
    tags: int = Field(50, ge=2, le=188, description="number of most frequent tags to keep")
    piece_seconds: float = Field(3.0, gt=0, description="clips are cut into pieces of so much, one row each")


@lru_cache(maxsize=4)
def scan(settings: MagnaTagATuneSettings) -> Inventory:
    """List every clip and every problem. Raises `NotFoundError` where there are no annotations."""
    root = settings.path.expanduser()
    if not (root / ANNOTATIONS).is_file():
        raise NotFoundError(f"{root} does not hold {ANNOTATIONS}: give the folder with it and the folders 0 to f.")
    problems: dict[str, str] = {}
    try:
        rows, names = _annotations(root / ANNOTATIONS, problems)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{root / ANNOTATIONS} is not a table in UTF-8 ({error}): take the published file as it is."
        ) from None
    tags = _most_frequent(rows, names, settings.tags)
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for row in rows:
        shown = row["mp3_path"]
        path = root / shown
        if not path.is_file():
            problems[shown] = f"missing: {ANNOTATIONS} lists it"
            continue
        seconds = seconds_of(path)
        if isinstance(seconds, str):
            problems[shown] = seconds
            continue
        row_tags = tuple(tag for tag in tags if row[tag] == "1")
        for start in piece_starts(seconds, settings.piece_seconds):
            labels: dict[str, float | str] = {"start_seconds": start, "clip_id": row["clip_id"]}
            recordings.append(
                Recording(file=path, identity=shown, origin=len(origins), step="dry", tags=row_tags, start_seconds=start, labels=labels)
            )  # fmt: skip
        origins.append(Origin(identity=shown, split=_split(shown[0])))
    listed = {row["mp3_path"] for row in rows}
    for folder in FOLDERS:
        for path in files_below(root / folder):
            shown = path.relative_to(root).as_posix()
            if shown not in listed:
                problems[shown] = f"unexpected: {ANNOTATIONS} does not list it"
    return Inventory(tuple(recordings), tuple(origins), problems, tags)


def _split(folder: str) -> Literal["train", "validation", "test"]:
    """The division by folder that papers use: 0 to b, c, d to f."""
    return "validation" if folder in VALIDATION else "test" if folder in TEST else "train"


def _annotations(path: Path, problems: dict[str, str]) -> tuple[list[Row], list[str]]:
    """The rows of the annotations by path, and the names of all tags."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t")
        fields = list(reader.fieldnames or ())
        if not {"clip_id", "mp3_path"} <= set(fields):
            raise NotFoundError(
                f"{path} has no columns clip_id and mp3_path, separated by tabs: is it MagnaTagATune's?"
            )
        names = [name for name in fields if name not in ("clip_id", "mp3_path")]
        rows = []
        for row in reader:
            if None in row.values() or row["mp3_path"][:1] not in FOLDERS or row["mp3_path"][1:2] != "/":
                problems[f"{path.name}, line {reader.line_num}"] = "unreadable: not a line of annotations"
            else:
                rows.append(row)
    return sorted(rows, key=lambda row: row["mp3_path"]), names


def _most_frequent(rows: list[Row], names: list[str], count: int) -> tuple[str, ...]:
    """The tags that most clips have, most frequent first; in the file's order where two are as frequent."""
    counts = {name: sum(row[name] == "1" for row in rows) for name in names}
    return tuple(sorted(names, key=lambda name: -counts[name])[:count])


IMPORTER = Importer(
    summary="MagnaTagATune: 25,863 clips of 29 s with the 50 most frequent of 188 tags.",
    citation="Law, E., West, K., Mandel, M., Bay, M. and Downie, J. S. (2009). Evaluation of algorithms using games: the case of music tagging. ISMIR.",
    licence="CC-BY-NC-SA-1.0 (Magnatune's clips)",
    url="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
    settings=MagnaTagATuneSettings,
    steps=("dry",),
    audio=AudioFormat(rate=16000, channels=1, seconds=3, peak="fit"),
    scan=scan,
)
