"""How this process gives freed memory back to the system, where it is glibc that does; elsewhere nothing here has an
effect.

A block that is mapped anew often costs more than what is done with it, since the system clears it page by page. A step
of a network over spectrograms asks for hundreds of megabytes in large blocks, and frees them again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of mallopt(3)."""
MAPPED_BLOCKS = 65_536
"""How many blocks glibc maps at most, unless told otherwise."""


def keep_freed_memory() -> None:
    """Reuse buffers of a few megabytes, up to half a gigabyte of them, for as long as the process lives."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(TRIM_THRESHOLD, 512 * 2**20)


@contextmanager
def reused_memory() -> Iterator[None]:
    """Reuse all freed memory, of blocks of any size, meanwhile; give it back in the end. The process grows to the most
    that it needed at once.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(MMAP_MAX, 0)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(MMAP_MAX, MAPPED_BLOCKS)
        keep_freed_memory()
        libc.malloc_trim(0)


def _glibc() -> Any:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
