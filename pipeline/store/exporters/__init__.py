"""Exporters, one file a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.exporter import Exporter

EXPORTERS: Registry[Exporter] = Registry(__name__, kind="exporter", attribute="EXPORTER")
