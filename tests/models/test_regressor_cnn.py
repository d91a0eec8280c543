"""The regressor of several time scales: its spectrograms, what it recognises, what it leaves to chance, and its way
through train, evaluate, predict and export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import build, small_recipe
from timbre_data.models.architectures import Shape
from timbre_data.models.architectures.regressor_cnn import RegressorCnn, RegressorCnnOptions, Spectrograms
from timbre_data.models.inference import standalone
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training.train import train
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

SHAPE = Shape(0, 4, samples=8192, rate=22_050, positions=(0, 0, 3, 0), groups=(0, 0, 1, 1))
SMALL: dict[str, Any] = {
    "scales": [{"n_fft": 512, "hop_length": 512, "n_mels": 32}, {"n_fft": 4096, "hop_length": 2048, "n_mels": 64}],
    "width": 4,
    "hidden": 32,
}


def test_the_spectrograms_are_librosas() -> None:
    options = RegressorCnnOptions.model_validate(SMALL)
    front = Spectrograms(SHAPE, options)
    sounds = np.random.default_rng(0).uniform(-1, 1, (2, SHAPE.samples)).astype(np.float32)
    for ours, scale in zip(front.apart(front(torch.from_numpy(sounds))), options.scales, strict=True):
        reference = librosa.feature.melspectrogram(
            y=sounds, sr=SHAPE.rate, n_fft=scale.n_fft, hop_length=scale.hop_length, n_mels=scale.n_mels
        )
        assert ours.shape == (2, 1, *reference.shape[1:])
        assert np.allclose(ours[:, 0].numpy(), (10 * np.log10(reference + 1e-9) + 60) / 50, atol=2e-3)


def test_sounds_and_their_spectrograms_give_the_same() -> None:
    network = RegressorCnn(SHAPE, RegressorCnnOptions.model_validate(SMALL)).eval()
    sounds, nothing = torch.randn(3, SHAPE.samples), torch.zeros(3, 0)
    with torch.inference_mode():
        assert torch.allclose(network(nothing, audio=sounds), network(nothing, audio=network.front(sounds)))


def test_effects_are_told_from_the_parameters_that_apply() -> None:
    network = RegressorCnn(SHAPE, RegressorCnnOptions.model_validate(SMALL | {"unheard_weight": 0}))
    mask = torch.tensor([[True, True, False, False], [False, False, True, True]])
    unheard = torch.zeros(2, 4, dtype=torch.bool)
    logits = torch.zeros(2, network.knobs.width + 2)
    logits[0, -2:], logits[1, -2:] = torch.tensor([9.0, -9.0]), torch.tensor([-9.0, 9.0])
    right = network.loss(logits, torch.rand(2, 4), mask, unheard)
    assert right < 1e-3 < 1 < network.loss(-logits, torch.rand(2, 4), mask, unheard)
    assert network.recognise(logits).round().tolist() == [[1, 0], [0, 1]]
    alone = RegressorCnn(Shape(0, 2, samples=8192, rate=22_050, groups=(0, 0)), RegressorCnnOptions(width=4))
    assert alone.recognises == 0
    assert alone.heads.out_features == alone.knobs.width


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_what_cannot_be_heard_is_answered_with_its_mean(weight: float) -> None:
    """With any weight; without, nothing of it is learned."""
    shape = Shape(0, 2, samples=8192, rate=22_050, groups=(0, 0))
    network = RegressorCnn(shape, RegressorCnnOptions(width=4, unheard_weight=weight))
    labels = torch.rand(64, 2, generator=torch.Generator().manual_seed(0))
    mask, unheard = torch.tensor([[True, False]]).repeat(64, 1), torch.zeros(64, 2, dtype=torch.bool)
    logits = torch.zeros(1, network.knobs.width)
    logits[0, 0] = 9  # sure of the lowest value
    optimizer = torch.optim.Adam([logits.requires_grad_()], lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        network.loss(logits.expand(64, -1), labels, mask, unheard).backward()
        optimizer.step()
    assert float(network.decode(logits.detach())[0, 0]) == pytest.approx(float(labels[:, 0].mean()), abs=0.02)
    without = RegressorCnn(shape, RegressorCnnOptions(width=4, unheard_weight=0))
    assert float(without.loss(logits, labels[:1], mask[:1], unheard[:1])) == 0


def test_a_front_of_several_spectrograms_is_not_varied(shared: Path) -> None:
    settings = TrainSettings(model="regressor_cnn", data=(str(shared / "delay"),), mask_bands=4, options=SMALL)
    with pytest.raises(UsageError, match="mask_bands"):
        train(settings)


def test_the_difference_from_the_dry_sound_is_seen() -> None:
    """At full scale, and the same from sounds as from their spectrograms."""
    shape = replace(SHAPE, dry=True)
    network = RegressorCnn(shape, RegressorCnnOptions.model_validate(SMALL)).eval()
    wet, dry, nothing = torch.randn(3, SHAPE.samples), torch.rand(3, SHAPE.samples), torch.zeros(3, 0)
    with torch.inference_mode():
        told = network(nothing, audio=torch.cat([wet, dry], dim=1))
        fronts = [network.front(wet), network.front(dry / dry.amax(dim=1, keepdim=True))]
        assert torch.allclose(told, network(nothing, audio=torch.cat(fronts, dim=1)), atol=1e-5)
        assert torch.allclose(told, network(nothing, audio=torch.cat([wet, 0.1 * dry], dim=1)), atol=1e-5)
        assert not torch.allclose(told, network(nothing, audio=torch.cat([wet, 0 * wet], dim=1)), atol=1e-3)


@pytest.mark.slow  # two trainings
def test_a_known_dry_sound_helps_with_sounds_of_another_kind(
    tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Learned from plucked strings and judged on noise: with the dry sound known, the gain of a shelf is still told.
    A row's answer is the file's, and in the exported program.
    """
    shelf = {"effect": "filter", "parameters": {"frequency_hz": 500, "q": 0.7}}
    build(small_recipe("filter", chain=[shelf]), "strings")
    noise = build(small_recipe("filter", chain=[shelf], source={"name": "noise", "sounds": 60}, n=60), "noise")
    skills = {}
    for known in (False, True):
        settings = TrainSettings(
            model="regressor_cnn", data=("strings",), known_dry=known, max_epochs=12, batch_size=16, options=SMALL
        )
        run, _ = train(settings, name=f"known-{known}".lower())
        metrics = evaluate(run, data=["noise"], sounds=2, distances=["logmel_db"]).metrics
        skills[known] = metrics["true"]["skill"]
    assert skills[True] > 0.5
    assert skills[True] > skills[False] + 0.3
    rate, files = noise.recipe.audio.rate, [tmp_path / "wet.wav", tmp_path / "dry.wav"]
    wet, dry = noise.audio(3), noise.dry(3)
    for file, sound in zip(files, (wet, dry), strict=True):
        soundfile.write(file, sound[0], rate, subtype="FLOAT")
    run = Path(run)
    predictor = Predictor(run)
    said = predictor.predict(files[0], dry=files[1])
    row = np.load(run / "evaluation-on-noise" / "predictions.npz")
    assert said.labels["filter.gain_db"] == pytest.approx(float(row["predicted"][3, 0]), abs=0.02)
    about = standalone.export_model(run, tmp_path / "run.pt2")
    assert set(about) >= {"dry", "input"}
    told = torch.export.load(tmp_path / "run.pt2").module()(torch.from_numpy(wet), torch.from_numpy(dry))[0]
    assert float(told.detach()[0, 0]) == pytest.approx(said.parameters["filter.gain_db"], abs=0.3)
    assert command("predict", str(run), str(files[0])) == 2
    assert "--dry" in capsys.readouterr().err
    with pytest.raises(UsageError, match="dry sound"):
        standalone.export_model(run, tmp_path / "embedding.onnx", vector="embedding")


