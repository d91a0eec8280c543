"""Comparing classifiers by cross-validation over dry notes; which features matter; whether what is learned carries over
to another generator.

RUN/comparison.json     settings, what the data was, and every figure
RUN/tables.md           the tables
RUN/confusion-*.png     one confusion matrix a classifier, over all folds
RUN/folds/              what each classifier predicted in each fold: what a stopped comparison resumes from
"""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from timbre_data.models.baselines import BASELINES, NETWORK, check_classifiers
from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import Rows, contents_of, load_rows
from timbre_data.models.evaluation import metrics, plots, published, run_facts
from timbre_data.models.evaluation.tables import StudyResult, Table, number
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints, runs
from timbre_data.models.training.checkpoints import Trained
from timbre_data.models.training.preparing import resolve
from timbre_data.models.training.row_training import fit_rows
from timbre_data.models.training.runs import MODEL_FILE
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.catalogue.seeding import share
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import CompareSettings, TrainSettings

FILE = "comparison.json"


def folds_of(group: NDArray[np.object_], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each row: all rows of a dry note in one, the notes dealt out evenly in a seeded order [shape=(n,)]."""
    names, note = np.unique(group.astype(str), return_inverse=True)
    if len(names) < folds:
        raise UsageError(f"{len(names)} dry notes make no {folds} folds: render more, or ask for fewer with --folds.")
    order = np.argsort([share(name, seed) for name in names])
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[note]


def compare(
    settings: CompareSettings, *, name: str | None = None, say: Callable[[str], None] = lambda line: None
) -> StudyResult:
    """Compare classifiers on stored features. The same command again resumes where it stopped, or only prints.

    Raises `UsageError` for rows with several effects, too few notes, or unknown classifiers.
    """
    check_classifiers(settings.models)
    datasets = [open_named(data) for data in (*settings.data, *settings.against)]
    asked = {"settings": settings.model_dump(mode="json"), "contents": contents_of(datasets, settings.features)}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    data = "-".join(Path(one.partition("@")[0]).name for one in settings.data)
    folder = runs.runs_home() / (name or f"compare-{settings.target}-{data}-{digest.hexdigest()[:6]}")
    if (folder / FILE).is_file() and json.loads((folder / FILE).read_text(encoding="utf-8"))["about"] != asked:
        raise UsageError(
            f"{folder} is a comparison with other settings or data: choose another --name, or leave it out."
        )
    rows = load_rows(datasets, settings.features, "note", settings.limit, classes=TARGETS.load(settings.target).classes)
    TARGETS.load(settings.target).check(rows)
    (folder / "folds").mkdir(parents=True, exist_ok=True)
    snapshots = {data.location.address: data.snapshot for data in datasets}
    content: dict[str, Any] = {"about": asked, "snapshots": snapshots, "provenance": provenance()}
    write_whole(folder / FILE, json.dumps(content, indent=2))
    here = rows.dataset < len(settings.data)
    compared = rows.take(here)
    fold = folds_of(compared.group, settings.folds, settings.seed)
    results = {model: _cross_validate(model, compared, fold, settings, folder, say) for model in settings.models}
    content["classifiers"] = {model: result["scores"] for model, result in results.items()}
    tables = [_totals(results, compared, settings), *(_classes(model, results[model], compared) for model in results)]
    for model, result in results.items():
        plots.confusion(np.array(result["confusion"]), compared.class_names, folder / f"confusion-{model}.png")
    if settings.permutations and NETWORK in settings.models:
        ranked = _permutation(compared, fold, settings, folder)
        content["permutation"] = ranked
        content["mean_drop"] = float(np.mean([one["drop"] for one in ranked]))
        tables.append(_ranking(ranked, content["mean_drop"], run_facts.task(compared.class_names)))
    if settings.against:
        content["generalisation"] = _generalisation(rows, here, settings, folder, say)
        facts = run_facts.facts(NETWORK, classes=compared.class_names)
        tables.append(_carried_over(content["generalisation"], settings, facts))
    comparison = StudyResult(folder, content, tuple(tables))
    write_whole(folder / FILE, json.dumps(content, indent=2))
    write_whole(folder / "tables.md", comparison.markdown() + "\n")
    return comparison


def _cross_validate(
    model: str, rows: Rows, fold: NDArray[np.int64], settings: CompareSettings, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Every fold once as the test set; scores over all of them together."""
    predicted = np.full(len(fold), -1)
    each: list[dict[str, float]] = []
    for number_ in range(settings.folds):
        test = np.flatnonzero(fold == number_)
        guess, cost = _one_fold(model, rows, fold, number_, settings, folder / "folds" / f"{model}-{number_}")
        predicted[test] = guess
        each.append(cost | {"accuracy": float((guess == rows.classes[test]).mean())})
        say(f"{model}, fold {number_ + 1} of {settings.folds}: accuracy {each[-1]['accuracy']:.4f}")
    scores = metrics.class_scores(predicted, rows.classes, len(rows.class_names))
    accuracies = [one["accuracy"] for one in each]
    total = {
        "accuracy": scores.accuracy,
        "deviation_over_folds": float(np.std(accuracies)),
        **{key: float(np.median([one[key] for one in each])) for key in ("fit_seconds", "inference_ms", "megabytes")},
        "accuracies": accuracies,
        "classes": scores.each(rows.class_names),
    }
    return {"scores": total, "confusion": scores.confusion.tolist()}


def _one_fold(
    model: str, rows: Rows, fold: NDArray[np.int64], number_: int, settings: CompareSettings, folder: Path
) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Train on the other folds, predict this one; what is there already is read. Inference is measured per sound over
    the fold.
    """
    predictions, costs = folder / "predicted.npy", folder / "cost.json"
    if costs.is_file():
        return np.load(predictions), json.loads(costs.read_text(encoding="utf-8"))
    folder.mkdir(exist_ok=True)
    test = np.flatnonzero(fold == number_)
    begun = time.perf_counter()
    if model == NETWORK:
        trained = _network(rows, fold, number_, settings, folder)
        fit_seconds = time.perf_counter() - begun
        size = (folder / MODEL_FILE).stat().st_size
        features = torch.from_numpy(rows.features[test])
        begun = time.perf_counter()
        guess = trained.predict(features).numpy().argmax(axis=1)
    else:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        baseline = BASELINES.load(model)
        estimator = make_pipeline(StandardScaler(), baseline.build(settings.seed))
        train = np.flatnonzero(fold != number_)
        estimator.fit(rows.features[train], rows.classes[train])
        fit_seconds = time.perf_counter() - begun
        size = len(pickle.dumps(estimator))
        begun = time.perf_counter()
        guess = estimator.predict(rows.features[test])
    cost = {
        "fit_seconds": fit_seconds,
        "inference_ms": 1000 * (time.perf_counter() - begun) / len(test),
        "megabytes": size / 1e6,
    }
    np.save(predictions, guess)
    write_whole(costs, json.dumps(cost))
    return guess, cost


def _network(rows: Rows, fold: NDArray[np.int64], number_: int, settings: CompareSettings, folder: Path) -> Trained:
    """The PyTorch MLP trained on the other folds; the next one stops its training."""
    if not (folder / MODEL_FILE).is_file():
        split = np.zeros(len(fold), np.uint8)
        split[fold == (number_ + 1) % settings.folds] = 1
        split[fold == number_] = 2
        resolved = resolve(
            TrainSettings(
                model=NETWORK,
                data=settings.data,
                features=settings.features,
                target=settings.target,
                seed=settings.seed,
            )
        )
        fit_rows(resolved, replace(rows, split=split), None, folder)
    return checkpoints.load(folder)


class _Classifier(ClassifierMixin, BaseEstimator):
    """A trained network as a scikit-learn estimator that is fitted already."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.classes_ = np.arange(len(trained.outputs))

    def fit(self, features: NDArray[np.float32], classes: NDArray[np.int64]) -> _Classifier:
        """It is fitted already."""
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most probable class of each row."""
        return np.asarray(self.trained.predict(torch.from_numpy(features)).numpy().argmax(axis=1))


def _permutation(rows: Rows, fold: NDArray[np.int64], settings: CompareSettings, folder: Path) -> list[dict[str, Any]]:
    """Drop in accuracy when one feature's values are permuted among the test rows, averaged over folds and repeats,
    largest first.
    """
    drops = np.zeros((settings.folds, len(rows.feature_names)))
    for number_ in range(settings.folds):
        trained = _network(rows, fold, number_, settings, folder / "folds" / f"{NETWORK}-{number_}")
        test = np.flatnonzero(fold == number_)
        importance = permutation_importance(
            _Classifier(trained),
            rows.features[test],
            rows.classes[test],
            n_repeats=settings.permutations,
            random_state=settings.seed + number_,
        )
        drops[number_] = importance.importances_mean
    order = np.argsort(-drops.mean(axis=0))
    return [
        {
            "feature": rows.feature_names[i],
            "drop": float(drops[:, i].mean()),
            "deviation_over_folds": float(drops[:, i].std()),
        }
        for i in order
    ]


def _generalisation(
    rows: Rows, here: NDArray[np.bool_], settings: CompareSettings, folder: Path, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Accuracy of the network trained on one generator, the other, or both, on held-out notes of each."""
    fold = folds_of(rows.group, settings.folds, settings.seed)
    masks = {"here": here, "there": ~here}
    accuracies: dict[str, dict[str, float]] = {}
    for trained_on, row_mask in {"here": here, "there": ~here, "both": np.ones_like(here)}.items():
        saved = folder / "folds" / f"trained-{trained_on}"
        saved.mkdir(exist_ok=True)
        trained = _network(rows.take(row_mask), fold[row_mask], 0, settings, saved)
        accuracies[trained_on] = {}
        for tested_on, mask in masks.items():
            test = np.flatnonzero(mask & (fold == 0))
            guess = trained.predict(torch.from_numpy(rows.features[test])).numpy().argmax(axis=1)
            accuracies[trained_on][tested_on] = float((guess == rows.classes[test]).mean())
        say(f"trained {trained_on}: {accuracies[trained_on]}")
    return accuracies


def _totals(results: dict[str, dict[str, Any]], rows: Rows, settings: CompareSettings) -> Table:
    lines: list[Sequence[str]] = []
    for model, result in results.items():
        scores = result["scores"]
        lines.append(
            (
                model,
                f"{100 * scores['accuracy']:.1f} % (sd {100 * scores['deviation_over_folds']:.1f})",
                f"{scores['fit_seconds']:.3g} s",
                f"{scores['inference_ms']:.3g} ms",
                f"{scores['megabytes']:.3g} MB",
            )
        )
        for one in published.beside(run_facts.facts(model, classes=rows.class_names), "accuracy"):
            values = one.values
            lines.append(
                (
                    one.name,
                    f"{100 * values['accuracy']:.1f} %",
                    *(
                        f"{values[key]:.3g} {unit}" if key in values else "-"
                        for key, unit in (("fit_seconds", "s"), ("inference_ms", "ms"), ("megabytes", "MB"))
                    ),
                )
            )
    return Table(
        f"{len(rows.class_names)} classes, {settings.folds}-fold cross-validation by dry note, {len(rows.classes)} rows",
        ("classifier", "accuracy", "fit", "inference per sound", "size"),
        tuple(tuple(line) for line in lines),
        note="Fit, inference (of a whole fold at once) and size are medians over folds, features not counted. The paper's figures are on the recordings of IDMT-SMT-Audio-Effects.",
    )


def _classes(model: str, result: dict[str, Any], rows: Rows) -> Table:
    each = result["scores"]["classes"]
    return Table(
        f"{model}: classes over all folds",
        ("class", "precision", "recall", "F1", "rows"),
        tuple(
            (
                name,
                *(number(each[name][key]) for key in ("precision", "recall", "f1")),
                str(int((rows.classes == i).sum())),
            )
            for i, name in enumerate(rows.class_names)
        ),
    )


def _ranking(ranked: list[dict[str, Any]], mean: float, task: str | None, shown: int = 20) -> Table:
    theirs = " D'Hooghe 2022, Section 4.3: 1 to 2 on average, 15 to 20 for the largest." if task else ""
    return Table(
        f"{NETWORK}: drop in accuracy when a feature is permuted, the {shown} that matter most of {len(ranked)}",
        ("rank", "feature", "drop"),
        tuple(
            (str(i + 1), one["feature"], f"{100 * one['drop']:.1f} % (sd {100 * one['deviation_over_folds']:.1f})")
            for i, one in enumerate(ranked[:shown])
        ),
        note=f"Mean drop over all features {100 * mean:.2f} %.{theirs}",
    )


def _carried_over(
    accuracies: dict[str, dict[str, float]], settings: CompareSettings, facts: Mapping[str, str]
) -> Table:
    theirs = published.beside(facts, "carried_accuracy", "both_accuracy")
    here, there = ", ".join(settings.data), ", ".join(settings.against)
    names = {"here": here, "there": there, "both": "both"}
    return Table(
        f"{NETWORK}: trained on one generator, tested on held-out notes of each",
        ("trained on", here, there),
        tuple(
            (names[one], *(f"{100 * values[generator]:.1f} %" for generator in ("here", "there")))
            for one, values in accuracies.items()
        ),
        note=" ".join(
            f"{one.name}: {100 * next(iter(one.values.values())):.1f} % ({one.said(facts)})." for one in theirs
        ),
    )
