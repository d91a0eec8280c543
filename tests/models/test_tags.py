"""Tags: learned with a soft-max or with several labels, scored by clip as scikit-learn does, predicted for whole
files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import f1_score, roc_auc_score

from tests.conftest import Once, build
from timbre_data.models.data.rows import load_rows
from timbre_data.models.evaluation.tag_scores import evaluate_tags, group_scores
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints, runs, train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.columns import TAGS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings


@pytest.fixture(scope="module")
def instruments(once: Once) -> Path:
    changes = {"n": 132, "source.phrases": 132, "source.most_voices": 3, "audio.rate": 12_000, "audio.seconds": 1}
    recipe = recipes.load(validation.override(recipes.read("gm-instruments"), changes))
    return once("tags-instruments", lambda folder: build(recipe, str(folder)))


@pytest.fixture(scope="module")
def clips(once: Once) -> Path:
    changes = {"n": 120, "source.clips": 40, "source.pieces": 3}
    recipe = recipes.load(validation.override(recipes.read("gm-tags"), changes))
    return once("tags-clips", lambda folder: build(recipe, str(folder)))


def test_tags_and_splits_are_those_of_the_source(instruments: Path, clips: Path) -> None:
    data = Dataset(str(instruments))
    tags, split = data.read(TAGS), data.split()
    assert (tags[split < 2].sum(axis=1) == 1).all()
    assert tags[split == 2].sum(axis=1).max() > 1
    names = data.names(TAGS)
    for row, identity in enumerate(data.read("dry/identity")[data.read("dry/index").astype(int)]):
        assert {names[i] for i in np.flatnonzero(tags[row])} == {
            voice.partition(":")[0] for voice in identity.partition("/")[2].split("+")
        }
    assert not load_rows([data], (), "note", classes=TARGETS.load("tags").classes).leaking_groups()
    by_clip = load_rows([Dataset(str(clips))], (), "note", classes=TARGETS.load("tags").classes)
    assert len(set(by_clip.group)) == 40
    assert len(set(by_clip.clip)) == 40


@pytest.mark.slow
def test_one_tag_a_row_is_learned_with_a_soft_max_and_several_with_sigmoids(instruments: Path, clips: Path) -> None:
    for data, model, several in (
        (instruments, "irmas-single", False),
        (instruments, "irmas-han", True),
        (clips, "mtt-proposed", True),
    ):
        run, _ = train.train(TrainSettings(model=model, data=(str(data),), max_epochs=1), name=f"{model}")
        trained = checkpoints.load(run)
        assert (trained.target, trained.multi_label) == ("tags", several)
        found = evaluate(run, sounds=0).metrics
        assert 0 <= found["thresholds"]["mean > 0.2"]["micro_f1"] <= 1
        assert (run / "evaluation" / "tables.md").is_file()


def test_scores_of_clips_are_scikit_learns(clips: Path, tmp_path: Path) -> None:
    rows = load_rows([Dataset(str(clips))], (), "note", classes=TARGETS.load("tags").classes)
    chosen = np.arange(len(rows.present))
    probabilities = np.random.default_rng(0).random(rows.present.shape, dtype=np.float32)
    found, _ = evaluate_tags(rows, chosen, probabilities, {"network": "mtt_proposed"}, "test", tmp_path)
    names, first = np.unique(rows.group, return_index=True)
    mean = np.stack([probabilities[rows.group == name].mean(axis=0) for name in names])
    true = rows.present[first]
    assert found["clips"] == 40
    assert found["thresholds"]["mean > 0.2"]["macro_f1"] == pytest.approx(
        f1_score(true, mean > 0.2, average="macro", zero_division=0)
    )
    assert found["thresholds"]["mean > 0.2"]["micro_f1"] == pytest.approx(f1_score(true, mean > 0.2, average="micro"))
    known = [i for i in range(true.shape[1]) if 0 < true[:, i].sum() < len(true)]
    expected = np.mean([roc_auc_score(true[:, i], mean[:, i]) for i in known])
    assert found["roc_auc"] == pytest.approx(expected)
    relative = mean / mean.max(axis=1, keepdims=True) > 0.5
    assert found["thresholds"]["sum / largest > 0.5"]["micro_f1"] == pytest.approx(
        f1_score(true, relative, average="micro")
    )


def test_groups_are_scored_by_themselves_the_worst_first() -> None:
    group = np.array(["a"] * 10 + ["b"] * 20 + ["few"] * 9, object)
    right = np.array([0] * 10 + [1] * 20 + [2] * 9)
    answer = right.copy()
    answer[[0, 1, 2]], answer[3], answer[10] = 2, 1, 0
    assert group_scores(group, answer, right, ("x", "y", "z")) == {
        "a": {"clips": 10, "accuracy": 0.6, "taken_for": "z"},
        "b": {"clips": 20, "accuracy": 0.95, "taken_for": "x"},
    }


@pytest.mark.slow
def test_a_file_is_tagged_piece_by_piece_and_as_a_whole(instruments: Path, tmp_path: Path) -> None:
    run, _ = train.train(TrainSettings(model="irmas-single", data=(str(instruments),), max_epochs=1), name="tagger")
    sound = np.concatenate([Dataset(str(instruments)).audio(row)[0] for row in (0, 1, 2)])[: round(2.6 * 12_000)]
    soundfile.write(tmp_path / "a.wav", sound, 12_000)
    said = Predictor(run).predict(tmp_path / "a.wav")
    assert [note.onset_seconds for note in said.notes] == [0, 1, 2]
    assert sum(said.probabilities.values()) == pytest.approx(1, abs=1e-4)
    mean = np.mean([list(note.probabilities.values()) for note in said.notes], axis=0)
    assert list(said.probabilities.values()) == pytest.approx(mean.tolist())


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("irmas_multi", {"crop_frames": 64}, "crop_frames=64: irmas_multi needs all 128 frames"),
        ("irmas_svm", {"mask_bands": 4}, "irmas_svm is none"),
        ("class_mlp", {"filter_range": 0.1}, "class_mlp is none"),
        ("jingju_proposed", {"crop_frames": 10}, "jingju_proposed is none"),
        ("eq_autoencoder", {"crop_frames": 64}, "eq_autoencoder is none"),
    ],
)
def test_cutting_is_refused_where_it_cannot_be_done(
    instruments: Path, model: str, fields: dict[str, Any], said: str
) -> None:
    settings = TrainSettings(model=model, data=(str(instruments),), max_epochs=1, **fields)
    with pytest.raises(UsageError, match=said):
        train.train(settings, name="refused")
    assert not (runs.runs_home() / "refused").exists()


@pytest.mark.slow
def test_a_network_that_averages_over_time_learns_from_cut_and_masked_spectrograms(instruments: Path) -> None:
    settings = TrainSettings(
        model="instrument-cnn",
        data=(str(instruments),),
        max_epochs=1,
        batch_size=8,
        crop_frames=16,
        filter_range=0.1,
        mask_bands=16,
    )
    one, _ = train.train(settings, name="one")
    other, _ = train.train(settings, name="other")
    weights, again = (checkpoints.load(run).network.state_dict() for run in (one, other))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    whole, _ = train.train(settings.model_copy(update={"crop_frames": None}), name="whole")
    uncut = checkpoints.load(whole).network.state_dict()
    assert not all(torch.equal(weights[name], uncut[name]) for name in weights)


def test_sounds_without_tags_have_none_to_learn(home: Path) -> None:
    from tests.conftest import small_recipe

    build(small_recipe(n=20), "plain")
    with pytest.raises(UsageError, match="has no tags"):
        train.train(TrainSettings(model="irmas-single", data=("plain",), target="tags"))
