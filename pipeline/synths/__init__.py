"""Synths, one file each; `hosting` runs them in processes of their own, `capture` records external ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.synth import Synth

SYNTHS: Registry[Synth] = Registry(__name__, kind="synth", attribute="SYNTH")
