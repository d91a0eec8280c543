"""Salamander Grand Piano V3: every third semitone of a Yamaha C5 at sixteen velocities (Alexander Holm).

SalamanderGrandPianoV3_48khz24bit/X.sfz                   which sample is which key and velocity
SalamanderGrandPianoV3_48khz24bit/48khz24bit/A0v1.wav     {A,C,D#,F#}{octave}v{1..16}; also noises: rel*, pedal*, harm*
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.source import key_hz
from timbre_data.pipeline.importers._files import files_below, seconds_of
from timbre_data.pipeline.importers._sfz import Region, read_sfz
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import AudioFormat

NAME = re.compile(r"^(?P<note>[A-G]#?)(?P<octave>\d)v(?P<layer>\d{1,2})\.wav$", re.IGNORECASE)
NOISES = re.compile(r"^(rel|pedal|harm)", re.IGNORECASE)
"""Keys and pedals being let go, and strings that ring along: not notes."""
STEPS = {"C": 0, "C#": 1, "D": 2, "D#": 3, "E": 4, "F": 5, "F#": 6, "G": 7, "G#": 8, "A": 9, "A#": 10, "B": 11}


class SalamanderSettings(Frozen):
    """The unpacked folder."""

    path: Path = Field(description="folder or file")
    sfz: str | None = Field(None, description="name of the SFZ file, where there are several")


def open_sfz(settings: SalamanderSettings) -> tuple[Path, list[Region]]:
    """The SFZ file and its regions. Raises `NotFoundError` or `UsageError`."""
    root = settings.path.expanduser()
    files = [path for path in files_below(root) if path.suffix.lower() == ".sfz"] if root.is_dir() else []
    if not files:
        raise NotFoundError(f"{root} holds no .sfz file: give the folder that the piano was unpacked into.")
    named = [path for path in files if settings.sfz in (None, path.name)]
    if not named:
        raise NotFoundError(f"{root} holds no {settings.sfz}; there are {', '.join(path.name for path in files)}.")
    path = min(named, key=lambda one: (len(one.name), one.name))  # the plain one; others add retuning and the like
    try:
        return path, read_sfz(path)
    except ValueError as error:
        raise UsageError(f"{path}: {error}.") from None


@lru_cache(maxsize=4)
def scan(settings: SalamanderSettings) -> Inventory:
    """List every note and every problem."""
    sfz, regions = open_sfz(settings)
    folder, root = sfz.parent, settings.path.expanduser()
    wanted: dict[Path, Region] = {}
    for region in regions:
        if not NOISES.match(Path(region.sample).name):
            wanted.setdefault(folder / region.sample, region)
    problems: dict[str, str] = {}
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for path in files_below(folder):
        shown = path.relative_to(root).as_posix()
        if path.suffix.lower() in (".wav", ".flac") and path not in wanted and not NOISES.match(path.name):
            problems[shown] = f"unexpected: {sfz.name} does not name it"
    for path, region in sorted(wanted.items(), key=lambda one: (one[1].key_center, one[1].low_velocity, one[0].name)):
        shown = path.relative_to(root).as_posix()
        if not path.is_file():
            problems[shown] = f"missing: {sfz.name} names it"
            continue
        name = NAME.match(path.name)
        key = None if name is None else STEPS[name["note"].upper()] + 12 * (int(name["octave"]) + 1)
        seconds = seconds_of(path)
        if key is None or key != region.key_center:
            problems[shown] = f"unexpected: {sfz.name} has it at key {region.key_center}, its name says {'nothing' if key is None else key}"  # fmt: skip
        elif isinstance(seconds, str):
            problems[shown] = seconds
        else:
            assert name is not None
            labels: dict[str, float | str] = {
                "midi_note": float(key),
                "layer": float(name["layer"]),
                "low_velocity": float(region.low_velocity),
                "high_velocity": float(region.high_velocity),
            }
            recordings.append(Recording(file=path, identity=shown, origin=len(origins), step="dry", labels=labels))
            f0_hz = key_hz(key)
            origins.append(Origin(identity=shown, group=f"key {key}", file=path, midi_note=float(key), f0_hz=f0_hz))
    return Inventory(tuple(recordings), tuple(origins), problems)


IMPORTER = Importer(
    summary="Salamander Grand Piano V3: 480 notes of a grand piano, every third semitone at 16 velocities.",
    citation="Holm, A. (2012). Salamander Grand Piano V3: Yamaha C5 samples. https://freepats.zenvoid.org/Piano/acoustic-grand-piano.html",
    licence="CC-BY-3.0",
    url="https://freepats.zenvoid.org/Piano/acoustic-grand-piano.html",
    settings=SalamanderSettings,
    steps=("dry",),
    audio=AudioFormat(rate=48000, channels=1, seconds=4, peak="normalise"),
    scan=scan,
)
