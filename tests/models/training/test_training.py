"""Training and evaluation end to end on small data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.conftest import SHARED_ROWS, build
from timbre_data.models.architectures import MODELS, Shape, regressor_mlp
from timbre_data.models.data.rows import load_rows
from timbre_data.models.evaluation import epochs
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.studies.pipeline_run import run_pipeline
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints, loop, runs, train
from timbre_data.pipeline.build import featurizing, recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.columns import SPLITS
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import InterruptedBuildError, LeakingSplitError, RecipeError, UsageError
from timbre_data.schemas.settings import PipelineRecipe, TrainSettings

EFFECTS = ("modulation", "delay", "distortion")


def settings(shared: Path, model: str, *effects: str, **fields: Any) -> TrainSettings:
    return TrainSettings(
        model=model, data=tuple(str(shared / effect) for effect in effects or EFFECTS), **({"max_epochs": 4} | fields)
    )


def test_a_classifier_learns_the_three_effects(shared: Path) -> None:
    run, done = train.train(settings(shared, "class-mlp", max_epochs=30))
    assert done == "trained"
    found = evaluate(run)
    assert found.metrics["accuracy"] > 0.8
    assert {path.name for path in found.folder.iterdir()} == {
        "confusion.png",
        "loss.png",
        "metrics.json",
        "predictions.npz",
        "tables.md",
    }
    assert json.loads((found.folder / "metrics.json").read_text())["parameters"] == 163 * 100 + 100 + 303


@pytest.mark.slow
def test_a_conditioned_regressor_beats_the_mean_and_sounds_closer(shared: Path, tmp_path: Path) -> None:
    shared = shutil.copytree(shared, tmp_path / "shared")
    for effect in EFFECTS:
        featurizing.featurize(locate(str(shared / effect)), {"autofx48": {}}, Cluster(workers=2))
    classifier, _ = train.train(settings(shared, "class-mlp"))
    run, _ = train.train(
        settings(
            shared, "regressor-mlp", features=("autofx163", "autofx48"), conditioning=str(classifier), max_epochs=15
        )
    )
    found = evaluate(run, sounds=12)
    assert found.metrics["parameters"] == 63_715
    assert found.metrics["variant"] == "211C"
    assert found.metrics["true"]["skill"] > 0.2
    medians = found.metrics["sounds"]["median"]
    for distance in ("mrstft", "logmel_db", "psd_db"):
        assert medians["oracle"][distance] < 1e-3
        assert medians["oracle"][distance] < medians["model"][distance] < medians["random"][distance]
    assert "paper 211C" in found.markdown()


def test_the_same_command_again_does_nothing(shared: Path) -> None:
    chosen = settings(shared, "class-mlp", max_epochs=2)
    run, _ = train.train(chosen)
    before = (run / runs.MODEL_FILE).stat().st_mtime_ns
    assert train.train(chosen) == (run, "finished already")
    assert (run / runs.MODEL_FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        ("plateau", 0.03),
        pytest.param("plateau", 1e-3, marks=pytest.mark.slow),  # two trainings each
        pytest.param("cosine", 1e-3, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_training_resumes_to_the_same_network(
    shared: Path, monkeypatch: pytest.MonkeyPatch, schedule: str, rate: float
) -> None:
    """With dropout, and with a rate so high that some epochs are worse than the one before."""
    kind = MODELS.load("regressor-mlp")

    def dropping(shape: Shape, options: Any) -> torch.nn.Module:
        network = kind.build(shape, options)
        network.register_forward_hook(lambda module, given, out: F.dropout(out, 0.1, module.training))
        return network

    monkeypatch.setattr(regressor_mlp, "MODEL", replace(kind, build=dropping))
    chosen = settings(shared, "regressor-mlp", "distortion", max_epochs=6, schedule=schedule, learning_rate=rate)
    straight, _ = train.train(chosen, name="straight")
    record = loop.Record.on_train_epoch_end

    def die_after_three(self: Any, trainer: Any, module: Any) -> None:
        record(self, trainer, module)
        if trainer.current_epoch == 3:
            raise RuntimeError("the power went")

    monkeypatch.setattr(loop.Record, "on_train_epoch_end", die_after_three)
    with pytest.raises(RuntimeError, match="the power went"):
        train.train(chosen, name="stopped")
    monkeypatch.setattr(loop.Record, "on_train_epoch_end", record)
    stopped, done = train.train(chosen, name="stopped")
    assert done == "resumed"
    assert [row["epoch"] for row in epochs.read(stopped)] == [1, 2, 3, 4, 5, 6]
    losses = [[row["validation_loss"] for row in epochs.read(run)] for run in (straight, stopped)]
    assert losses[0] == losses[1]
    a, b = (checkpoints.load(run).network.state_dict() for run in (straight, stopped))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_standardisation_is_the_training_rows_alone(shared: Path) -> None:
    run, _ = train.train(settings(shared, "class-mlp", max_epochs=1))
    rows = load_rows([Dataset(str(shared / effect)) for effect in EFFECTS], ["autofx163"], "note")
    assert np.allclose(
        checkpoints.load(run).network.mean.numpy(),
        rows.features[rows.where(0)].mean(axis=0, dtype=np.float64),
        rtol=1e-5,
    )


def test_splits_by_note_do_not_leak_over_datasets_and_splits_by_row_do(shared: Path) -> None:
    datasets = [Dataset(str(shared / effect)) for effect in EFFECTS]
    by_note, by_row = (load_rows(datasets, ["autofx163"], split) for split in ("note", "row"))
    assert not by_note.leaking_groups()
    assert by_row.leaking_groups()
    for rows in (by_note, by_row):
        shares = [len(rows.where(i)) / len(rows.split) for i in range(len(SPLITS))]
        assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.04)


def test_a_leaking_evaluation_is_refused_unless_asked_for(shared: Path) -> None:
    run, _ = train.train(settings(shared, "regressor-mlp", "delay", "modulation", split="row", max_epochs=1))
    with pytest.raises(LeakingSplitError, match="--allow-leak"):
        evaluate(run)
    assert evaluate(run, allow_leak=True, sounds=0).metrics["leaking_notes"] > 0


def test_labels_of_joined_datasets_are_found_by_name(shared: Path) -> None:
    rows = load_rows([Dataset(str(shared / effect)) for effect in EFFECTS], ["autofx163"], "note")
    n = SHARED_ROWS
    assert rows.labels.shape == (3 * n, 15)
    assert rows.mask.sum(axis=1).tolist() == [5] * n + [3] * n + [7] * n
    delay = Dataset(str(shared / "delay"))
    column = rows.parameter_names.index("delay.feedback")
    assert np.array_equal(rows.labels[n : 2 * n, column], delay.read("params")[:, 1])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"features": ("logmel",)}, "featurize modulation --features logmel"),
        ({"options": {"hiden": 3}}, "fields are hidden"),
        ({"model": "class-mlp", "data": 1}, "only one class"),
    ],
)
def test_wrong_requests_say_what_to_do(shared: Path, fields: dict[str, Any], said: str) -> None:
    effects = EFFECTS[: fields.pop("data", 3)]
    with pytest.raises(UsageError, match=said):
        train.train(settings(shared, fields.pop("model", "regressor-mlp"), *effects, **fields), name="refused")
    assert not (runs.runs_home() / "refused").exists()


@pytest.mark.parametrize(
    ("model", "conditioning", "said"),
    [
        ("class-mlp", "classes", "takes no --conditioning"),
        ("regressor-mlp", "regressor", "a classifier over features is needed"),
        ("regressor-mlp", "by-row", "needs the same split"),
    ],
)
def test_conditioning_needs_a_classifier_that_fits(shared: Path, model: str, conditioning: str, said: str) -> None:
    made = {
        "classes": ("class-mlp", EFFECTS, {}),
        "regressor": ("regressor-mlp", EFFECTS[:1], {}),
        "by-row": ("class-mlp", EFFECTS, {"split": "row"}),
    }[conditioning]
    train.train(settings(shared, made[0], *made[1], max_epochs=1, **made[2]), name=conditioning)
    with pytest.raises(UsageError, match=said):
        train.train(settings(shared, model, *EFFECTS, conditioning=conditioning), name="refused")
    assert not (runs.runs_home() / "refused").exists()


def test_commits_that_change_nothing_a_run_uses_do_not_matter(home: Path) -> None:
    build(recipes.load(validation.override(recipes.read("distortion"), {"n": 200, "audio.seconds": 0.3})), "growing")
    data = Dataset("growing")
    featurizing.featurize(data.location, {"autofx163": {}}, Cluster(workers=2))
    chosen = TrainSettings(model="regressor-mlp", data=("growing",), max_epochs=1)
    run, _ = train.train(chosen)
    before = runs.open_run(run).snapshots
    featurizing.featurize(data.location, {"autofx48": {}}, Cluster(workers=2))
    assert Dataset("growing").snapshot != before["growing"]
    assert train.train(chosen) == (run, "finished already")
    (run / runs.MODEL_FILE).unlink()
    assert train.train(chosen, name=run.name) == (run, "resumed")
    build(recipes.load(validation.override(recipes.read("distortion"), {"n": 220, "audio.seconds": 0.3})), "growing")
    with pytest.raises(UsageError, match="other settings or data"):
        train.train(chosen, name=run.name)


def test_another_split_is_evaluated_beside_the_test_split(shared: Path) -> None:
    run, _ = train.train(settings(shared, "class-mlp", max_epochs=1))
    test = evaluate(run)
    other = evaluate(run, split="validation")
    assert (test.folder.name, other.folder.name) == ("evaluation", "evaluation-validation")
    assert json.loads((run / "evaluation" / "metrics.json").read_text())["split"] == "test"


def test_a_folder_that_is_no_run_is_left_as_it_is(shared: Path) -> None:
    """Such as that of a search, whose runs are in it."""
    mine = runs.runs_home() / "search" / "trial" / "model.pt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"x")
    for fields in ({}, {"features": ("logmel",)}):
        with pytest.raises(UsageError, match="is not a run"):
            train.train(settings(shared, "regressor-mlp", *EFFECTS, **fields), name="search")
    assert [path for path in (runs.runs_home() / "search").rglob("*") if path.is_file()] == [mine]


def pipeline_recipe(**changes: Any) -> PipelineRecipe:
    data = {
        "name": "tiny",
        "datasets": [
            {"recipe": "delay", "set": {"n": 400, "audio.seconds": 0.4}},
            {"recipe": "dry", "set": {"n": 100, "audio.seconds": 0.4}},
        ],
        "features": ["autofx163"],
        "train": [
            {"name": "class", "model": "class-mlp", "data": ["delay", "dry"], "max_epochs": 3},
            {"name": "regress", "model": "regressor-mlp", "data": ["delay"], "conditioning": "class", "max_epochs": 3},
        ],
    }
    return validation.validate(PipelineRecipe, data | changes)


@pytest.mark.slow  # renders, searches, trains and evaluates a whole chain twice
def test_a_pipeline_recipe_runs_and_then_skips_everything() -> None:
    said: list[str] = []
    datasets = [
        *pipeline_recipe().model_dump()["datasets"],
        {"recipe": "delay", "set": {"name": "other", "n": 60, "seed": 5, "audio.seconds": 0.4}},
    ]
    recipe = pipeline_recipe(
        datasets=datasets,
        search=[
            {
                "name": "rates",
                "model": "regressor-mlp",
                "data": ["delay"],
                "max_epochs": 1,
                "grid": {"learning_rate": [1e-3, 1e-4]},
                "repeats": 1,
            }
        ],
        evaluate=[{"run": "regress", "data": ["other"], "sounds": 4}],
    )
    first = run_pipeline(recipe, Cluster(workers=2), progress=NoProgress(), say=said.append)
    kinds = [stage["stage"].split()[0] for stage in first]
    assert kinds == ["render", "featurize"] * 3 + ["search"] + ["train", "evaluate"] * 2 + ["evaluate"]
    assert any(line.startswith("stage 12 of 12: evaluate regress on other") for line in said)
    searched = runs.runs_home() / "tiny-rates"
    assert len(json.loads((searched / "results.json").read_text())) == 2
    assert (runs.runs_home() / "tiny-regress" / "evaluation-on-other" / "metrics.json").is_file()
    before = {path: path.stat().st_mtime_ns for path in searched.rglob("*.pt")}
    assert len(before) == 2
    again = run_pipeline(recipe, Cluster(workers=2), progress=NoProgress(), say=said.append)
    assert all("finished already" in stage["done"] for stage in again if stage["stage"] != "search rates")
    assert before == {path: path.stat().st_mtime_ns for path in searched.rglob("*.pt")}


def test_a_pipeline_recipe_is_checked_before_anything_is_made(home: Path) -> None:
    with pytest.raises(RecipeError, match="earlier training stage"):
        run_pipeline(
            pipeline_recipe(train=[{"name": "a", "model": "regressor-mlp", "data": ["delay"], "conditioning": "b"}]),
            Cluster(),
            progress=NoProgress(),
            say=print,
        )
    with pytest.raises(RecipeError, match="datasets of this recipe are delay, dry"):
        run_pipeline(
            pipeline_recipe(train=[{"name": "a", "model": "regressor-mlp", "data": ["dely"]}]),
            Cluster(),
            progress=NoProgress(),
            say=print,
        )
    for stages, what in (
        ({"evaluate": [{"run": "regres", "data": ["delay"]}]}, "trainings of this recipe are class, regress"),
        ({"evaluate": [{"run": "regress", "data": ["dly"]}]}, "datasets of this recipe are delay, dry"),
        (
            {"search": [{"name": "s", "model": "regressor-mlp", "data": ["delay"], "grid": {"learning_rat": [1]}}]},
            "learning_rat",
        ),
        ({"search": [{"name": "s", "model": "regressor-mlp", "data": ["delay"], "grid": {"seed": [1]}}]}, "--repeats"),
    ):
        with pytest.raises(UsageError, match=what):
            run_pipeline(pipeline_recipe(**stages), Cluster(), progress=NoProgress(), say=print)
    assert not home.exists()


def test_ctrl_c_keeps_the_epochs_and_says_so(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(shared, "regressor-mlp", "distortion", max_epochs=4)
    record = loop.Record.on_train_epoch_end

    def interrupt(self: Any, trainer: Any, module: Any) -> None:
        record(self, trainer, module)
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Record, "on_train_epoch_end", interrupt)
    with pytest.raises(InterruptedBuildError, match="the same command resumes") as caught:
        train.train(chosen, name="stopped")
    assert caught.value.exit_code == 130
    monkeypatch.setattr(loop.Record, "on_train_epoch_end", record)
    assert train.train(chosen, name="stopped")[1] == "resumed"


@pytest.mark.slow
def test_a_chain_is_recognised_with_several_labels_and_both_parameter_sets_are_learned(home: Path) -> None:
    changes = {"n": 900, "audio.seconds": 0.4}
    recipe = PipelineRecipe.model_validate(recipes.read("chains"))
    stage = recipe.datasets[0].model_copy(update={"set": changes})
    trains = tuple(
        one.model_copy(update={"settings": one.settings.model_copy(update={"max_epochs": 15})}) for one in recipe.train
    )
    small = recipe.model_copy(update={"datasets": (stage,), "train": trains})
    report = run_pipeline(small, Cluster(workers=2), progress=NoProgress(), say=lambda line: None)
    effects, parameters = (entry["metrics"] for entry in report if entry["stage"].startswith("evaluate"))
    assert "parameters" not in parameters["about"]  # the report's fifteen, but of chains: its rows stand elsewhere
    assert set(effects["classes"]) == {"distortion", "modulation", "delay"}
    assert effects["classes"]["distortion"]["f1"] > 0.8
    assert 0.3 < effects["exact"] <= 1
    assert set(parameters["parameters_each"]) >= {"distortion.drive_db", "delay.mix", "modulation.mix"}
    assert parameters["parameters_each"]["distortion.drive_db"]["skill"] > 0.3
    assert parameters["sounds"]["median"]["oracle"]["mrstft"] < 1e-3
    data = Dataset("chain-of-two")
    rows = load_rows([data], ["autofx163"], "note")
    assert (rows.present.sum(axis=1) == 2).all()
    assert (rows.classes == -1).all()
    with pytest.raises(UsageError, match="--target effects"):
        train.train(TrainSettings(model="class-mlp", data=("chain-of-two",)))


@pytest.mark.slow
def test_an_effect_needs_only_its_name_in_a_recipe(home: Path) -> None:
    small = {"n": 300, "audio.seconds": 0.3}
    recipe = {
        "name": "more",
        "datasets": [{"recipe": name, "set": small} for name in ("tremolo", "equaliser")],
        "features": ["autofx163"],
        "train": [
            {"name": "class", "model": "class-mlp", "data": ["tremolo", "equaliser"], "max_epochs": 3},
            {
                "name": "p",
                "model": "regressor-mlp",
                "data": ["tremolo", "equaliser"],
                "conditioning": "class",
                "max_epochs": 2,
            },
        ],
    }
    report = run_pipeline(
        PipelineRecipe.model_validate(recipe), Cluster(workers=2), progress=NoProgress(), say=lambda line: None
    )
    found = report[-1]["metrics"]["parameters_each"]
    assert {"tremolo.rate_hz", "equaliser.peak_hz"} <= set(found)


def test_classes_are_families_where_asked(shared: Path) -> None:
    rows = load_rows(
        [Dataset(str(shared / effect)) for effect in EFFECTS],
        ["autofx163"],
        "note",
        classes=TARGETS.load("family").classes,
    )
    assert rows.class_names == ("delay", "modulation", "distortion")  # in the order of the conditioning vector
    assert np.bincount(rows.classes).tolist() == [SHARED_ROWS] * 3


@pytest.mark.slow
def test_a_learning_curve_cuts_training_rows_only(shared: Path) -> None:
    run, _ = train.train(settings(shared, "regressor-mlp", train_rows=40, max_epochs=1, measure_energy=True))
    found = evaluate(run, sounds=0).metrics
    whole, _ = train.train(settings(shared, "regressor-mlp", max_epochs=1))
    assert found["rows"] == evaluate(whole, sounds=0).metrics["rows"]
    assert found["cost"]["watt_hours"] > 0
    assert found["cost"]["inference_ms"] < 25
    mean = checkpoints.load(run).network.mean.numpy()
    assert not np.allclose(mean, checkpoints.load(whole).network.mean.numpy())


@pytest.mark.slow
def test_autofx_trains_on_sounds_and_resumes(shared: Path) -> None:
    options = {"spectrogram": "log_mel", "n_mels": 32}
    classifier, _ = train.train(settings(shared, "class-mlp", max_epochs=2))
    chosen = settings(
        shared,
        "autofx",
        "delay",
        train_rows=24,
        max_epochs=2,
        options=options,
        conditioning=str(classifier),
        precision="bf16-mixed",
    )
    run, done = train.train(chosen, name="cnn")
    assert done == "trained"
    trained = checkpoints.load(run)
    assert (trained.samples, trained.rate, trained.shape.conditioning) == (8820, 22_050, 6)
    assert evaluate(run, sounds=0).metrics["parameters"] > 3_000_000
