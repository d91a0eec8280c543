"""Runs outlive code: those trained by earlier releases are evaluated to the same figures, and predict.

`old_runs/runs-1.tar.gz` was written by the release before targets had objects (regressors were saved with the target of
a classifier).
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import soundfile

from timbre_data import api
from timbre_data.models.training.runs import open_run

HERE = Path(__file__).parent / "old_runs"


def test_old_runs_are_evaluated_and_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(HERE / "runs-1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(tmp_path / "datasets"))
    monkeypatch.setenv("TIMBRE_DATA_RUNS", str(tmp_path / "runs"))
    expected = json.loads((HERE / "runs-1.json").read_text())
    assert open_run(tmp_path / "runs" / "old-regressor").settings.target == "parameters"
    classes = api.evaluate("old-class").metrics
    errors = api.evaluate("old-regressor", sounds=0).metrics["true"]
    assert classes["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-9)
    assert errors["mse"] == pytest.approx(expected["mse"], rel=1e-5)
    assert errors["skill"] == pytest.approx(expected["skill"], abs=1e-5)
    data = api.Dataset("old-delay")
    soundfile.write(tmp_path / "note.wav", [0.0] * 400 + data.audio(0)[0].tolist() + [0.0] * 2000, 16_000)
    answer = api.predict("old-regressor", tmp_path / "note.wav", f0_hz=110.0, effect="delay")
    assert answer.prediction is not None
    assert set(answer.prediction.probabilities) == {"delay", "tremolo"}
    assert set(answer.settings[0].values) == {"delay_seconds", "feedback", "mix"}