def test_a_network_that_takes_no_dry_sound_says_so(shared: Path) -> None:
    settings = TrainSettings(model="inverse_cnn", data=(str(shared / "delay"),), known_dry=True)
    with pytest.raises(UsageError, match="regressor_cnn and inverse_flow do"):
        train(settings)


@pytest.mark.slow  # a training
def test_it_estimates_and_recognises(shared: Path, tmp_path: Path, command: Callable[..., int]) -> None:
    """Better than the mean; the floor is below it; its answer for a file and for a row are the same; exported, too."""
    data = tuple(str(shared / name) for name in ("modulation", "delay", "distortion"))
    run, _ = train(
        TrainSettings(
            model="regressor_cnn", data=data, max_epochs=5, batch_size=32, options=SMALL, features=("autofx163",)
        )
    )
    metrics = evaluate(run, sounds=4, distances=["logmel_db", "mrstft"]).metrics
    assert metrics["true"]["skill"] > 0.1
    low, high = metrics["intervals"]["skill"]
    assert low < metrics["true"]["skill"] < high
    assert 0 < metrics["floor"]["mse"] < metrics["true"]["mse"]
    assert metrics["recognition"]["accuracy"] > 0.8
    drive = metrics["audible"]["each"]["distortion.drive_db"]
    assert drive["share"] > 0.5
    assert drive["skill"] > metrics["true"]["skill"]
    assert metrics["recognition"]["interval"][0] <= metrics["recognition"]["accuracy"]
    run, _ = train(TrainSettings(model="regressor_cnn", data=data, max_epochs=1, options=SMALL), name="sounds")
    distortion = Dataset(data[2])
    file = tmp_path / "note.wav"
    soundfile.write(file, distortion.audio(3).mean(axis=0), distortion.recipe.audio.rate, subtype="FLOAT")
    predictor = Predictor(run)
    prediction = predictor.predict(file)
    assert set(prediction.probabilities) == {"modulation", "delay", "distortion"}
    (told,) = predictor.steps(prediction)
    assert told.effect == prediction.classes()[0]
    assert [step.effect for step in predictor.steps(prediction, "delay")] == ["delay"]
    out = tmp_path / "run.pt2"
    about = standalone.export_model(run, out)
    assert about["classes"] == ["modulation", "delay", "distortion"]
    sounds = torch.from_numpy(np.stack([distortion.audio(k).mean(axis=0) for k in range(2)]))
    probabilities, _ = torch.export.load(out).module()(sounds)
    ours, _ = predictor.predict_arrays(sounds.numpy(), np.full(2, np.nan, np.float32))
    assert ours is not None
    assert np.allclose(probabilities.detach().numpy(), ours, atol=2e-3)
    assert command("predict", str(run), str(file)) == 0
