"""The interface of a module that reads the presets of one kind of synth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


class PresetError(Exception):
    """Bytes that are no preset of the format; says why."""


@dataclass(frozen=True)
class StoredPreset:
    """One preset as it is stored: its name ("" where the format has none), the values of parameters under the
    synth's own names and in its own units, and the MIDI message that carries it whole, for synths that take one.
    """

    name: str
    values: Mapping[str, float]
    message: bytes = b""


@dataclass(frozen=True, kw_only=True)
class PresetFormat:
    """Files of presets: `suffixes` in lower case, and how their bytes are read. `read` raises `PresetError`."""

    summary: str
    suffixes: tuple[str, ...]
    read: Callable[[bytes], list[StoredPreset]]
