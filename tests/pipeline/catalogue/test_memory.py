"""Freed memory is reused while a network is trained, and given back after."""

from __future__ import annotations

import subprocess
import sys

import pytest

from timbre_data.pipeline.catalogue.memory import reused_memory

PROGRAM = """
import resource
import torch
from timbre_data.pipeline.catalogue.memory import reused_memory

MEGABYTES = 96

def faults(blocks):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        torch.ones(MEGABYTES * 2**18).add_(1)
    cleared = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return cleared * resource.getpagesize() / 2**20 / MEGABYTES

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20 / MEGABYTES

faults(1)
first, before = faults(8), resident()
with reused_memory():
    faults(2)
    during, kept = faults(8), resident() - before
print(first, during, kept, resident() - before)
"""
"""Prints how many of eight blocks were cleared before and within, and how many are kept within and after."""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own settings")
def test_large_blocks_are_cleared_once_and_given_back_after() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    first, during, kept, left = map(float, done.stdout.split())
    assert first > 7
    assert during < 2
    assert kept > 0.8
    assert left < 0.3


def test_an_error_comes_through() -> None:
    with pytest.raises(ValueError, match="no"), reused_memory():
        raise ValueError("no")
