"""Reading SFZ: which sample sounds at which keys and velocities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from timbre_data.pipeline.importers._note_names import key_number

HEADER = re.compile(r"<(\w+)>")
OPCODE = re.compile(r"(\w+)=(.*?)(?=\s+\w+=|\s*$)")


@dataclass(frozen=True)
class Region:
    """One sample: its file relative to the SFZ, the key it was recorded at, and the keys and velocities that it is
    for.
    """

    sample: str
    key_center: int
    low_key: int
    high_key: int
    low_velocity: int
    high_velocity: int


def read_sfz(path: Path) -> list[Region]:
    """Regions that sound when a key is struck, with what their groups say. Raises `ValueError` for a region that cannot
    be understood.
    """
    inherited: dict[str, dict[str, str]] = {"control": {}, "global": {}, "master": {}, "group": {}}
    levels = list(inherited)
    regions: list[Region] = []
    header, opcodes = "", dict[str, str]()

    def close() -> None:
        if header in inherited:
            for later in levels[levels.index(header) :]:
                inherited[later] = {}
            inherited[header] = opcodes
        elif header == "region":
            message = {key: value for level in inherited.values() for key, value in level.items()} | opcodes
            if message.get("trigger", "attack") == "attack" and "sample" in message:
                regions.append(_region(message))

    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        text = line.partition("//")[0].strip()
        if text.startswith("#"):  # an include or a define; within a name, # is a sharp
            continue
        parts = HEADER.split(text)
        opcodes |= dict(OPCODE.findall(parts[0]))
        for name, rest in zip(parts[1::2], parts[2::2], strict=True):
            close()
            header, opcodes = name, dict(OPCODE.findall(rest))
    close()
    return regions


def _region(message: dict[str, str]) -> Region:
    key = message.get("key")
    sample = (message.get("default_path", "") + message["sample"].strip()).replace("\\", "/")
    try:
        return Region(
            sample=sample,
            key_center=_key(message.get("pitch_keycenter", key or "60")),
            low_key=_key(message.get("lokey", key or "0")),
            high_key=_key(message.get("hikey", key or "127")),
            low_velocity=int(message.get("lovel", 0)),
            high_velocity=int(message.get("hivel", 127)),
        )
    except ValueError as error:
        raise ValueError(f"the region of {sample}: {error}") from None


def _key(text: str) -> int:
    """A MIDI key by its number or its name (c4 is 60)."""
    name = re.fullmatch(r"([a-gA-G])([#b]?)(-?\d+)", text.strip())
    if name is None:
        return int(text)
    return key_number(name[1], name[2], name[3])
