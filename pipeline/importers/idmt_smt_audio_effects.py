"""IDMT-SMT-Audio-Effects: 55,044 notes of bass and guitar, and guitar chords, dry and through ten effects (Stein 2010,
2023).

{Bass monophon, Gitarre monophon, Gitarre polyphon}{,2}/{Lists,Samples}/<Effect>/
G61-40100-1111-20593.wav   instrument, setting, style - MIDI note, string, fret - group, effect, effect setting - number
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.source import key_hz
from timbre_data.pipeline.importers._files import files_below
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError
from timbre_data.schemas.recipe import AudioFormat

PARTS = {"bass": "Bass monophon", "guitar": "Gitarre monophon", "polyphonic": "Gitarre polyphon"}
EFFECTS = {
    11: ("NoFX", "dry"),
    12: ("EQ", "dry"),
    21: ("FeedbackDelay", "feedback_delay"),
    22: ("SlapbackDelay", "slapback_delay"),
    23: ("Reverb", "reverb"),
    31: ("Chorus", "chorus"),
    32: ("Flanger", "flanger"),
    33: ("Phaser", "phaser"),
    34: ("Tremolo", "tremolo"),
    35: ("Vibrato", "vibrato"),
    41: ("Distortion", "distortion"),
    42: ("Overdrive", "overdrive"),
}
"""Effect code -> folder, and what this project calls the effect."""
CLEAN, EQUALISED = 11, 12
NAME = re.compile(
    r"(?P<instrument>[GBP])(?P<setting>\d)(?P<style>\d)-(?P<midi>\d\d)(?P<string>\d)(?P<fret>\d\d)"
    r"-(?P<fx_group>\d)(?P<fx_type>\d\d)(?P<fx_setting>\d)-(?P<number>\d+)\.wav"
)
LISTED = {
    "instrumentsetting": "setting",
    "playstyle": "style",
    "midinr": "midi",
    "string": "string",
    "fret": "fret",
    "fxgroup": "fx_group",
    "fxtype": "fx_type",
    "fxsetting": "fx_setting",
}
"""Fields of the XML lists that must agree with the file's name."""


class IdmtSettings(Frozen):
    """The unpacked folders and the parts to import. Equalised notes count as dry, as in D'Hooghe 2022, or are left
    out.
    """

    path: Path = Field(description="folder or file")
    parts: tuple[Literal["bass", "guitar", "polyphonic"], ...] = Field(
        ("bass", "guitar", "polyphonic"), min_length=1, description="parts of the set to import"
    )
    equalised: Literal["dry", "skip"] = Field("dry", description="whether to import the equalised recordings")


@lru_cache(maxsize=4)
def scan(settings: IdmtSettings) -> Inventory:
    """List every recording, every clean note and every problem. Raises `NotFoundError` where there is no part at
    all.
    """
    root = settings.path.expanduser()
    wanted = [root / f"{PARTS[part]}{twin}" for part in settings.parts for twin in ("", "2")]
    folders = [folder for folder in wanted if folder.is_dir()]
    if not folders:
        raise NotFoundError(
            f"{root} holds none of the folders {', '.join(folder.name for folder in wanted)}: give the one they were unpacked into."
        )
    problems: dict[str, str] = {}
    files: dict[str, tuple[Path, dict[str, str]]] = {}
    for folder in folders:
        listed = dict(_listed(folder, root, problems))
        there = _there(folder, root, problems)
        for name, path in there.items():
            shown = path.relative_to(root).as_posix()
            fields = NAME.fullmatch(name)
            if fields is None:
                problems[shown] = "unexpected: its name does not follow the code"
                continue
            problem = _disagreement(path, fields.groupdict(), listed.get(name))
            if problem:
                problems[shown] = problem
            else:
                files[shown] = (path, fields.groupdict())
        for name, (where, _) in listed.items():
            if name not in there:
                problems[f"{folder.name}/Samples/{name}"] = f"missing: {where} lists it"
    return _inventory(files, root, settings, problems)


