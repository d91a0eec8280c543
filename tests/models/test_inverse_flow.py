"""A run that draws settings: train, evaluate (calibration, the best of several answers) and the same bytes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from scipy.stats import gaussian_kde

from tests.conftest import build
from timbre_data.models.architectures import Shape
from timbre_data.models.architectures.inverse_flow import InverseFlow, InverseFlowOptions
from timbre_data.models.data.exchangeable import interchangeable, like_parts
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.several_answers import Player, Prior, refined
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import checkpoints
from timbre_data.models.training.train import train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.settings import TrainSettings

SMALL: dict[str, Any] = {
    "scales": [{"n_fft": 1024, "hop_length": 512, "n_mels": 32}],
    "width": 4,
    "hidden": 32,
    "flow_width": 16,
    "flow_layers": 1,
    "flow_points": 2,
    "steps": 4,
}


def test_a_validation_loss_is_the_same_again() -> None:
    torch.manual_seed(0)
    network = InverseFlow(
        Shape(0, 3, samples=8192, rate=22_050, positions=(0, 3, 0)), InverseFlowOptions(**SMALL)
    ).eval()
    output = network(torch.zeros(6, 0), audio=torch.randn(6, 8192))
    labels, yes = torch.rand(6, 3), torch.ones(6, 3, dtype=torch.bool)
    assert network.loss(output, labels, yes, yes) == network.loss(output, labels, yes, yes)
    network.train()
    assert network.loss(output, labels, yes, yes) != network.loss(output, labels, yes, yes)


def test_oscillators_that_are_drawn_alike_are_exchangeable(home: Path) -> None:
    """The first is always on, so none is; drawn as the second, both are. The third has another waveform."""
    second: dict[str, Any] = {"osc1_on": {"distribution": {"type": "weighted", "weights": [0.4, 0.6]}}}
    second |= {"osc1_tuning": {"distribution": {"type": "normal", "mean": 0.5, "sd": 0.1}}, "osc1_volume": [0, 1]}
    found = []
    for name, parameters in (("panel", dict[str, Any]()), ("alike", second)):
        changes: dict[str, Any] = {"n": 8, "audio.seconds": 0.1}
        changes |= {f"chain.steps.0.parameters.{knob}": value for knob, value in parameters.items()}
        recipe = recipes.load(validation.override(recipes.for_synth("subtractive"), changes))
        build(recipe, name)
        data = Dataset(str(home / name))
        found.append([data.space.names[k] for part in _parts(data) for k in part])
    assert found[0] == []
    assert len(found[1]) == 2 * 5
    assert [name.replace("osc2", "osc1") for name in found[1][5:]] == found[1][:5]


def _parts(data: Dataset) -> list[tuple[int, ...]]:
    groups = like_parts(interchangeable([data]), data.space.names, list(data.space))
    return [part for parts in groups for part in parts]


@pytest.mark.slow  # a training
def test_a_run_draws_and_is_calibrated_on_paper(home: Path) -> None:
    changes = {"n": 320, "audio.seconds": 0.3, "audio.rate": 11_025}
    build(recipes.load(validation.override(recipes.read("inverse12"), changes)), "tiny")
    run, _ = train(TrainSettings(model="inverse_flow", data=("tiny",), max_epochs=3, batch_size=32, options=SMALL))
    metrics = evaluate(run, sounds=6, distances=["logmel_db", "mrstft"]).metrics
    posterior = metrics["posterior"]
    assert 0.2 < posterior["coverage_50"] < 0.8
    low, high = posterior["coverage_90_interval"]
    assert low <= posterior["coverage_90"] <= high
    medians = metrics["sounds"]["median"]
    assert medians["best of 8 draws"]["logmel_db"] < medians["one draw"]["logmel_db"]
    assert (run / "evaluation" / "posterior.png").is_file()
    trained = checkpoints.load(run)
    sounds = torch.from_numpy(np.stack([Dataset(str(home / "tiny")).audio(k).mean(axis=0) for k in range(5)]))
    raw = trained.raw(torch.zeros(5, 0), None, sounds)
    rows = np.arange(5)
    drawn = trained.draw(raw, rows, 7)
    assert drawn.shape == (5, 7, 12)
    assert np.allclose(drawn[3], trained.draw(raw[3:4], rows[3:4], 7)[0], atol=1e-5)
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.slow  # a training
def test_predict_gives_several_answers_and_searches_from_them(
    home: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The closest first; marginals of every knob; a search comes closer than what was predicted."""
    changes = {"n": 300, "audio.seconds": 0.3, "audio.rate": 11_025}
    build(recipes.load(validation.override(recipes.read("inverse12"), changes)), "tiny")
    run, _ = train(TrainSettings(model="inverse_flow", data=("tiny",), max_epochs=2, batch_size=32, options=SMALL))
    data, file = Dataset(str(home / "tiny")), tmp_path / "note.wav"
    soundfile.write(file, data.audio(5).mean(axis=0), data.recipe.audio.rate, subtype="FLOAT")
    capsys.readouterr()
    assert command("predict", str(run), str(file), "--answers", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    distances = [answer["distance_db"] for answer in told["answers"]]
    assert len(distances) == 3
    assert distances == sorted(distances)
    assert set(told["marginals"]) == set(told["answers"][0]["parameters"]) == set(checkpoints.load(run).outputs)
    waveform = told["marginals"]["subtractive.osc1_waveform"]
    assert sum(waveform.values()) == pytest.approx(1)
    predictor = Predictor(run)
    prediction = predictor.predict(file)
    player = Player(predictor, prediction, file, None, None)
    labels, (before, after) = refined(predictor, prediction, player, 60)
    assert after < before
    assert float(player.distances(labels[None])[0]) == pytest.approx(after, rel=1e-3)
    assert command("predict", str(run), str(file), "--refine", "20") == 0
    assert "dB after" in "".join(capsys.readouterr())


def test_the_prior_of_a_search_knows_all_modes() -> None:
    """Two of them, of two knobs that may be exchanged: in between it costs most; its bandwidths are SciPy's."""
    rng = np.random.default_rng(0)
    draws = np.array([0.3, 0.7]) + 0.02 * rng.standard_normal((256, 2))
    draws[::2] = draws[::2, ::-1]
    prior = Prior(draws)
    assert prior(draws[:5]).tolist() == [0] * 5
    modes, between = prior(np.array([[0.3, 0.7], [0.7, 0.3]])), prior(np.array([[0.5, 0.5]]))
    assert modes.max() < 0.5 < between[0]
    factor = gaussian_kde(draws.T, "silverman").factor
    apart = draws.std(axis=0) * factor
    assert prior(draws[:1] + np.array([0, 40 * apart[1]]))[0] > 30**2 / 2
    assert prior(np.array([[5.0, 5.0]]))[0] == pytest.approx((((5 - draws) / apart) ** 2).mean(axis=1).min(), rel=1e-6)


@pytest.mark.slow  # a training
def test_settings_of_an_effect_are_searched_near_the_draws(
    shared: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = train(
        TrainSettings(
            model="inverse_flow", data=(str(shared / "distortion"),), max_epochs=2, batch_size=32, options=SMALL
        )
    )
    data = Dataset(str(shared / "distortion"))
    files = [tmp_path / "wet.wav", tmp_path / "dry.wav"]
    for file, sound in zip(files, (data.audio(5), data.dry(5)), strict=True):
        soundfile.write(file, sound.mean(axis=0), data.recipe.audio.rate, subtype="FLOAT")
    predictor = Predictor(run)
    prediction = predictor.predict(files[0])
    player = Player(predictor, prediction, files[0], files[1], None)
    labels, (before, after) = refined(predictor, prediction, player, 60)
    assert after < before
    assert ((labels >= 0) & (labels <= 1)).all()
    assert command("predict", str(run), str(files[0]), "--dry", str(files[1]), "--refine", "20", "--json") == 0
    assert "dB after" in capsys.readouterr().err


def test_answers_need_a_run_that_draws(shared: Path, command: Callable[..., int], tmp_path: Path) -> None:
    run, _ = train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name="point")
    data = Dataset(str(shared / "delay"))
    soundfile.write(tmp_path / "a.wav", data.audio(0).mean(axis=0), data.recipe.audio.rate)
    assert command("predict", str(run), str(tmp_path / "a.wav"), "--answers", "2") == 2
