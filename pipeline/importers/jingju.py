"""Jingju a cappella: singing of Beijing opera with the phonemes of every moment (Gong et al.; phonemes as in Pons et
al. 2017).

wav/{danAll,qmLonUpf/laosheng}/X.wav   .../X.TextGrid                          2017: Praat, UTF-16
wav/{dan,laosheng}/X.wav               annotation_txt/<role>/X_phoneme.txt     version 7: start, end and label, with
tabs
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.seeding import share
from timbre_data.pipeline.catalogue.shipped import read_table
from timbre_data.pipeline.catalogue.source import Segment
from timbre_data.pipeline.importers._files import files_below, seconds_of
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import AudioFormat

ROLES = ("dan", "laosheng")
PHONEMES, SYLLABLES = "details", "dian"
"""Tiers of the annotation of 2017; a phoneme counts where the syllable it lies in is not empty."""
TRAIN, VALIDATION = 0.6, 0.2
"""Shares of recordings (Pons et al. 2017); the rest is for testing."""


class JingjuSettings(Frozen):
    """The unpacked folder, the roles to import, and the class of each raw label."""

    path: Path = Field(description="folder or file")
    roles: tuple[Literal["dan", "laosheng"], ...] = Field(
        ("dan", "laosheng"), min_length=1, description="role types to import"
    )
    table: str = Field("jingju-phonemes", description="a YAML file, or a shipped table: classes and their raw labels")
    piece_seconds: float = Field(5.0, gt=0.1, description="recordings are cut into pieces of so much, one row each")


@lru_cache(maxsize=4)
def scan(settings: JingjuSettings) -> Inventory:
    """List every recording and every problem. Raises `NotFoundError` where there is no folder `wav`."""
    root = settings.path.expanduser()
    if not (root / "wav").is_dir():
        raise NotFoundError(f"{root} holds no folder wav: give the one that the set was unpacked into.")
    table = read_table(settings.table)
    classes = {label: name for name, labels in table.items() for label in labels}
    if sum(map(len, table.values())) > len(classes):
        raise UsageError(f"table {settings.table}: a label belongs to two classes.")
    lists = {
        (role, path.name.removesuffix(path.suffix).removesuffix("_phoneme")): path
        for path in files_below(root)
        if (path.suffix == ".TextGrid" or path.name.endswith("_phoneme.txt")) and (role := _role(path, root))
    }
    problems: dict[str, str] = {}
    origins: list[Origin] = []
    recordings: list[Recording] = []
    labelled: set[tuple[str, str]] = set()
    for path in files_below(root / "wav"):
        shown, role = path.relative_to(root).as_posix(), _role(path, root)
        if role and role not in settings.roles:
            continue
        if path.suffix.lower() != ".wav":
            if (role or "", path.stem) not in lists:
                problems[shown] = "unexpected: not a WAV file"
            continue
        if role is None:
            problems[shown] = f"unexpected: in no folder of a role ({', '.join(ROLES)})"
            continue
        labelled.add((role, path.stem))
        seconds = seconds_of(path)
        list_ = lists.get((role, path.stem))
        said: list[Segment] | str = "missing: its phonemes, a .TextGrid or _phoneme.txt" if list_ is None else _read(list_, classes)  # fmt: skip
        if isinstance(seconds, str) or isinstance(said, str):
            problems[shown] = seconds if isinstance(seconds, str) else str(said)
            continue
        name = f"{role}/{path.stem}"
        for piece in range(max(1, math.ceil(seconds / settings.piece_seconds - 1e-6))):
            start = piece * settings.piece_seconds
            stop = start + settings.piece_seconds
            inside = [(a - start, b - start, label) for a, b, label in said if a < stop and b > start]
            labels: dict[str, float | str] = {"start_seconds": start, "role": role}
            recordings.append(
                Recording(file=path, identity=shown, origin=len(origins), step="dry", segments=tuple(inside), start_seconds=start, labels=labels)
            )  # fmt: skip
        position = share(name, 0)
        split: Literal["train", "validation", "test"] = (
            "train" if position < TRAIN else "validation" if position < TRAIN + VALIDATION else "test"
        )
        origins.append(Origin(identity=shown, group=name, split=split))
    for (role, stem), path in lists.items():
        if role in settings.roles and (role, stem) not in labelled:
            problems[path.relative_to(root).as_posix()] = f"missing: {stem}.wav, of which these are the phonemes"
    return Inventory(tuple(recordings), tuple(origins), problems, frame_classes=tuple(table))


def _role(path: Path, root: Path) -> str | None:
    """The role by the folders that a file lies in: danAll is dan."""
    folders = [part.lower() for part in path.relative_to(root).parts[:-1]]
    return next((role for role in ROLES for part in folders if part.startswith(role)), None)


def _read(path: Path, classes: dict[str, str]) -> list[Segment] | str:
    """The phonemes of a recording by class, or what is wrong with their file."""
    try:
        raw = _of_textgrid(path) if path.suffix == ".TextGrid" else _of_text(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        return f"unreadable: {path.name} ({' '.join(str(error).split()) or type(error).__name__})"
    unknown = sorted({label for _, _, label in raw} - set(classes))
    if unknown:
        return f"unexpected: {path.name} has labels that the table does not know: {', '.join(map(repr, unknown))}"
    if not raw:
        return f"unreadable: {path.name} has no phonemes"
    return [(start, stop, classes[label]) for start, stop, label in raw]


def _of_text(path: Path) -> list[Segment]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if line]
    return [(float(line[0]), float(line[1]), line[2].strip() if len(line) > 2 else "") for line in lines]


def _of_textgrid(path: Path) -> list[Segment]:
    """Phonemes inside of syllables. Raises `ValueError` for what is no TextGrid, or one without those tiers."""
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    except PraatioException as error:
        raise ValueError(str(error)) from None
    tiers = {name.replace(".", "").strip(): grid.getTier(name) for name in grid.tierNames}
    for name in (PHONEMES, SYLLABLES):
        if name not in tiers:
            raise ValueError(f"no tier {name}; there are {', '.join(tiers)}")
    sung = [(one.start, one.end) for one in tiers[SYLLABLES].entries if one.label.strip()]
    phonemes = [(float(one.start), float(one.end), str(one.label).strip()) for one in tiers[PHONEMES].entries]
    return [one for one in phonemes if any(start < one[1] - 1e-6 and one[0] + 1e-6 < stop for start, stop in sung)]


IMPORTER = Importer(
    summary="Jingju a cappella: Beijing opera singing of two roles, 42 recordings of dan and 23 of laosheng, with a phoneme every 10 ms.",
    citation="Gong, R., Repetto, R. C. and Serra, X. (2017). Creating an A Cappella Singing Audio Dataset for Automatic Jingju Singing Evaluation Research. DLfM. https://doi.org/10.5281/zenodo.344932",
    licence="CC-BY-NC-4.0",
    url="https://zenodo.org/records/344932",
    settings=JingjuSettings,
    steps=("dry",),
    audio=AudioFormat(rate=44100, channels=1, seconds=5, peak="normalise"),
    scan=scan,
)
