"""The folder of compiled kernels: another one when anything that is compiled into them changes."""

from __future__ import annotations

import re
from pathlib import Path

import timbre_data.pipeline.sound
import timbre_data.schemas

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
