"""Runs that travel: a run's folder alone, moved elsewhere, predicts, is exported and is evaluated on other data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import Once, build, small_recipe
from timbre_data.models.data import learned
from timbre_data.models.data.rows import load_rows
from timbre_data.models.evaluation.tables import number
from timbre_data.models.inference.predicting import PredictRequest, predict_file
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.standalone import export_model
from timbre_data.models.studies import other_data
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import checkpoints, train
from timbre_data.models.training.runs import CLASSIFIER, EXAMPLE, SETTINGS
from timbre_data.pipeline.build import featurizing, recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import CorruptDataError, LeakingSplitError, NotFoundError, UsageError
from timbre_data.schemas.settings import TrainSettings

NAMES = ("modulation", "delay", "distortion")


@pytest.fixture(scope="module")
def made(shared: Path, once: Once) -> Path:
    """A classifier, and a regressor that it conditions, trained on datasets in a folder of their own."""

    def make(folder: Path) -> None:
        for name in NAMES:
            shutil.copytree(shared / name, folder / name)
        common: dict[str, Any] = {"data": tuple(str(folder / name) for name in NAMES)}
        train.train(TrainSettings(model="class-mlp", max_epochs=8, **common), name=str(folder / "class"))
        train.train(
            TrainSettings(model="regressor-mlp", max_epochs=3, conditioning=str(folder / "class"), **common),
            name=str(folder / "regressor"),
        )

    return once("travelling", make)


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """The folders of both runs, renamed, where neither their datasets nor each other can be found."""
    for name in ("class", "regressor"):
        shutil.copytree(made / name, tmp_path / "elsewhere" / f"{name}-moved" / "run")
        settings = tmp_path / "elsewhere" / f"{name}-moved" / "run" / SETTINGS
        settings.write_text(settings.read_text().replace(str(made), "/nowhere"))
    return tmp_path / "elsewhere"


@pytest.fixture
def other() -> Dataset:
    """Distorted sounds of another source."""
    recipe = small_recipe(n=64, name="other", **{"source.name": "piano_notes"})
    made = build(recipe, "other")
    featurizing.featurize(made.location, {"autofx163": {}}, Cluster(workers=2))
    return Dataset("other")


def test_a_run_alone_predicts_and_is_exported_the_same(made: Path, moved: Path, shared: Path, tmp_path: Path) -> None:
    data = Dataset(str(shared / "distortion"))
    soundfile.write(tmp_path / "a.wav", data.audio(3)[0], data.recipe.audio.rate)
    assert (moved / "regressor-moved" / "run" / CLASSIFIER / SETTINGS).is_file()
    here = Predictor(made / "regressor").predict(tmp_path / "a.wav")
    there = Predictor(moved / "regressor-moved" / "run").predict(tmp_path / "a.wav")
    assert here == there
    assert here.probabilities
    assert export_model(moved / "regressor-moved" / "run", tmp_path / "a.pt2")["classes"] == list(here.probabilities)


def test_a_classifier_that_is_trained_again_does_not_change_a_run(made: Path, moved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made / "regressor", copy)
    settings = json.loads((copy / SETTINGS).read_text())
    settings["settings"]["conditioning"] = str(tmp_path / "another")
    (copy / SETTINGS).write_text(json.dumps(settings))
    assert Predictor(copy).classifier is not None


@pytest.mark.parametrize("run", ["class", "regressor"])
def test_a_run_alone_is_evaluated_on_other_data(run: str, moved: Path, other: Dataset) -> None:
    folder = moved / f"{run}-moved" / "run"
    with pytest.raises(NotFoundError, match=r"give that with --data"):
        evaluate(folder)
    result = evaluate(folder, data=["other"], sounds=2)
    assert result.folder == folder / "evaluation-on-other"
    assert result.metrics["rows"] == 64
    assert result.metrics["learned_rows"] == 0
    assert result.metrics["distance"]["auc"] > 0.9
    assert result.metrics["distance"]["nearest"] > 1
    assert "Distance from the sounds it learned on" in (result.folder / "tables.md").read_text()
    predictions = np.load(result.folder / "predictions.npz")["predicted"]
    if run == "class":
        assert predictions.shape == (64, 3)
        assert result.metrics["accuracy"] == pytest.approx((predictions.argmax(axis=1) == 2).mean())
    else:
        true = other.read("params")
        assert predictions.shape == true.shape
        assert result.metrics["true"]["mae"] == pytest.approx(np.abs(predictions - true).mean(), rel=1e-4)


def test_what_a_run_has_learned_is_left_out_and_sounds_of_its_own_kind_are_near(made: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown"
    shutil.copytree(made / "distortion", grown)
    data = Dataset(str(grown))
    from timbre_data.pipeline.build.deriving import select
    from timbre_data.pipeline.store.selecting import Selection

    select(data, Selection(where="row < 400"), locate(str(tmp_path / "part")), Cluster(workers=2))
    result = evaluate(made / "class", data=[str(tmp_path / "part")])
    seen = int((data.split()[:400] < 2).sum())
    assert result.metrics["learned_rows"] == seen
    assert result.metrics["rows"] == 400 - seen
    assert abs(result.metrics["distance"]["nearest"] - 1) < 0.5
    kept = evaluate(made / "class", data=[str(tmp_path / "part")], allow_leak=True)
    assert kept.metrics["rows"] == 400
    with pytest.raises(LeakingSplitError, match="has learned the sounds of all"):
        evaluate(made / "class", data=[str(tmp_path / "part")], split="train")


def test_its_own_figures_stand_beside_those_on_other_data(made: Path, other: Dataset, tmp_path: Path) -> None:
    """Its own test split is evaluated where it was not; each class and parameter has a line."""
    for run in ("class", "regressor"):
        shutil.copytree(made / run, tmp_path / run)
        shutil.rmtree(tmp_path / run / "evaluation", ignore_errors=True)
        result = evaluate(tmp_path / run, data=["other"], sounds=2)
        own = json.loads((tmp_path / run / "evaluation" / "metrics.json").read_text())
        (table,) = (one for one in result.tables if one.title.startswith("On the sounds that it was trained for"))
        rows = {row[0]: row[1:] for row in table.rows}
        if run == "class":
            assert rows["accuracy"] == (number(own["accuracy"]), number(result.metrics["accuracy"]))
            assert rows["recall: distortion"][0] == number(own["classes"]["distortion"]["recall"])
        else:
            assert rows["mean skill"] == (number(own["true"]["skill"]), number(result.metrics["true"]["skill"]))
            each = result.metrics["parameters_each"]
            assert {name for name in rows if name.startswith("skill: ")} == {f"skill: {name}" for name in each}


def test_a_sound_like_none_that_was_learned_is_said_to_be_outside(made: Path, shared: Path, tmp_path: Path) -> None:
    data = Dataset(str(shared / "distortion"))
    rate = data.recipe.audio.rate
    soundfile.write(tmp_path / "known.wav", data.audio(int(np.flatnonzero(data.split() == 2)[0]))[0], rate)
    time = np.arange(2 * rate) / rate
    bell = np.sin(2 * np.pi * 3000 * time) * np.sin(2 * np.pi * 40 * time) * np.exp(-40 * (time % 0.1))
    soundfile.write(tmp_path / "bell.wav", 0.5 * bell, rate)
    said: dict[str, list[str]] = {}
    for name in ("known", "bell"):
        said[name] = []
        predict_file(made / "class", PredictRequest(tmp_path / f"{name}.wav", f0_hz=200.0), warn=said[name].append)
    assert not said["known"]
    assert "lies outside of what class learned from" in said["bell"][0]


def test_a_copy_of_its_own_data_is_its_own_data(made: Path, moved: Path) -> None:
    names = [str(made / name) for name in NAMES]
    result = evaluate(moved / "class-moved" / "run", data=names)
    assert result.folder.name == "evaluation"
    assert result.metrics["accuracy"] == evaluate(made / "class").metrics["accuracy"]


def test_data_that_does_not_fit_a_run_is_refused(
    made: Path, render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    render("tremolo", "crushed", n=64)
    featurizing.featurize(locate("crushed"), {"autofx163": {}}, Cluster(workers=2))
    render("distortion", "faster", n=64, **{"audio.rate": 32_000})
    render("distortion", "plain", n=64)
    for name, said in (
        ("crushed", "does not know"),
        ("faster", "32000 Hz"),
        ("plain", "run timbre-data featurize plain"),
        ("nothing", "no dataset"),
    ):
        assert command("evaluate", str(made / "class"), "--data", name) in (2, 1)
        assert said in (error := capsys.readouterr().err)
        assert len(error.splitlines()) == 1
    assert command("evaluate", str(made / "class"), "--data", "crushed", "--split", "some") == 2


def test_parameters_of_another_range_are_refused(made: Path, shared: Path) -> None:
    trained = checkpoints.load(made / "regressor")
    rows = load_rows([Dataset(str(shared / "distortion"))], ("autofx163",), "note")
    assert other_data.fitted(rows, trained) is rows
    wider = tuple(one | {"high": one["high"] + 1} for one in trained.parameters)
    with pytest.raises(UsageError, match=r"is 0 to 60 dB \(\w+\) here, in the run 0 to 61 dB"):
        other_data.fitted(rows, replace(trained, parameters=wider))
    with pytest.raises(UsageError, match="other settings"):
        other_data.fitted(rows, replace(trained, feature_settings={"autofx163": {"hop_length": 1}}))


def test_what_a_run_keeps_is_never_code_and_damage_is_said(made: Path, moved: Path, other: Dataset) -> None:
    folder = moved / "class-moved" / "run"
    kept = learned.load(folder)
    assert kept is not None
    assert kept.sample.shape[1] == 163
    assert len(kept.sample) <= learned.SAMPLE + 2
    (folder / learned.FILE).write_bytes((folder / learned.FILE).read_bytes()[:100])
    with pytest.raises(CorruptDataError, match=r"learned\.npz is damaged"):
        evaluate(folder, data=["other"])
    (folder / learned.FILE).unlink()
    assert evaluate(folder, data=["other"]).metrics["distance"] is None


def test_a_run_of_a_synth_alone_predicts_and_plays(tmp_path: Path, home: Path, command: Callable[..., int]) -> None:
    changes = {"n": 64, "audio.seconds": 0.3, "audio.rate": 11_025}
    data = build(recipes.load(validation.override(recipes.read("inverse12"), changes)), "played")
    options = {"window": 256, "n_fft": 512, "bins": 64, "neurons": 16}
    settings = TrainSettings(model="inverse-synth", data=("played",), max_epochs=1, options=options)
    run, _ = train.train(settings, name="r")
    moved = tmp_path / "moved"
    shutil.move(run, moved)
    soundfile.write(tmp_path / "a.wav", data.audio(1)[0], 11_025)
    here = Predictor(moved).predict(tmp_path / "a.wav")
    with_data = tmp_path / "with.wav"
    assert command("predict", str(moved), str(tmp_path / "a.wav"), "--out", str(with_data)) == 0
    shutil.rmtree(home)
    assert Predictor(moved).predict(tmp_path / "a.wav") == here
    assert Dataset(str(moved / EXAMPLE)).n == 1
    assert command("predict", str(moved), str(tmp_path / "a.wav"), "--out", str(tmp_path / "without.wav")) == 0
    assert (tmp_path / "without.wav").read_bytes() == with_data.read_bytes()
