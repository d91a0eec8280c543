"""The folder of compiled kernels: another one when anything that is compiled into them changes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scipy.fft import next_fast_len

import timbre_data.pipeline.sound
import timbre_data.schemas
from timbre_data.pipeline.sound.pitch import fast_length

SOUND = Path(timbre_data.pipeline.sound.__file__).parent
PIPELINE = SOUND.parent


def test_every_kernel_of_the_pipeline_is_in_sound() -> None:
    compiled = [path for path in PIPELINE.rglob("*.py") if "from numba" in path.read_text()]
    assert len(compiled) > 8
    assert {path.parent for path in compiled} == {SOUND}


def test_kernels_take_nothing_from_outside_that_the_digest_does_not_see() -> None:
    """Only types and errors may come from elsewhere: they are not compiled."""
    for path in SOUND.glob("*.py"):
        if "from numba" not in path.read_text():
            continue
        for module in re.findall(r"from (timbre_data[\w.]*) import", path.read_text()):
            assert module.startswith(
                ("timbre_data.pipeline.sound", "timbre_data.schemas", "timbre_data.pipeline.catalogue.files")
            ), (path, module)


def test_the_first_kernel_does_not_wait_for_scipy_linalg_which_is_there_afterwards() -> None:
    script = """
import sys
import numpy as np
from timbre_data.pipeline.sound.audio import magnitude
magnitude(np.ones(3, np.float32))
print("scipy.linalg" in sys.modules)
from numba import njit
print(njit(lambda a: np.dot(a, a))(np.eye(2) * 2)[1, 1])
import scipy.linalg
print(scipy.linalg.inv(np.eye(2) * 2)[1, 1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "4.0", "0.5"], done.stderr


def test_lengths_of_ffts_are_scipys() -> None:
    lengths = [*range(1, 3000), 4411, 22_051, 99_999]
    assert [fast_length(n) for n in lengths] == [next_fast_len(n, real=True) for n in lengths]
