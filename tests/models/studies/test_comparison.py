"""Comparing classifiers: folds by note, the same figures again, and another generator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tests.conftest import build
from timbre_data.models.baselines import BASELINES
from timbre_data.models.studies.comparison import compare, folds_of
from timbre_data.pipeline.build import featurizing, recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UnknownNameError, UsageError
from timbre_data.schemas.settings import CompareSettings


def rendered(name: str, steps: list[str]) -> Dataset:
    recipe = recipes.load(
        {
            "name": name,
            "chain": {"steps": steps, "choose": 1},
            "n": 450,
            "audio": {"seconds": 0.4},
            "features": ["autofx163"],
        }
    )
    build(recipe, name)
    featurizing.featurize(locate(name), {"autofx163": {}}, Cluster(workers=2))
    return Dataset(name)


@pytest.fixture
def two_generators() -> tuple[str, str]:
    rendered("ours", ["dry", "distortion", "vibrato"])
    rendered("theirs", ["dry", "fuzz", "analogue_vibrato"])
    return "ours", "theirs"


def test_folds_keep_every_note_whole_and_are_even() -> None:
    group = np.array([f"note{i % 50}" for i in range(1000)], object)
    fold = folds_of(group, 9, seed=0)
    for name in set(group):
        assert len(set(fold[group == name])) == 1
    assert np.bincount(fold).min() >= 100
    assert not np.array_equal(fold, folds_of(group, 9, seed=1))
    with pytest.raises(UsageError, match="50 dry notes make no 60 folds"):
        folds_of(group, 60, seed=0)


@pytest.mark.slow
def test_a_comparison_scores_every_row_once_and_goes_on_where_it_stopped(two_generators: tuple[str, str]) -> None:
    ours, theirs = two_generators
    settings = CompareSettings(data=(ours,), against=(theirs,), folds=3, permutations=1)
    found = compare(settings, name="c")
    assert set(found.metrics["classifiers"]) == {"knn", "svm", "mlp", "class_mlp"}
    for scores in found.metrics["classifiers"].values():
        assert scores["accuracy"] > 0.6
        assert scores["megabytes"] > 0
        assert set(scores["classes"]) == {"dry", "distortion", "vibrato"}
    carried = found.metrics["generalisation"]
    assert set(carried) == {"here", "there", "both"}
    assert min(carried["both"].values()) > 0.6
    drops = [one["drop"] for one in found.metrics["permutation"]]
    assert len(drops) == 163
    assert drops == sorted(drops, reverse=True)
    assert "**3 classes, 3-fold cross-validation by dry note, 450 rows**" in found.markdown()
    before = {path: path.stat().st_mtime_ns for path in found.folder.glob("folds/*/cost.json")}
    again = compare(settings, name="c")
    assert {path: path.stat().st_mtime_ns for path in found.folder.glob("folds/*/cost.json")} == before
    assert again.metrics == found.metrics
    with pytest.raises(UsageError, match="other settings"):
        compare(settings.model_copy(update={"seed": 1}), name="c")
    featurizing.featurize(
        Dataset(ours).location, {"autofx48": {}}, Cluster(workers=1)
    )  # which changes nothing that is compared
    compare(settings, name="c")
    assert {path: path.stat().st_mtime_ns for path in found.folder.glob("folds/*/cost.json")} == before


def test_the_accuracy_of_a_baseline_is_that_of_its_folds(two_generators: tuple[str, str]) -> None:
    found = compare(CompareSettings(data=(two_generators[0],), models=("knn",), folds=3))
    data = Dataset(two_generators[0])
    order = data.read("labels/order")
    true = (order >= 0).argmax(axis=1)
    fold = folds_of(data.read("dry/group")[data.read("dry/index").astype(int)].astype(object), 3, 0)
    predicted = np.empty(450, int)
    for number in range(3):
        predicted[fold == number] = np.load(found.folder / "folds" / f"knn-{number}" / "predicted.npy")
    assert found.metrics["classifiers"]["knn"]["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert json.loads((found.folder / "comparison.json").read_text())["classifiers"] == found.metrics["classifiers"]


def test_an_unknown_classifier_is_named_with_the_known_ones(shared: Path) -> None:
    with pytest.raises(UnknownNameError, match="Known: class_mlp, knn, mlp, svm"):
        compare(CompareSettings(data=(str(shared / "delay"),), models=("forest",)))


@pytest.mark.parametrize("name", BASELINES.names())
def test_every_baseline_learns_and_names_its_paper(name: str) -> None:
    baseline = BASELINES.load(name)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 400)
    features = rng.standard_normal((400, 5)) + 4 * np.eye(3, 5)[classes]
    assert baseline.build(0).fit(features[:300], classes[:300]).score(features[300:], classes[300:]) > 0.9
    assert "20" in baseline.source
