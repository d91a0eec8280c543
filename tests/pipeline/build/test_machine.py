"""How worker threads are set up."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import torch

from timbre_data.pipeline.build.machine import flush_denormals

SMALL = np.float32(1e-39)


def halved() -> bool:
    """Whether this thread knows numbers below 1e-38."""
    return bool((np.full(64, SMALL) * np.float32(0.5)).any())


def test_denormals_are_flushed_in_the_thread_that_asks_and_only_there() -> None:
    assert halved()
    seen: list[bool] = []

    def work() -> None:
        flush_denormals()
        seen.append(halved())
        seen.append(bool((torch.full((64,), 1e-39) * 0.5).any()))
        flush_denormals(on=False)
        seen.append(halved())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, False, True]
    assert halved()


def test_rows_are_rendered_without_pytorch() -> None:
    code = """
import sys
from timbre_data import api
api.render(fx="delay", overrides={"n": 300, "audio.seconds": 0.05})
heavy = {"torch", "lightning", "matplotlib", "sklearn", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
