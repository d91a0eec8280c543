"""Feature sets and spectrograms, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.pipeline.catalogue.feature_set import FeatureSet

FEATURE_SETS: Registry[FeatureSet] = Registry(__name__, kind="feature", attribute="FEATURES")
