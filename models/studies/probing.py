"""What feature sets hold: nearest neighbours and linear probes (Alain & Bengio 2017) of each, cross-validated over dry
notes.

A probe that can tell effects, instruments, makers or settings from a feature set shows that they are in it; a linear
one, that they lie open. What it cannot tell may still be there, in another shape.

RUN/probe.json     what was asked, and every figure
RUN/tables.md      the table
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timbre_data.models.data import learned
from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import Rows, contents_of, load_rows
from timbre_data.models.evaluation import intervals
from timbre_data.models.evaluation.tables import StudyResult, Table, number, ranged
from timbre_data.models.studies.comparison import folds_of
from timbre_data.models.training.runs import runs_home
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

FILE = "probe.json"
FOLDS = 5
NEIGHBOURS = 5
FEWEST = 40
"""Rows in which a parameter can be heard, for a probe of it."""
PROBES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "neighbours": (lambda: KNeighborsClassifier(NEIGHBOURS), lambda: KNeighborsRegressor(NEIGHBOURS)),
    "linear": (lambda: LogisticRegression(max_iter=1000), lambda: Ridge(10.0)),
}
"""Estimators of classes and of numbers, on standardized features."""


def probe(
    data: Sequence[str],
    features: Sequence[str] = (),
    *,
    limit: int = 2000,
    folds: int = FOLDS,
    seed: int = 0,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> StudyResult:
    """Probe feature sets (by default all vectors that the datasets have in common) on the first `limit` rows of each
    dataset: which effect, which instrument (where groups of dry sounds have several notes), which of several datasets
    (synths, makers), and each parameter where it can be heard. All variations of a note are in one fold.

    Raises `UsageError` where there is nothing to tell, or no feature set.
    """
    datasets = [open_named(one) for one in data]
    chosen = list(features) or _common(datasets)
    if not chosen:
        raise UsageError(
            f"{', '.join(data)}: no feature set of vectors in common; run timbre-data featurize for each of them."
        )
    asked = {"data": list(data), "features": chosen, "limit": limit, "folds": folds, "seed": seed}
    asked["contents"] = contents_of(datasets, chosen)
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:6]
    folder = runs_home() / (name or f"probe-{'-'.join(Path(one.partition('@')[0]).name for one in data)}-{digest}")
    if folder.is_dir() and not (folder / FILE).is_file():
        raise UsageError(f"{folder} exists already and is no probe: choose another --name.")
    content: dict[str, Any] = {"about": asked, "provenance": provenance(), "features": {}}
    rows = load_rows(datasets, chosen, "note", limit)
    notes = _notes(datasets, rows)
    fold = folds_of(notes, folds, seed)
    questions = _questions(rows, notes, folds)
    widths = [len(datasets[0].names(datasets[0].feature_sets()[feature]["path"])) for feature in chosen]
    for feature, x in zip(chosen, np.split(rows.features, np.cumsum(widths)[:-1], axis=1), strict=True):
        found = {key: _told(x, labels, asked_of, fold, notes) for key, (labels, asked_of) in questions.items()}
        if settings := _settings(x, rows, fold):
            found["settings"] = settings
        if not found:
            raise UsageError(f"{', '.join(data)}: one effect without parameters, and one dataset: nothing to tell.")
        content["features"][feature] = {"width": x.shape[1], "rows": len(rows.row), "questions": found}
        said = ", ".join(f"{key} {number(one['linear']['score'])}" for key, one in found.items())
        say(f"{feature}: {said} (linear)")
    result = StudyResult(folder, content, (_table(content["features"]),))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "tables.md", result.markdown() + "\n")
    write_whole(folder / FILE, json.dumps(content, indent=2))
    return result


def _common(datasets: Sequence[Dataset]) -> list[str]:
    """The feature sets of vectors that all datasets have."""
    each = [
        [name for name, one in data.feature_sets().items() if one["path"].startswith("features/")] for data in datasets
    ]
    return [name for name in each[0] if all(name in names for names in each)]


def _notes(datasets: Sequence[Dataset], rows: Rows) -> NDArray[np.object_]:
    """A name for the dry note of each row, in whatever variation and dataset [shape=(n,)]."""
    names = np.empty(len(rows.row), object)
    for k, data in enumerate(datasets):
        here = rows.dataset == k
        keys = learned.keys_of(data, rows.row[here])
        names[here] = [str(next((key for key in row[::-1] if key), 0)) for row in keys.tolist()]
    return names


def _questions(
    rows: Rows, notes: NDArray[np.object_], folds: int
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """What may be told: a class of each row, and the rows that have one."""
    every = np.ones(len(rows.row), bool)
    questions = {}
    if len(np.unique(rows.classes[rows.classes >= 0])) > 1:
        questions["effect"] = (rows.classes, rows.classes >= 0)
    groups, group = np.unique(rows.group.astype(str), return_inverse=True)
    several = np.array([len(set(notes[group == k])) >= folds for k in range(len(groups))])
    if several.sum() > 1:
        questions["instrument"] = (group.astype(np.int64), several[group])
    if len(np.unique(rows.dataset)) > 1 and not _same(rows.dataset, rows.classes):
        questions["dataset"] = (rows.dataset, every)
    return questions


def _same(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two labellings tell the same apart."""
    pairs = len(np.unique(np.stack([one, other]), axis=1)[0])
    return pairs == len(np.unique(one)) == len(np.unique(other))


