"""Distances between a made sound and the one that was asked for, one file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.schemas.arrays import Audio


@dataclass(frozen=True, kw_only=True)
class Distance:
    """`compute(made, target, rate)` maps two sounds of one length [shape=(samples,)] to a number that is 0 where they
    are the same.

    `heading` is what tables and plots call it, with its unit.
    """

    summary: str
    heading: str
    compute: Callable[[Audio, Audio, int], float]


JUDGE = "logmel_db"
"""The distance by which the nearest of several sounds is chosen."""
DISTANCES: Registry[Distance] = Registry(__name__, kind="distance", attribute="DISTANCE")
