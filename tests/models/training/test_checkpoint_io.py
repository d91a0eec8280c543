"""Writing checkpoints: what went wrong is told as what it was."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from timbre_data.models.training.checkpoint_io import writing
from timbre_data.schemas.errors import BuildError


def interrupted_in_the_middle_of_a_file() -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise RuntimeError("unexpected pos 1024 vs 960")  # as PyTorch does when it closes a file that is too short


def too_short() -> None:
    raise RuntimeError("unexpected pos 1024 vs 960")


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def another() -> None:
    raise RuntimeError("a shape does not fit")


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (interrupted_in_the_middle_of_a_file, KeyboardInterrupt),
        (too_short, BuildError),
        (full, BuildError),
        (another, RuntimeError),
    ],
)
def test_an_interruption_is_no_full_disk(
    happens: Callable[[], None], told: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(told) as raised, writing(tmp_path):
        happens()
    assert raised.type is told
