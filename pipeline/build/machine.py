"""The cores of this machine, and how worker threads are set up."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

from timbre_data.pipeline.catalogue.threads import share_cores
from timbre_data.schemas.errors import BuildError

LEAST_FILES, WANTED_FILES = 64, 1024
"""Files that a build must, and should, be able to have open."""


_CONTROL_WORDS = {"x86_64": (7, 0x8040, 8), "aarch64": (0, 1 << 24, 2)}
"""By machine: which word of the floating-point environment controls denormals, the bits that flush them (x86: results
and operands), and how many words there are.
"""


def allow_open_files() -> None:
    """Raise the number of files that this process may open, as far as the system lets it. Raises `BuildError` where
    that is too few for a build.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_FILES and soft != resource.RLIM_INFINITY:
        wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if 0 <= soft < LEAST_FILES:
        raise BuildError(
            f"this process may open {soft} files, and a build needs {LEAST_FILES}: raise it with ulimit -n."
        )


def nearest_existing(folder: Path) -> Path:
    """A folder, or the nearest above it that is there: where its disk can be asked."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def quiet_threads() -> None:
    """In a worker thread: denormals to zero (silent tails cost several times as much otherwise), one thread per
    library.
    """
    share_cores()
    flush_denormals()
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def flush_denormals(on: bool = True) -> None:
    """Have this thread's processor take numbers below 1e-38 for zero, or not any more.

    glibc's floating-point environment reaches the flag of the processor; elsewhere PyTorch does, which takes a second
    to import.
    """
    place = _CONTROL_WORDS.get(platform.machine()) if platform.libc_ver()[0] == "glibc" else None
    if place is None:
        import torch

        torch.set_flush_denormal(on)
        return
    word, flags, size = place
    environment = (ctypes.c_uint32 * size)()
    libm = ctypes.CDLL("libm.so.6")
    libm.fegetenv(environment)
    environment[word] = environment[word] | flags if on else environment[word] & ~flags
    libm.fesetenv(environment)
