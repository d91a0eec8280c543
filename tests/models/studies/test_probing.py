"""Probes of feature sets: what is in them is told, what is not is not, and no note is on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.conftest import build, small_recipe
from timbre_data.models.data.rows import load_rows
from timbre_data.models.studies.comparison import folds_of
from timbre_data.models.studies.probing import FOLDS, _notes, probe
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

NAMES = ("modulation", "delay", "distortion")


def recorded(folder: Path) -> None:
    """Notes of two instruments: a pure and a bright one."""
    time = np.arange(8820) / 22_050
    for instrument, partials in (("flute", 1), ("reed", 12)):
        (folder / instrument).mkdir(parents=True)
        for key in range(50, 62):
            hertz = 440 * 2 ** ((key - 69) / 12)
            note = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, partials + 1))
            soundfile.write(folder / instrument / f"{key:03d}.wav", 0.4 * note * np.exp(-3 * time), 22_050)


def test_what_is_in_a_feature_set_is_told(
    shared: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are scikit-learn's own over the same folds."""
    data = [str(shared / name) for name in NAMES]
    found = probe(data, ["autofx163"], limit=200).metrics["features"]["autofx163"]
    assert found["rows"] == 600
    assert set(found["questions"]) == {"effect", "settings"}  # each note is a group of its own, each dataset an effect
    effect = found["questions"]["effect"]
    datasets = [Dataset(one) for one in data]
    rows = load_rows(datasets, ("autofx163",), "note", 200)
    fold = folds_of(_notes(datasets, rows), FOLDS, 0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    theirs = cross_val_predict(pipeline, rows.features, rows.classes, cv=PredefinedSplit(fold))
    assert effect["linear"]["score"] == pytest.approx((theirs == rows.classes).mean())
    assert effect["linear"]["score"] > 0.8 > effect["chance"] == pytest.approx(1 / 3)
    low, high = effect["linear"]["interval"]
    assert low < effect["linear"]["score"] < high
    drive = found["questions"]["settings"]["each"]["distortion.drive_db"]
    assert drive["linear"] > 0.5
    capsys.readouterr()
    assert command("probe", ",".join(data), "--limit", "40", "--name", "looked", "--json") == 0
    assert "autofx163" in json.loads(capsys.readouterr().out)["features"]
    assert command("probe", ",".join(data), "--features", "nothing") == 2


@pytest.mark.slow  # three builds
def test_instruments_and_makers_are_told_and_all_variations_of_a_note_are_together(home: Path, tmp_path: Path) -> None:
    recorded(tmp_path / "notes")
    source = {"name": "note_folder", "path": str(tmp_path / "notes"), "group": "instrument"}
    vary = {"copies": 4, "steps": [{"effect": "noise"}]}
    datasets: list[Dataset] = []
    for name, effect in (("one", "delay"), ("two", "delay"), ("three", "modulation")):
        recipe = small_recipe(effect, source=source, vary=vary, n=96, seed=len(datasets))
        datasets.append(build(recipe, name))
        featurizing.featurize(locate(name), {"autofx163_sound": {}}, Cluster(workers=2))
    rows = load_rows(datasets, (), "note")
    notes = _notes(datasets, rows)
    assert len(np.unique(notes.astype(str))) == 24
    found = probe(["one", "two", "three"]).metrics["features"]["autofx163_sound"]["questions"]
    assert set(found) == {"effect", "instrument", "dataset", "settings"}
    assert found["instrument"]["linear"]["score"] > 0.95
    assert found["instrument"]["classes"] == 2
    assert found["dataset"]["linear"]["score"] < 0.85  # two of three are made alike


def test_what_cannot_be_probed_is_said(render: Callable[..., Dataset]) -> None:
    render("distortion", "plain")
    with pytest.raises(UsageError, match="featurize"):
        probe(["plain"])