def _told(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    asked: NDArray[np.bool_],
    fold: NDArray[np.int64],
    notes: NDArray[np.object_],
) -> dict[str, Any]:
    """The accuracy of both probes, with 95 % intervals over notes, and that of always naming the largest class."""
    x, y, fold, notes = features[asked], labels[asked], fold[asked], notes[asked]
    counts = np.bincount(y)
    told: dict[str, Any] = {"classes": int((counts > 0).sum()), "chance": float(counts.max() / len(y))}
    for name, (build, _) in PROBES.items():
        right = _predicted(build, x, y, fold) == y
        told[name] = {"score": float(right.mean()), "interval": intervals.of_mean(right, notes.astype(str))}
    return told


def _settings(features: NDArray[np.float32], rows: Rows, fold: NDArray[np.int64]) -> dict[str, Any]:
    """The skill over the mean of each parameter, over rows in which it can be heard."""
    each: dict[str, dict[str, float]] = {}
    for k, name in enumerate(rows.parameter_names):
        heard = rows.mask[:, k] & rows.identifiable[:, k]
        y = rows.labels[heard, k].astype(np.float64)
        if len(y) < FEWEST or y.var() < 1e-9 or len(np.unique(fold[heard])) < 2:
            continue
        squares = {
            probe_: float(((_predicted(build, features[heard], y, fold[heard]) - y) ** 2).mean())
            for probe_, (_, build) in PROBES.items()
        }
        each[name] = {probe_: 1 - square / float(y.var()) for probe_, square in squares.items()}
    if not each:
        return {}
    means = {probe_: {"score": float(np.mean([one[probe_] for one in each.values()]))} for probe_ in PROBES}
    return {"classes": len(each), "chance": 0.0, **means, "each": each}


def _predicted(build: Callable[[], Any], x: NDArray[np.float32], y: NDArray[Any], fold: NDArray[np.int64]) -> Any:
    """What an estimator says of each row when it has learned the other folds [shape=(n,)]."""
    out = np.zeros_like(y)
    for number_ in np.unique(fold):
        test = fold == number_
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a solver that ends at its limit is still a probe
            out[test] = make_pipeline(StandardScaler(), build()).fit(x[~test], y[~test]).predict(x[test])
    return out


def _table(found: dict[str, Any]) -> Table:
    """All feature sets, question by question."""
    lines = []
    for question in dict.fromkeys(key for one in found.values() for key in one["questions"]):
        for feature, one in found.items():
            if question not in one["questions"]:
                continue
            told = one["questions"][question]
            asked = (
                f"settings ({told['classes']}), mean skill"
                if question == "settings"
                else f"{question} ({told['classes']} classes)"
            )
            scores = [_score(told[name]) for name in PROBES]
            lines.append((asked, feature, str(one["width"]), number(told["chance"]), *scores))
    head = ("what", "feature set", "numbers", "chance", f"{NEIGHBOURS} nearest neighbours", "linear")
    note = "Accuracy, or skill over the mean of parameters where they can be heard; by cross-validation over dry notes. In brackets 95 % intervals (bootstrap over notes)."
    return Table("What the feature sets hold", head, tuple(lines), note=note)


def _score(one: dict[str, Any]) -> str:
    return ranged(one["score"], one.get("interval"))
