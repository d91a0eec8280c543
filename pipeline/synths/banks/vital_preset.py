"""Presets of Vital: `.vital` files, which are JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat, StoredPreset

MODULATES = "modulates."
"""Before a source's name: a value of 1 says that it modulates something."""


def _read(content: bytes) -> list[StoredPreset]:
    try:
        settings = json.loads(content.decode())["settings"]
        values = {name: float(value) for name, value in settings.items() if isinstance(value, int | float)}
        modulations = _modulations(settings)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise PresetError("it is not a preset of Vital") from None
    if not values or not all(map(math.isfinite, values.values())):
        raise PresetError("it has no settings of Vital")
    for number, source in modulations.items():
        amount = values.get(f"modulation_{number}_amount", 0.0)
        if source and amount and not values.get(f"modulation_{number}_bypass", 0.0):
            values[MODULATES + source] = 1.0
    return [StoredPreset("", values)]


def _modulations(settings: dict[str, Any]) -> dict[int, str]:
    """The source of each modulation that has a destination, by its number."""
    stored = settings.get("modulations", [])
    return {
        number: str(one["source"])
        for number, one in enumerate(stored, 1)
        if one.get("source") and one.get("destination")
    }


BANK = PresetFormat(summary="Presets of Vital, a file each.", suffixes=(".vital",), read=_read)
