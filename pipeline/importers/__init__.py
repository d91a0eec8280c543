"""Importers of public datasets, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.importer import Importer

IMPORTERS: Registry[Importer] = Registry(__name__, kind="importer", attribute="IMPORTER")
