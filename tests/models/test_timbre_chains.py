"""The three tasks of the timbre CNNs from rendering to prediction on small stand-ins, and the settings files of the
papers' tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.studies.pipeline_run import run_pipeline
from timbre_data.models.training import preparing, runs
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import shipped, validation
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.schemas.settings import PipelineRecipe, TrainSettings

SPLIT = {"split.train": 0.6, "split.validation": 0.2, "split.test": 0.2}
SMALL: dict[str, tuple[dict[str, Any], set[str]]] = {
    "phonemes": (
        {"n": 24, "source.recordings": 24, "source.phrases": 1, "source.seconds": 2, "audio.seconds": 2, "audio.rate": 16_000}
        | SPLIT,
        {"dan-mlp", "dan-gmm"},
    ),
    "instruments": ({"n": 132, "source.phrases": 132, "audio.rate": 12_000, "audio.seconds": 1}, {"single", "svm"}),
    "tagging": ({"n": 60, "source.clips": 30, "source.pieces": 2}, {"proposed-x2", "dieleman"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(SMALL))
def test_the_whole_chain(task: str, tmp_path: Path) -> None:
    changes, kept = SMALL[task]
    data = recipes.read(task)
    for dataset in data["datasets"]:
        dataset["set"] = dataset.get("set", {}) | changes
    few = {"max_epochs": 1, "precision": "32-true"}  # bfloat16 is slow where a processor has no units for it
    data["train"] = [stage | few for stage in data["train"] if stage["name"] in kept]
    recipe = validation.validate(PipelineRecipe, data, task)
    report = run_pipeline(recipe, Cluster(workers=2), progress=NoProgress(), say=lambda line: None)
    found = {one["stage"]: one["metrics"] for one in report if "metrics" in one}
    assert set(found) == {f"evaluate {name}" for name in kept}
    for metrics in found.values():
        assert metrics["rows"] > 0
        assert "accuracy" in metrics or metrics["roc_auc"] is not None
    again = run_pipeline(recipe, Cluster(workers=2), progress=NoProgress(), say=lambda line: None)
    assert all("finished already" in one["done"] for one in again if "train" in one["stage"])
    time = np.arange(2 * 22_050) / 22_050
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 22_050)
    for name in kept:
        predictor = Predictor(runs.find_run(f"{task}-{name}"))
        heard = predictor.predict(tmp_path / "tone.wav")
        assert heard.segments if task == "phonemes" else heard.probabilities


@pytest.mark.parametrize("name", sorted(shipped.shipped("training")))
def test_settings_files_say_their_table_and_fit_their_model(name: str) -> None:
    path = shipped.shipped("training")[name]
    head = path.read_text(encoding="utf-8").partition("model:")[0]
    assert "Serves" in head
    assert "timbre-data import" in head or "timbre-data render" in head
    settings = validation.validate(TrainSettings, recipes.read_settings(Path(f"{name}.yaml")), name)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["split"] == "note"
    preparing.resolve(settings)
