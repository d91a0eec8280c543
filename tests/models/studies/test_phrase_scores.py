"""Runs of single notes on phrases: note by note and over a phrase, beside their own test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Once
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import train
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.rendering import render
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.location import locate
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe
from timbre_data.schemas.settings import TrainSettings

NAMES = ("delay", "distortion", "modulation")


@pytest.fixture(scope="module")
def made(shared: Path, once: Once) -> Path:
    """A classifier and a regressor of notes, and phrases of the same effects."""

    def make(folder: Path) -> None:
        data = tuple(str(shared / name) for name in NAMES)
        train.train(TrainSettings(model="class-mlp", max_epochs=8, data=data), name=str(folder / "class"))
        train.train(TrainSettings(model="regressor-mlp", max_epochs=3, data=data), name=str(folder / "regressor"))
        for name in NAMES:
            recipe: dict[str, Any] = {
                "name": f"{name}-phrases",
                "source": {"name": "phrases", "count": 8},
                "chain": [name],
                "audio": {"seconds": 3, "peak": "normalise"},
                "n": 8,
            }
            render(Recipe.model_validate(recipe), locate(str(folder / f"{name}-phrases")), Cluster(workers=1))

    return once("phrase-scores", make)


def test_notes_and_phrases_are_counted(made: Path) -> None:
    result = evaluate(made / "class", data=[str(made / f"{name}-phrases") for name in NAMES])
    metrics = result.metrics
    assert metrics["phrases"] == 24
    assert metrics["notes"] > 24
    assert 0.5 < metrics["accuracy"] <= 1
    assert set(metrics["classes"]) == set(NAMES)
    titles = [table.title for table in result.tables]
    assert any("notes found in 24 phrases" in title for title in titles)
    assert any(title.startswith("On the sounds that it was trained for") for title in titles)


def test_parameters_over_a_phrase_are_no_worse_than_note_by_note(made: Path) -> None:
    metrics = evaluate(made / "regressor", data=[str(made / "distortion-phrases")]).metrics
    assert set(metrics["parameters_each"]) == {
        "distortion.drive_db", "distortion.low_gain_db", "distortion.low_q", "distortion.high_gain_db", "distortion.high_q"
    } or len(metrics["parameters_each"]) >= 3  # fmt: skip
    assert np.isfinite(metrics["true"]["skill"])
    assert metrics["true"]["skill_by_phrase"] >= metrics["true"]["skill"] - 0.1


def test_sounds_that_are_shorter_are_refused(made: Path) -> None:
    recipe = {"name": "short", "chain": ["delay"], "audio": {"seconds": 0.3}, "n": 8}
    render(Recipe.model_validate(recipe), locate("short"), Cluster(workers=1))
    with pytest.raises(UsageError):
        evaluate(made / "class", data=["short"])


def test_phrases_have_several_notes_and_begin_at_once() -> None:
    import librosa

    kind = SOURCES.load("phrases")
    source = kind.open(kind.settings(count=5, kinds=("guitar", "bass", "keys", "chords", "winds")))
    for index in range(5):
        sound = source.render(index, 22_050, 1, 6 * 22_050)[0]
        assert np.abs(sound[:2205]).max() > 0.01
        onsets = librosa.onset.onset_detect(y=sound, sr=22_050)
        assert len(onsets) >= 3
