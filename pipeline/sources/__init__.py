"""Sources of dry sound, or of notes for synths, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.source import Source

SOURCES: Registry[Source] = Registry(__name__, kind="source", attribute="SOURCE")