def _listed(folder: Path, root: Path, problems: dict[str, str]) -> Iterator[tuple[str, tuple[str, dict[str, str]]]]:
    for path in sorted((folder / "Lists").rglob("*.xml")):
        shown = path.relative_to(root).as_posix()
        try:
            tree = ET.parse(path)
        except (ET.ParseError, UnicodeDecodeError, OSError) as error:
            problems[shown] = f"unreadable: not an XML list ({error})"
            continue
        for entry in tree.getroot().iter("audiofile"):
            fields = {child.tag: (child.text or "").strip() for child in entry}
            name = fields.get("fileID", "")
            yield (name if name.lower().endswith(".wav") else f"{name}.wav"), (shown, fields)


def _there(folder: Path, root: Path, problems: dict[str, str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in files_below(folder / "Samples"):
        shown = path.relative_to(root).as_posix()
        if path.suffix.lower() != ".wav":
            problems[shown] = "unexpected: not a WAV file"
        elif path.name in files:
            problems[shown] = f"unexpected: {files[path.name].relative_to(root).as_posix()} has the same name"
        else:
            files[path.name] = path
    return files


def _disagreement(path: Path, fields: dict[str, str], listed: tuple[str, dict[str, str]] | None) -> str:
    code = int(fields["fx_type"])
    if code not in EFFECTS:
        return f"unexpected: there is no effect {code}"
    if path.parent.name != EFFECTS[code][0]:
        return f"unexpected: lies in {path.parent.name}, its name says {EFFECTS[code][0]}"
    if listed is None:
        return "unexpected: no list has it"
    where, entry = listed
    for tag, name in LISTED.items():
        text = entry.get(tag, "")
        if text.isdigit() and int(text) != int(fields[name]):
            return f"unexpected: {where} says {tag} {text}, its name {fields[name]}"
    return ""


def _inventory(
    files: dict[str, tuple[Path, dict[str, str]]], root: Path, settings: IdmtSettings, problems: dict[str, str]
) -> Inventory:
    notes: dict[str, list[tuple[int, Path, dict[str, str]]]] = {}
    for path, fields in files.values():
        notes.setdefault(path.name[:9], []).append((int(fields["fx_type"]), path, fields))
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for number, (note, members) in enumerate(sorted(notes.items())):
        midi = float(members[0][2]["midi"])
        clean = min((path for code, path, _ in members if code == CLEAN), default=None)
        f0_hz = key_hz(midi)
        origins.append(Origin(identity=note, file=clean, midi_note=midi, f0_hz=f0_hz))
        for code, path, fields in sorted(members, key=lambda one: one[1].name):
            if code == EQUALISED and settings.equalised == "skip":
                continue
            labels = {
                name: float(fields[name]) for name in ("setting", "style", "string", "fret", "fx_type", "fx_setting")
            }
            recordings.append(
                Recording(
                    file=path,
                    identity=path.relative_to(root).as_posix(),
                    origin=number,
                    step=EFFECTS[code][1],
                    labels={"instrument": fields["instrument"], **labels},
                )
            )
    return Inventory(tuple(recordings), tuple(origins), problems)


IMPORTER = Importer(
    summary="IDMT-SMT-Audio-Effects: 55,044 bass and guitar notes and chords, dry and through ten effects.",
    citation="Stein, M. (2023). IDMT-SMT-Audio-Effects Dataset, version 1.0.0. Zenodo. https://doi.org/10.5281/zenodo.7544032",
    licence="CC-BY-NC-ND-4.0",
    url="https://zenodo.org/records/7544032",
    checksums={"IDMT-SMT-AUDIO-EFFECTS.zip": "md5:91e845a1b347352993ebd5ba948d5a7c"},
    settings=IdmtSettings,
    steps=tuple(dict.fromkeys(effect for _, effect in EFFECTS.values())),
    audio=AudioFormat(rate=22050, channels=1, seconds=1.5, peak="normalise"),
    scan=scan,
)
