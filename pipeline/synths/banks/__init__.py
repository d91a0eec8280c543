"""Formats of presets, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.preset_format import PresetFormat

BANKS: Registry[PresetFormat] = Registry(__name__, kind="bank", attribute="BANK")
