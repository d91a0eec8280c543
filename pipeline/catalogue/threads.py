"""The cores that this process may use, and how threads that make or move sounds share them."""

from __future__ import annotations

import gc
import os
import sys

from timbre_data.pipeline.catalogue.memory import keep_freed_memory

SWITCH_SECONDS = 0.0005
"""The interpreter's switch interval between threads; with Python's 5 ms, cores wait for each other between calls."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def network_threads() -> int:
    """Threads that a network computes with: one for each core, or fewer where OMP_NUM_THREADS asks for that, as on a
    machine that others use, too.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(available_cores(), max(1, int(asked))) if asked.isdecimal() else available_cores()


def share_cores() -> None:
    """Let threads take turns quickly, keep freed memory for the next block, and compress in the thread that asks."""
    from numcodecs import blosc

    if sys.getswitchinterval() != SWITCH_SECONDS:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.freeze()  # a full collection over everything imported stops all threads for a tenth of a second
        keep_freed_memory()
    blosc.use_threads = False
