"""An evaluation counts as complete only once everything of it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timbre_data.models.evaluation.rerendered import compare
from timbre_data.models.evaluation.resynthesis import with_constants
from timbre_data.models.studies.evaluate import evaluate, is_evaluated
from timbre_data.models.training import checkpoints
from timbre_data.models.training.train import train
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.settings import TrainSettings


def test_a_failure_before_the_end_leaves_no_evaluation(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name="unlucky")
    written: list[str] = []
    real = write_whole

    def fail(path: Path, text: str) -> None:
        written.append(path.name)
        if path.name == "tables.md":
            raise OSError("disk full")
        real(path, text)

    monkeypatch.setattr("timbre_data.models.studies.evaluate.write_whole", fail)
    with pytest.raises(OSError, match="disk full"):
        evaluate(run, sounds=0)
    assert is_evaluated(run) is None
    assert written == ["tables.md"]
    monkeypatch.setattr("timbre_data.models.studies.evaluate.write_whole", real)
    found = evaluate(run, sounds=0)
    assert is_evaluated(run) == _plain(found.metrics)


def _plain(data: Any) -> Any:
    import json

    return json.loads(json.dumps(data))


def test_the_examples_are_the_nearest_and_the_farthest(shared: Path) -> None:
    data = tuple(str(shared / name) for name in ("distortion", "delay"))
    run, _ = train(TrainSettings(model="regressor_mlp", data=data, max_epochs=1), name="examples")
    found = evaluate(run, sounds=8, distances=["logmel_db"]).metrics["sounds"]["examples"]
    kept = np.load(run / "evaluation" / "predictions.npz")
    names = checkpoints.load(run).outputs
    measured = {}
    for title, one in found.items():
        here = [Dataset(name).name for name in data].index(one["data"])
        store = Dataset(data[here])
        at = np.flatnonzero((kept["dataset"] == here) & (kept["row"] == one["row"]))
        labels = with_constants(store, np.array([one["row"]]), names, kept["predicted"][at])
        measured[title] = compare(store, [one["row"]], {"model": labels}, ["logmel_db"])["model"]["logmel_db"][0]
        assert measured[title] == pytest.approx(one["logmel_db"], rel=1e-6)
    assert measured["best"] < measured["worst"]
    assert (run / "evaluation" / "examples.png").stat().st_size > 5000


def test_reports_name_their_split_and_rows(shared: Path) -> None:
    run, _ = train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name="named")
    found = evaluate(run, split="validation", sounds=2)
    rows = found.metrics["rows"]
    assert found.metrics["split"] == "validation"
    assert f"each of {rows} rows of the validation split" in found.markdown()
    assert "2 rows of the validation split" in found.markdown()
    assert "test split" not in found.markdown()
