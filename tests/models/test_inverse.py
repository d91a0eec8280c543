"""Inverse synthesis: losses and metrics against what they say, the grid search, and a network that beats the constant
answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import Once, build
from timbre_data.models.architectures import Shape
from timbre_data.models.architectures.inverse_cnn import InverseCnn, InverseCnnOptions
from timbre_data.models.architectures.inverse_synth import (
    InverseSynth,
    InverseSynthOptions,
    NormalisedSpectrogram,
    PrincipalComponents,
)
from timbre_data.models.data.rows import load_rows
from timbre_data.models.evaluation import epochs
from timbre_data.models.evaluation.audibility import audible_knobs
from timbre_data.models.evaluation.knob_scores import exchanged
from timbre_data.models.inference import matching, standalone
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.layers.knob_heads import BINS
from timbre_data.models.studies import grid_search
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import checkpoints, preparing, train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.settings import TrainSettings

SMALL: dict[str, Any] = {"window": 256, "n_fft": 512, "bins": 64, "neurons": 16}


@pytest.fixture(scope="module")
def tiny(once: Once) -> Path:
    """A few hundred short sounds of the synth with twelve knobs."""
    changes = {"n": 500, "audio.seconds": 0.3, "audio.rate": 11_025}
    recipe = recipes.load(validation.override(recipes.read("inverse12"), changes))
    return once("inverse-tiny", lambda folder: build(recipe, str(folder)))


def test_the_published_network_has_its_published_shape() -> None:
    """5001 x 30 bins halved three times: 1875 a map; 32 maps, 4 layers of 800, 12 knobs; initialised as published."""
    network = InverseSynth(Shape(0, 12, samples=44_100, rate=44_100), InverseSynthOptions())
    assert network.front.shape == (5001, 30)
    first = network.dense[0]
    assert isinstance(first, torch.nn.Linear)
    assert first.in_features == 32 * 1875
    assert float(first.weight.detach().abs().max()) == pytest.approx(0.1, abs=1e-3)
    convolution = network.convolutions[3]
    assert isinstance(convolution, torch.nn.Conv2d)
    assert float(convolution.weight.detach().abs().max()) == pytest.approx(0.5, abs=0.01)


def test_the_published_spectrogram_is_scipys() -> None:
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    sound = np.random.default_rng(0).uniform(-1, 1, 15_000).astype(np.float32)
    options = InverseSynthOptions()
    ours = NormalisedSpectrogram(15_000, options)(torch.from_numpy(sound)[None])[0].numpy()
    window = np.pad(hann(1500, sym=False), 4250)  # torch centres the window in the FFT
    reference = np.abs(ShortTimeFFT(window, 1500, 44_100, mfft=10_000).stft(sound, p0=0, p1=11))
    reference /= reference.max()
    assert ours.shape == (5001, 11)
    assert np.allclose(ours[:, 4:7], reference[:, 4:7], atol=1e-4)


def test_the_thesis_spectrogram_is_scipys_by_its_defaults() -> None:
    """0.9 s make exactly 5001 x 30, as the thesis says; other lengths and an odd FFT too."""
    from scipy.signal import spectrogram

    for samples, n_fft, frames in ((39_690, 10_000, 30), (9000, 2001, 6)):
        sound = np.random.default_rng(0).uniform(-0.5, 1, samples).astype(np.float32)
        options = InverseSynthOptions(spectrogram="scipy", n_fft=n_fft, bins=n_fft // 2 + 1)
        front = NormalisedSpectrogram(samples, options)
        ours = front(torch.from_numpy(sound)[None])[0].numpy()
        _, _, theirs = spectrogram(sound, 44_100, nperseg=1500, nfft=n_fft)
        assert ours.shape == front.shape == theirs.shape == (n_fft // 2 + 1, frames)
        assert np.allclose(ours, theirs / theirs.max(), atol=1e-5)
    assert (
        InverseSynth(Shape(0, 12, samples=39_690, rate=44_100), InverseSynthOptions(spectrogram="scipy"))
        .dense[0]
        .in_features
        == 32 * 1875
    )


def test_principal_components_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(1)
    frames = (rng.standard_normal((900, 5)) * [9, 5, 3, 2, 1]) @ rng.standard_normal((5, 40)) + 3
    spectrograms = torch.from_numpy(frames.astype(np.float32)).reshape(90, 10, 40).transpose(1, 2)
    ours = PrincipalComponents(40, 4)
    ours.fit(spectrograms.split(7))
    projected = ours(spectrograms).transpose(1, 2).reshape(-1, 4).numpy()
    theirs = PCA(4).fit(frames)
    expected = theirs.transform(frames) / theirs.explained_variance_[0] ** 0.5
    correlations = [abs(np.corrcoef(projected[:, k], expected[:, k])[0, 1]) for k in range(4)]
    assert min(correlations) > 0.999
    assert projected.std(axis=0)[0] == pytest.approx(1, rel=0.01)
    with pytest.raises(UsageError, match="fewer frames"):
        PrincipalComponents(40, 30).fit([spectrograms[:1]])


def test_positions_are_classes_and_knobs_are_means() -> None:
    network = InverseCnn(Shape(0, 3, samples=11_025, rate=11_025, positions=(6, 0, 2)), InverseCnnOptions(width=4))
    logits = torch.full((2, 6 + BINS + 2), -20.0)
    logits[0, 4], logits[0, 6 + 8], logits[0, 6 + BINS + 1] = 20, 20, 20
    logits[1, 0], logits[1, 6 : 6 + BINS], logits[1, 6 + BINS] = 20, 0.0, 20
    assert torch.allclose(network.decode(logits), torch.tensor([[0.8, 8 / 31, 1.0], [0.0, 0.5, 0.0]]), atol=1e-6)
    labels = torch.tensor([[0.8, 8 / 31, 1.0], [0.0, 0.5, 0.0]])
    yes, no = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    right = network.loss(logits, labels, yes, yes)
    wrong = network.loss(logits, 1 - labels, yes, yes)
    assert right < wrong
    assert network.loss(logits, 1 - labels, yes, no) == 0
    second_hidden = torch.tensor([[True, True, True], [False, False, False]])
    changed = labels.clone()
    changed[1] = 0.9
    assert network.loss(logits, labels, second_hidden, yes) == network.loss(logits, changed, second_hidden, yes)


def test_oscillators_may_change_places() -> None:
    names = ["s.osc1_volume", "s.osc1_tuning", "s.osc2_volume", "s.osc2_tuning", "s.cutoff"]
    labels = np.array([[0.1, 0.2, 0.8, 0.9, 0.5], [0.1, 0.2, 0.8, 0.9, 0.5]], np.float32)
    predicted = np.array([[0.8, 0.9, 0.1, 0.2, 0.4], [0.1, 0.2, 0.8, 0.9, 0.4]], np.float32)
    heard = np.ones_like(labels, bool)
    better = exchanged(predicted, labels, heard, names, [("s.osc1_", "s.osc2_")])
    assert np.allclose(better, [[0.1, 0.2, 0.8, 0.9, 0.4]] * 2)
    heard[:, 2:4] = False  # one of them is off: what is predicted for it does not matter
    assert np.allclose(exchanged(predicted, labels, heard, names, [("s.osc1_", "s.osc2_")])[:, :2], [[0.1, 0.2]] * 2)


def test_knobs_that_never_move_are_not_learned(tiny: Path) -> None:
    rows = load_rows([Dataset(str(tiny))], (), "note")
    assert len(rows.parameter_names) == 12
    assert not rows.leaking_groups()


def test_what_can_be_heard_is_measured(tiny: Path) -> None:
    data = Dataset(str(tiny))
    names = ["subtractive.osc1_range", "subtractive.amp_decay", "subtractive.osc2_volume"]
    audible = audible_knobs(data, np.arange(12), names)
    assert audible[:, 0].mean() > 0.9
    assert not audible[:, 2].any()  # its oscillator is off


def test_knobs_of_an_oscillator_that_is_off_are_not_told(home: Path) -> None:
    recipe = recipes.load(validation.override(recipes.for_synth("subtractive"), {"n": 20, "audio.seconds": 0.1}))
    build(recipe, "panel")
    predictor = object.__new__(Predictor)
    predictor.data = Dataset("panel")
    predictor._run = SimpleNamespace(synth=True)  # type: ignore[assignment]  # all that is asked of it here
    predictor.trained = SimpleNamespace(task="regression")  # type: ignore[assignment]  # all that is asked of it here
    labels = np.full(len(predictor.data.space.names), 0.5, np.float32)
    names = predictor.data.space.names
    for name, value in (("osc2_on", 1.0), ("osc3_on", 0.0)):
        labels[names.index(f"subtractive.{name}")] = value
    told = predictor._texts(list(predictor.data.space), labels)
    assert "subtractive.osc2_waveform" in told
    assert "subtractive.osc3_on" in told
    assert not {name for name in told if name.startswith("subtractive.osc3_")} - {"subtractive.osc3_on"}


@pytest.mark.slow
def test_it_learns_where_a_constant_does_not(tiny: Path, tmp_path: Path) -> None:
    """A few epochs over 400 short sounds: the working network finds ranges; boxes and tables are written; resuming
    changes nothing.
    """
    settings = TrainSettings(
        model="inverse-cnn",
        data=(str(tiny),),
        max_epochs=12,
        options={"width": 8, "hop_length": 128, "n_fft": 1024, "n_mels": 64},
    )
    run, done = train.train(settings, name="works")
    assert done == "trained"
    found = evaluate(run, sounds=4)
    knobs = found.metrics["knobs"]
    assert knobs["each"]["subtractive.osc1_range"]["score"] > 0.5  # one in six by chance
    assert found.metrics["sounds"]["median"]["oracle"]["mrstft"] == 0
    for name in ("boxes.png", "knobs.png", "examples.png", "distribution.png"):
        assert (run / "evaluation" / name).stat().st_size > 5000
    assert json.loads((run / "evaluation" / "metrics.json").read_text())["knobs"]["positions_right"] is not None
    assert train.train(settings, name="works")[1] == "finished already"
    trained = checkpoints.load(run)
    assert trained.shape.positions[0] == 6
    sound = Dataset(str(tiny)).audio(3)[0]
    soundfile.write(tmp_path / "a.wav", sound, 11_025)
    predictor = Predictor(run)
    said = predictor.predict(tmp_path / "a.wav")
    assert said.texts["subtractive.osc1_range"] in ("lo", "32", "16", "8", "4", "2")
    matching.write_played(predictor, said, tmp_path / "match.wav")
    assert soundfile.info(tmp_path / "match.wav").frames == len(sound)
    standalone.export_model(run, tmp_path / "model.pt2")
    exported = torch.export.load(tmp_path / "model.pt2").module()
    heard = torch.from_numpy(predictor._as_stored(sound[None]))
    values = exported(torch.from_numpy(sound[None]))[0][0].detach().numpy()
    expected = trained.predict(torch.zeros(1, 0), None, heard)[0].numpy()
    for value, unit, described in zip(values, expected, trained.parameters, strict=True):
        assert value == pytest.approx(float(Parameter.model_validate(described).to_value(unit)), rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_the_optimisers_of_the_paper(tiny: Path) -> None:
    for optimizer in ("sgd", "adagrad", "adadelta"):
        settings = TrainSettings(
            model="inverse-synth",
            data=(str(tiny),),
            max_epochs=1,
            batch_size=50,
            optimizer=optimizer,
            learning_rate=0.1,
            options=SMALL,
        )
        run, _ = train.train(settings, name=optimizer)
        assert epochs.read(run)[0]["validation_loss"] < 1
    default = preparing.resolve(TrainSettings(model="inverse-synth", data=("x",)))
    assert (default.optimizer, default.optimizer_options, default.batch_size) == (
        "adadelta",
        {"rho": 0.45, "weight_decay": 5e-4},
        5,
    )
    other = preparing.resolve(TrainSettings(model="inverse-synth", data=("x",), optimizer="sgd"))
    assert other.optimizer_options == {}
    wrong = TrainSettings(
        model="inverse-synth", data=(str(tiny),), optimizer="sgd", optimizer_options={"rho": 1}, options=SMALL
    )
    with pytest.raises(UsageError, match="optimizer_options do not fit sgd"):
        train.train(wrong, name="wrong")


@pytest.mark.slow
def test_a_grid_search_is_resumed(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"model": "inverse-synth", "data": str(tiny), "max_epochs": 1, "batch_size": 100, "options": SMALL}
    grid = {"optimizer_options.rho": [0.1, 0.9], "optimizer_options.weight_decay": [0.0, 0.1]}
    real, calls = train.train, []

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(named["name"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(train, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        grid_search.search(settings, grid, 2, "grid")
    found = grid_search.search(settings, grid, 2, "grid")
    assert len(calls) == 9  # three, the interrupted one, the five that were left
    assert [result["repeats"] for result in found.results] == [2] * 4
    assert (found.folder / "heat-map.png").is_file()
    before = len(calls)
    grid_search.search(settings, grid, 2, "grid")
    assert len(calls) == before
    with pytest.raises(UsageError, match="another grid"):
        grid_search.search(settings, grid | {"batch_size": [1]}, 2, "grid")


def test_a_grid_is_read_and_checked() -> None:
    assert validation.read_grid(["a.b=[1, 1e-3]"]) == {"a.b": [1, 0.001]}
    with pytest.raises(UsageError, match=r"expected path\.to\.field"):
        validation.read_grid(["a=3"])
