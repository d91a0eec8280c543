"""Effects, one file each: a module's name is the effect's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.effect import Effect

EFFECTS: Registry[Effect] = Registry(__name__, kind="effect", attribute="EFFECT")
