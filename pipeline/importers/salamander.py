"""Salamander Grand Piano V3: every third semitone of a Yamaha C5 at sixteen velocities (Alexander Holm).

SalamanderGrandPianoV3_48khz24bit/X.sfz                   which sample is which key and velocity
SalamanderGrandPianoV3_48khz24bit/48khz24bit/A0v1.wav     {A,C,D#,F#}{octave}v{1..16}; also noises: rel*, pedal*, harm*

The same notes without an SFZ file, in folders of any names (npm's packages, which `scripts/get-sounds salamander`
fetches): key and layer by the file's name, the layers' velocities as in the SFZ.

velocity8/D#4v8.ogg
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.source import key_hz
from timbre_data.pipeline.importers._files import files_below, seconds_of
from timbre_data.pipeline.importers._note_names import key_number
from timbre_data.pipeline.importers._sfz import Region, read_sfz
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import AudioFormat

NAME = re.compile(
    r"^(?P<letter>[A-G])(?P<accidental>#?)(?P<octave>\d)v(?P<layer>\d{1,2})\.(?:wav|flac|ogg)$", re.IGNORECASE
)
NOISES = re.compile(r"^(rel|pedal|harm)", re.IGNORECASE)
"""Keys and pedals being let go, and strings that ring along: not notes."""
HIGHEST_VELOCITIES = (26, 34, 36, 43, 46, 50, 56, 64, 71, 79, 87, 95, 103, 112, 120, 127)
"""The highest MIDI velocity of each layer."""
LOWEST_KEY, HIGHEST_KEY = 21, 108


class SalamanderSettings(Frozen):
    """The unpacked folder."""

    path: Path = Field(description="unpacked folder, with an SFZ file or with notes named as D#4v8.ogg")
    sfz: str | None = Field(None, description="name of the SFZ file, where there are several")


def open_piano(settings: SalamanderSettings) -> tuple[Path, str, list[Region]]:
    """The folder that samples are named from, what names them, and the regions, noises too. Raises `NotFoundError` or
    `UsageError`.
    """
    root = settings.path.expanduser()
    there = list(files_below(root)) if root.is_dir() else []
    files = [path for path in there if path.suffix.lower() == ".sfz"]
    if not files and settings.sfz is None and (regions := _named(root, there)):
        return root, "its name", regions
    if not files:
        raise NotFoundError(
            f"{root} holds no .sfz file and no notes named as D#4v8.ogg: give the folder that the piano was unpacked into (scripts/get-sounds salamander fetches one)."
        )
    named = [path for path in files if settings.sfz in (None, path.name)]
    if not named:
        raise NotFoundError(f"{root} holds no {settings.sfz}; there are {', '.join(path.name for path in files)}.")
    path = min(named, key=lambda one: (len(one.name), one.name))  # the plain one; others add retuning and the like
    try:
        return path.parent, path.name, read_sfz(path)
    except ValueError as error:
        raise UsageError(f"{path}: {error}.") from None


def _named(root: Path, files: list[Path]) -> list[Region]:
    """Regions of notes by their names: each is for its key and the neighbours that were not recorded."""
    regions = []
    for path in files:
        name = NAME.match(path.name)
        if name is None or not 1 <= int(name["layer"]) <= len(HIGHEST_VELOCITIES):
            continue
        key, layer = key_of(name), int(name["layer"])
        low, high = (1, *(top + 1 for top in HIGHEST_VELOCITIES))[layer - 1], HIGHEST_VELOCITIES[layer - 1]
        keys = max(key - 1, LOWEST_KEY), min(key + 1, HIGHEST_KEY)
        regions.append(Region(path.relative_to(root).as_posix(), key, *keys, low, high))
    return regions


def key_of(name: re.Match[str]) -> int:
    """The MIDI note that a file's name tells."""
    return key_number(name["letter"], name["accidental"], name["octave"])


@lru_cache(maxsize=4)
def scan(settings: SalamanderSettings) -> Inventory:
    """List every note and every problem."""
    folder, namer, regions = open_piano(settings)
    root = settings.path.expanduser()
    wanted: dict[Path, Region] = {}
    for region in regions:
        if not NOISES.match(Path(region.sample).name):
            wanted.setdefault(folder / region.sample, region)
    problems: dict[str, str] = {}
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for path in files_below(folder):
        shown = path.relative_to(root).as_posix()
        if path.suffix.lower() in (".wav", ".flac", ".ogg") and path not in wanted and not NOISES.match(path.name):
            problems[shown] = (
                f"unexpected: {namer} does not name it"
                if namer.endswith(".sfz")
                else "unexpected: its name tells no key and layer"
            )
    for path, region in sorted(wanted.items(), key=lambda one: (one[1].key_center, one[1].low_velocity, one[0].name)):
        shown = path.relative_to(root).as_posix()
        if not path.is_file():
            problems[shown] = f"missing: {namer} names it"
            continue
        name = NAME.match(path.name)
        key = None if name is None else key_of(name)
        seconds = seconds_of(path)
        if key is None or key != region.key_center:
            problems[shown] = f"unexpected: {namer} has it at key {region.key_center}, its name says {'nothing' if key is None else key}"  # fmt: skip
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
