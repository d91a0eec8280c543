"""IRMAS: excerpts of music by their predominant instrument, and test excerpts with one to five instruments (Bosch et
al. 2012).

IRMAS-TrainingData/<class>/[<class>][<drums>][<genre>]<song>__<excerpt>.wav      3 s each, at most three excerpts a song
IRMAS-TestingData-Part{1,2,3}/<folder>/X.wav, X.txt                              5 to 20 s; a label a line, with a
trailing tab
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.seeding import share
from timbre_data.pipeline.importers._files import files_below, piece_starts, seconds_of
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError
from timbre_data.schemas.recipe import AudioFormat

CLASSES = {
    "cel": "cello",
    "cla": "clarinet",
    "flu": "flute",
    "gac": "acoustic_guitar",
    "gel": "electric_guitar",
    "org": "organ",
    "pia": "piano",
    "sax": "saxophone",
    "tru": "trumpet",
    "vio": "violin",
    "voi": "voice",
}
TRAINING = "IRMAS-TrainingData"
TESTING = tuple(f"IRMAS-TestingData-Part{part}" for part in (1, 2, 3))
NAME = re.compile(
    r"^(?:\d+__)?\[(?P<cls>\w{3})\](?:\[(?P<drums>dru|nod|---)\])?\[(?P<genre>\w+)\](?P<song>\d+)__(?P<excerpt>\d)\.wav$"
)


class IrmasSettings(Frozen):
    """The unpacked folders and the parts to import.

    With both parts, the published division stands: testing files are the test split, and songs of the training part are
    in training or (a share of `validation`) validation. With the training part alone, its songs are divided as the
    recipe's split says.
    """

    path: Path = Field(description="folder or file")
    parts: tuple[Literal["training", "testing"], ...] = Field(
        ("training", "testing"), min_length=1, description="parts of the set to import"
    )
    piece_seconds: float = Field(3.0, gt=0, description="longer files are cut into pieces of so much, one row each")
    validation: float = Field(0.15, gt=0, lt=1, description="share of the training songs used for validation")


@lru_cache(maxsize=4)
def scan(settings: IrmasSettings) -> Inventory:
    """List every excerpt and every problem. Raises `NotFoundError` where none of the folders is there."""
    root = settings.path.expanduser()
    wanted = [TRAINING] if "training" in settings.parts else []
    wanted += TESTING if "testing" in settings.parts else ()
    if not any((root / name).is_dir() for name in wanted):
        raise NotFoundError(
            f"{root} holds none of the folders {', '.join(wanted)}: give the one they were unpacked into."
        )
    problems: dict[str, str] = {}
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for name in wanted:
        if not (root / name).is_dir():
            problems[name] = "missing: the whole folder"
        for path in files_below(root / name):
            shown = path.relative_to(root).as_posix()
            labelled = _training(path, settings) if name == TRAINING else _testing(path)
            if isinstance(labelled, str):
                if labelled:
                    problems[shown] = labelled
                continue
            seconds = seconds_of(path)
            if isinstance(seconds, str):
                problems[shown] = seconds
                continue
            tags, group, split = labelled
            for start in piece_starts(seconds, settings.piece_seconds):
                labels: dict[str, float | str] = {"start_seconds": start}
                recordings.append(
                    Recording(file=path, identity=shown, origin=len(origins), step="dry", tags=tags, start_seconds=start, labels=labels)
                )  # fmt: skip
            origins.append(Origin(identity=shown, group=group, split=split))
    return Inventory(tuple(recordings), tuple(origins), problems, tuple(CLASSES.values()))


Labelled = tuple[tuple[str, ...], str, Literal["", "train", "validation", "test"]]
"""Tags, group and split of a file."""


def _training(path: Path, settings: IrmasSettings) -> Labelled | str:
    """The labels in the name of a training excerpt, or what is wrong with it (empty for text files beside the
    sounds).
    """
    if path.suffix.lower() != ".wav":
        return "" if path.suffix.lower() in (".txt", ".pdf") else "unexpected: not a WAV file"
    fields = NAME.fullmatch(path.name)
    if fields is None or path.parent.name not in CLASSES:
        return "unexpected: its name or folder does not follow the code"
    if fields["cls"] != path.parent.name:
        return f"unexpected: lies in {path.parent.name}, its name says {fields['cls']}"
    song = f"{path.parent.name}/{fields['song']}"  # numbers of songs repeat over classes
    split: Literal["", "train", "validation"] = ""
    if "testing" in settings.parts:
        split = "validation" if share(song, 0) < settings.validation else "train"
    return (CLASSES[path.parent.name],), song, split


def _testing(path: Path) -> Labelled | str:
    """The labels of a test file, or what is wrong with it (nothing, for the lists of labels themselves)."""
    if path.suffix.lower() == ".txt":
        return (
            ""
            if path.with_suffix(".wav").is_file()
            else f"missing: {path.stem}.wav, of which this is the list of labels"
        )
    if path.suffix.lower() != ".wav":
        return "unexpected: not a WAV file"
    list_ = path.with_suffix(".txt")
    if not list_.is_file():
        return f"missing: its list of labels {list_.name}"
    codes = list_.read_text(encoding="utf-8", errors="replace").split()
    unknown = [code for code in codes if code not in CLASSES]
    if unknown or not codes:
        return (
            f"unexpected: {list_.name} has the label {unknown[0]!r}"
            if unknown
            else f"unreadable: {list_.name} has no labels"
        )
    return tuple(CLASSES[code] for code in dict.fromkeys(codes)), f"{path.parts[-3]}/{path.stem}", "test"


IMPORTER = Importer(
    summary="IRMAS: 6,705 excerpts by predominant instrument for training, 2,874 with one to five instruments for testing.",
    citation="Bosch, J. J., Fuhrmann, F. and Herrera, P. (2014). IRMAS: a dataset for instrument recognition in musical audio signals, version 1.0. Zenodo. https://doi.org/10.5281/zenodo.1290750",
    licence="CC-BY-NC-SA-3.0",
    url="https://zenodo.org/records/1290750",
    settings=IrmasSettings,
    steps=("dry",),
    audio=AudioFormat(rate=22050, channels=1, seconds=3, peak="fit"),
    scan=scan,
)
