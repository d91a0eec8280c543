"""The real effect inside the loss: its estimated gradients, what fine-tuning does with them, and the search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from timbre_data.models.inference import spectral_search
from timbre_data.models.inference.spectral_search import Task, render_labels
from timbre_data.models.studies import finetuning, spectral
from timbre_data.models.studies.spectral import EffectLayer, Renderer
from timbre_data.models.training import train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.connecting import dask_client
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

ROWS = 6


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with dask_client(Cluster(workers=2)) as found:
        yield found


def task(effect: str = "distortion") -> Task:
    recipe = recipes.load(validation.override(recipes.for_effect(effect), {"audio.seconds": 0.3}))
    source = SOURCES.load("plucked_string")
    notes = source.open(source.settings())
    dry = np.concatenate([notes.render(200 * k + 30, 22_050, 1, recipe.audio.samples) for k in range(ROWS)])
    dry /= np.abs(dry).max(axis=1, keepdims=True)
    count = len(EFFECTS.load(effect).space)
    labels = np.random.default_rng(0).uniform(0.3, 0.7, (ROWS, count)).astype(np.float32)
    order = np.zeros((ROWS, 1), np.int8)
    return Task(recipe, dry, render_labels(recipe, dry, labels.astype(np.float64), order), labels, order)


def loss_at(one: Task, labels: np.ndarray) -> float:
    made = torch.from_numpy(render_labels(one.recipe, one.dry, labels, one.order))
    return float(spectral_search.spectral_loss()(made[:, None], torch.from_numpy(one.target)[:, None]))


@pytest.mark.slow
def test_differences_give_the_gradient_of_the_loss(client: Any) -> None:
    one = task()
    labels = torch.tensor(one.labels + 0.15, requires_grad=True)
    own = np.ones(one.labels.shape, bool)
    layer = EffectLayer(Renderer(client, one.recipe, rows=4), "differences")
    made = layer(labels, one.dry, one.order, own)
    spectral_search.spectral_loss()(made[:, None], torch.from_numpy(one.target)[:, None]).backward()
    assert labels.grad is not None
    expected = np.zeros(one.labels.shape)
    start = labels.detach().double().numpy()
    for index in np.ndindex(*expected.shape):
        step = np.zeros(expected.shape)
        step[index] = spectral.STEP
        expected[index] = (loss_at(one, start + step) - loss_at(one, start - step)) / (2 * spectral.STEP)
    assert np.corrcoef(labels.grad.numpy().ravel(), expected.ravel())[0, 1] > 0.97
    assert np.linalg.norm(labels.grad.numpy() - expected) < 0.25 * np.linalg.norm(expected)


@pytest.mark.slow  # hundreds of renders
def test_spsa_is_the_same_gradient_on_average(client: Any) -> None:
    one = task()
    labels, own = one.labels.astype(np.float64) + 0.15, np.ones(one.labels.shape, bool)
    upstream = np.random.default_rng(1).standard_normal(one.dry.shape).astype(np.float32)
    render = Renderer(client, one.recipe)
    exact = EffectLayer(render, "differences").products(labels, upstream, one.dry, one.order, own)
    spsa = EffectLayer(render, "spsa", seed=3)
    mean = np.mean([spsa.products(labels, upstream, one.dry, one.order, own) for _ in range(150)], axis=0)
    assert np.corrcoef(mean.ravel(), exact.ravel())[0, 1] > 0.9


def test_a_row_has_no_gradient_for_parameters_that_it_does_not_have(client: Any) -> None:
    one = task()
    own = np.ones(one.labels.shape, bool)
    own[2, 1:] = False
    for gradient in ("spsa", "differences"):
        layer = EffectLayer(Renderer(client, one.recipe), gradient)
        found = layer.products(one.labels.astype(np.float64), np.ones_like(one.dry), one.dry, one.order, own)
        assert (found[2, 1:] == 0).all()
        assert (found[0] != 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [False, True])
def test_a_network_of_sounds_is_tuned_behind_its_frozen_layers(shared: Path, at_once: bool) -> None:
    options = {"spectrogram": "log_mel", "n_mels": 16}
    data = (str(shared / "distortion"),)
    run, _ = train.train(TrainSettings(model="autofx", data=data, max_epochs=1, train_rows=8, options=options))
    asked: dict[str, Any] = {"gradients": ["spsa"], "steps": 2, "learn_rows": 8, "test_rows": 2, "evaluations": 0}
    result, _ = finetuning.study(run, data[0], frozen=20, at_once=at_once, **asked)
    way = f"spsa{', at once' if at_once else ''}, 20 layers frozen"
    assert f"handed over to the sound ({way})" in result["stages"]
    assert not any(name.startswith("search") for name in result["stages"])
    with pytest.raises(UsageError, match="8 or more, or 0"):
        finetuning.study(run, data[0], **asked | {"evaluations": 3})
    with pytest.raises(UsageError, match="freeze fewer"):
        finetuning.study(run, data[0], frozen=99, **asked)


def test_frozen_layers_keep_their_weights_and_statistics(client: Any) -> None:
    one = task()
    torch.manual_seed(0)
    count = one.labels.shape[1]
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, count), nn.Sigmoid())
    asked: dict[str, Any] = {"gradient": "spsa", "steps": 2, "hand_over": 2, "batch": ROWS}
    render, own = Renderer(client, one.recipe), np.ones(one.labels.shape, bool)
    tuned = spectral.finetune(network, (torch.randn(ROWS, 4),), one, own, render, frozen=2, **asked)
    before, after = network.state_dict(), tuned.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"3.weight", "3.bias"}


class Constant(nn.Module):
    """A network that answers the same for every sound."""

    def __init__(self, answer: np.ndarray) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.from_numpy(answer))

    def forward(self, features: torch.Tensor, probabilities: torch.Tensor | None = None) -> torch.Tensor:
        return self.answer.expand(len(features), -1).clamp(0, 1)


@pytest.mark.slow  # hundreds of renders
@pytest.mark.parametrize("gradient", ["spsa", "differences"])
def test_fine_tuning_brings_the_sound_nearer(client: Any, gradient: spectral.Gradient) -> None:
    one = task()
    labels = np.tile(one.labels[:1], (ROWS, 1))
    same = Task(
        one.recipe, one.dry, render_labels(one.recipe, one.dry, labels.astype(np.float64), one.order), labels, one.order
    )
    start = np.clip(labels[0] + 0.25, 0, 1)
    tuned = spectral.finetune(
        Constant(start),
        (torch.zeros(ROWS, 1), None),
        same,
        np.ones(labels.shape, bool),
        Renderer(client, one.recipe),
        gradient=gradient,
        steps=25,
        hand_over=0,
        learning_rate=0.02,
        batch=ROWS,
    )
    before, after = (
        loss_at(same, np.tile(np.asarray(answer, np.float64), (ROWS, 1)))
        for answer in (start, tuned(torch.zeros(1, 1))[0].detach().numpy())
    )
    assert after < 0.8 * before


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["distortion", "vibrato"])
def test_the_search_is_never_worse_than_its_start_and_repeats_itself(client: Any, effect: str) -> None:
    one = task(effect)
    start = np.clip(one.labels + 0.2, 0, 1).astype(np.float32)
    own = np.ones(start.shape, bool)
    found = spectral.search(one, start, own, client, evaluations=60)
    before, after = (
        spectral_search.distances(render_labels(one.recipe, one.dry, labels.astype(np.float64), one.order), one.target)
        for labels in (start, found)
    )
    assert (after <= before + 1e-6).all()
    assert np.median(after) < 0.7 * np.median(before)
    assert np.array_equal(found, spectral.search(one, start, own, client, evaluations=60))


@pytest.mark.slow
def test_a_study_measures_every_stage(shared: Path) -> None:
    data = tuple(str(shared / effect) for effect in ("delay", "distortion"))
    run, _ = train.train(TrainSettings(model="regressor-mlp", data=data, max_epochs=8))
    result, table = finetuning.study(
        run, str(shared / "distortion"), steps=6, learn_rows=16, test_rows=6, evaluations=16
    )
    stages = result["stages"]
    assert len(stages) == 11
    found = finetuning.is_studied(run, str(shared / "distortion"), result["asked"])
    assert found == result
    for changed in ({"frozen": 2}, {"steps": 7}):
        assert finetuning.is_studied(run, str(shared / "distortion"), result["asked"] | changed) is None
    for stage in stages.values():
        assert set(stage) == {"in domain", "out of domain"}
    assert stages["oracle"]["in domain"]["distance"] < 0.02
    assert "from dry" in table.markdown()
    assert (run / "spectral-distortion.json").is_file()
    with pytest.raises(UsageError, match="parameters that"):
        finetuning.study(run, str(shared / "modulation"))
