"""Presets and banks of VST 2 plug-ins that hold a list of parameters: `.fxp` and `.fxb` files.

The values are called parameter_0, parameter_1 and so on, as the plug-in numbers them, from 0 to 1. Files that hold a
plug-in's state in a form of its own (an opaque chunk) say nothing of parameters and are refused.
"""

from __future__ import annotations

import math
import struct

from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat, StoredPreset

HEAD = struct.Struct(">4sI4sIIII")
"""What every file begins with: CcnK, bytes that follow, kind, version, the plug-in and its version, and how many
parameters (of a preset) or presets (of a bank) there are.
"""
NAME_BYTES, BANK_BYTES = 28, 128
"""A preset's name, and what a bank has between its head and its presets."""
ONE, SEVERAL, OPAQUE = b"FxCk", b"FxBk", (b"FPCh", b"FBCh")


def _read(content: bytes) -> list[StoredPreset]:
    kind, count = _head(content, 0)
    if kind == ONE:
        preset, _ = _preset(content, 0)
        return [preset]
    if kind != SEVERAL:
        raise PresetError("it is no preset or bank of a VST 2 plug-in")
    presets, offset = [], HEAD.size + BANK_BYTES
    for _ in range(count):
        preset, offset = _preset(content, offset)
        presets.append(preset)
    if not presets:
        raise PresetError("it is a bank without presets")
    return presets


def _head(content: bytes, offset: int) -> tuple[bytes, int]:
    """The kind of what begins there, and how many it has."""
    if len(content) < offset + HEAD.size:
        raise PresetError("it is no preset or bank of a VST 2 plug-in, or cut short")
    magic, _, kind, _, _, _, count = HEAD.unpack_from(content, offset)
    if magic != b"CcnK":
        raise PresetError("it is no preset or bank of a VST 2 plug-in")
    if kind in OPAQUE:
        raise PresetError("it holds the plug-in's state in a form of its own, without parameters")
    return kind, count


def _preset(content: bytes, offset: int) -> tuple[StoredPreset, int]:
    """The preset that begins there, and where it ends."""
    kind, count = _head(content, offset)
    begin = offset + HEAD.size + NAME_BYTES
    end = begin + 4 * count
    if kind != ONE or not count or end > len(content):
        raise PresetError("it is damaged, or cut short")
    name = content[begin - NAME_BYTES : begin].split(b"\0")[0].decode("latin-1").strip()
    values = struct.unpack_from(f">{count}f", content, begin)
    if not all(map(math.isfinite, values)):
        raise PresetError("it has values that are no numbers")
    return StoredPreset(name, {f"parameter_{k}": min(max(value, 0.0), 1.0) for k, value in enumerate(values)}), end


BANK = PresetFormat(summary="Lists of parameters of VST 2 plug-ins.", suffixes=(".fxp", ".fxb"), read=_read)
