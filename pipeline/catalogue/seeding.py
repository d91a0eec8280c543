"""Random streams: every number is a function of (seed, chain, row, stage, attempt) and nothing else.

So a dataset has the same bytes for any number of workers, any batch size, order or resume, and growing n keeps its
first rows.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np


class Stage(IntEnum):
    """The purposes of random numbers; one independent stream each."""

    LABELS = 0
    CHAIN = 1
    DRY_ORDER = 2
    SOUND = 3
    ROW_SPLIT = 4


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one purpose: `generator(seed, chain, row, Stage.LABELS, attempt)`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def number_of(text: str) -> int:
    """Hash a text to a number of 32 bits: the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def share(text: str, seed: int) -> float:
    """Hash a text to a number in [0, 1): the same on every machine, for splits that must not move as data grows."""
    digest = hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
