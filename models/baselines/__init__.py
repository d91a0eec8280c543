"""Classical classifiers, one file each; what a baseline's module exposes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from timbre_data.pipeline.catalogue.registry import Registry
from timbre_data.schemas.errors import UnknownNameError

NETWORK = "class_mlp"
"""The network that is compared with the baselines."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A classical classifier: `build(seed)` gives a scikit-learn estimator that takes standardized features."""

    summary: str
    source: str
    build: Callable[[int], Any]


BASELINES: Registry[Baseline] = Registry(__name__, kind="baseline", attribute="BASELINE")


def check_classifiers(names: Sequence[str]) -> None:
    """Raise `UnknownNameError` for what is neither a baseline nor the network."""
    for name in names:
        if name not in BASELINES and name != NETWORK:
            raise UnknownNameError("classifier", name, sorted({*BASELINES.names(), NETWORK}))
