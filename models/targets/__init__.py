"""Targets, one file each: labels, loss, decoding, evaluation and description in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Target

TARGETS: Registry[Target] = Registry(__name__, kind="target", attribute="TARGET")
