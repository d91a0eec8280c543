"""Checkpoints of a training that a kill or a full disk cannot destroy, and that hold data only.

A checkpoint is written beside its target, synced and renamed; the one before stays until then as `*.before.ckpt`.
Loading is weights-only, the state of the optimiser included: a run folder of somebody else runs no code.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from timbre_data.models.training.checkpoints import read_saved
from timbre_data.pipeline.catalogue.files import is_disk_full
from timbre_data.schemas.errors import BuildError, CorruptDataError

_TORCH_CANNOT_WRITE = ("PytorchStreamWriter", "inline_container", "unexpected pos")
"""What PyTorch says of a file that does not take what is written to it."""


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Context in which a run's folder is written: raises `BuildError` for a full or read-only disk."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if _interrupted(error):  # in the middle of a file, which PyTorch then finds too short
            raise KeyboardInterrupt from error
        number = getattr(error, "errno", None)
        if is_disk_full(error) or any(words in str(error) for words in _TORCH_CANNOT_WRITE):
            reason = "the disk is full"
        elif number in (errno.EROFS, errno.EACCES, errno.EPERM):
            reason = "it cannot be written"
        else:
            raise
        raise BuildError(
            f"{folder}: {reason}. What was saved before is kept: make room, then run the same command to go on."
        ) from error


def _interrupted(error: BaseException | None) -> bool:
    """Whether an error came up while an interruption was on its way out."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def before(path: Path) -> Path:
    """The checkpoint before the newest one."""
    return path.with_suffix(".before.ckpt")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, weights only. Raises `CorruptDataError` for one that is damaged or holds code."""
    content = read_saved(path)
    if "state_dict" not in content:
        raise CorruptDataError(f"{path} is no checkpoint")
    return content


def newest_checkpoint(path: Path) -> Path | None:
    """The checkpoint to resume from: `path`, or where it is damaged the one before. None where there is neither.

    Raises `CorruptDataError` where no readable one is left.
    """
    candidates = [one for one in (path, before(path)) if one.is_file()]
    problem = None
    for one in candidates:
        try:
            load_checkpoint(one)
        except CorruptDataError as error:
            problem = problem or error
            continue
        return one
    if problem is not None:
        raise CorruptDataError(f"{problem}. Delete it to train this run from the start.")
    return None


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes and reads Lightning's checkpoints as described above."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint whole or not at all. Raises `BuildError` for a full disk."""
        target = Path(path)
        partial = target.with_suffix(".ckpt.new")
        with writing(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())
                if target.is_file():
                    target.replace(before(target))
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, weights only whatever is asked."""
        return load_checkpoint(Path(path))
