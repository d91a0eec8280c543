"""Banks of amsynth: text files with up to 128 presets."""

from __future__ import annotations

import math

from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat, StoredPreset

BEGINNING = "amSynth"
MOST = 128
"""Presets that a program change can call up."""


def _read(content: bytes) -> list[StoredPreset]:
    lines = content.decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].startswith(BEGINNING):
        raise PresetError("it is not a bank of amsynth")
    presets: list[tuple[str, dict[str, float]]] = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if words[:1] == ["<preset>"]:
            presets.append((line.partition("<name>")[2].strip(), {}))
        elif words[:1] == ["<parameter>"] and len(words) == 3 and presets:
            try:
                value = float(words[2])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise PresetError(f"line {number}: {words[2][:40]} is not a number")
            presets[-1][1][words[1]] = value
    if not presets:
        raise PresetError("it holds no presets")
    return [StoredPreset(name, values) for name, values in presets[:MOST]]


BANK = PresetFormat(summary="Banks of amsynth, up to 128 presets a file.", suffixes=(".bank",), read=_read)
