"""The public face: its doctests run, and a person's whole way through it."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbre_data import api

ROOT = Path(__file__).parents[1]


def test_doctests(home: Path) -> None:
    runner = doctest.DocTestRunner()
    for test in sorted(doctest.DocTestFinder().find(api), key=lambda one: one.lineno or 0):
        runner.run(test)  # in the order of the file: what one renders, the next verifies
    assert runner.tries > 5
    assert runner.failures == 0


def test_everything_public_is_documented_and_listed() -> None:
    for name in api.__all__:
        assert getattr(api, name).__doc__, name


def test_the_manual_imports_from_it_alone() -> None:
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for module in re.findall(r"from (timbre_data[\w.]*) import|import (timbre_data[\w.]*)", page.read_text()):
            assert (module[0] or module[1]) in ("timbre_data", "timbre_data.api"), page


def test_importing_it_is_cheap() -> None:
    script = (
        "import sys; import timbre_data.api; print(sorted({'torch', 'lightning', 'dask', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "['numba']", "sounds are decoded by a compiled kernel"


@pytest.mark.slow  # trains a network
def test_from_rendering_to_prediction(home: Path, tmp_path: Path) -> None:
    api.render(fx="delay", out="notes", overrides={"n": 500, "audio.seconds": 0.4})
    api.featurize("notes", ["autofx163"])
    run = api.train("regressor_mlp", "notes", max_epochs=2)
    assert api.evaluate(run, sounds=2).metrics["rows"] > 10
    sound = api.Dataset("notes").audio(3)
    soundfile.write(tmp_path / "note.wav", np.asarray(sound[0]), 22_050)
    answer = api.predict(run, tmp_path / "note.wav", effect="delay")
    assert answer.prediction is not None
    assert set(answer.prediction.parameters) == {"delay.delay_seconds", "delay.feedback", "delay.mix"}
    assert api.export("notes", tmp_path / "out", form="wav") > 500
