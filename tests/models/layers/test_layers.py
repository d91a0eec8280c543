"""The layers that several networks share, against librosa and against their formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch

from timbre_data.models.architectures import MODELS, Shape
from timbre_data.models.architectures._timbre import jingju_frontend
from timbre_data.models.architectures.eq_autoencoder import EqAutoencoder
from timbre_data.models.evaluation import plots
from timbre_data.models.layers.constant_q import LOWEST_HZ, ConstantQ
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.layers.film import Film
from timbre_data.models.layers.precise_places import precise_pool, precise_pool_plainly
from timbre_data.models.layers.sparse_filters import analyse, smooth_pool
from timbre_data.models.layers.spectrogram import Spectrogram
from timbre_data.models.layers.standardization import Standardise
from timbre_data.models.studies.evaluate import last_modulation
from timbre_data.pipeline.catalogue.effect import FAMILIES

RATE = 22_050


def sounds() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((2, 20_000)) * np.exp(-np.arange(20_000) / 5000) * [[0.3], [2.0]]).astype(np.float32)


def expected(sound: np.ndarray) -> np.ndarray:
    padded = np.pad(sound / np.abs(sound).max(), (0, 5000))
    return np.abs(librosa.stft(padded, n_fft=1024, hop_length=256, pad_mode="constant")) ** 2


def test_power_is_the_squared_stft_of_the_normalised_padded_sound() -> None:
    layer = Spectrogram(kind="power", rate=RATE, samples=25_000, n_fft=1024, hop_length=256, n_mels=128)
    out = layer(torch.from_numpy(sounds())).numpy()
    assert out.shape[1:] == layer.shape
    for sound, power in zip(sounds(), out, strict=True):
        assert np.allclose(power, expected(sound), rtol=1e-4, atol=1e-4)


def test_log_mel_is_that_of_librosa() -> None:
    layer = Spectrogram(kind="log_mel", rate=RATE, samples=25_000, n_fft=1024, hop_length=256, n_mels=64)
    out = 50 * layer(torch.from_numpy(sounds())).numpy()
    for sound, mel in zip(sounds(), out, strict=True):
        bands = librosa.feature.melspectrogram(S=expected(sound), sr=RATE, n_fft=1024, n_mels=64)
        assert np.abs(mel - 10 * np.log10(bands + 1e-10))[:, :70].max() < 0.01


def test_film_scales_and_shifts_each_channel() -> None:
    film = Film(6, 8)
    x, condition = torch.randn(3, 8, 4, 5), torch.softmax(torch.randn(3, 6), dim=1)
    gamma = condition @ film.gamma.weight.T + film.gamma.bias
    beta = condition @ film.beta.weight.T + film.beta.bias
    assert torch.allclose(film(x, condition), gamma[..., None, None] * x + beta[..., None, None], atol=1e-6)
    assert 0.5 < film.gamma.weight.mean() < 1.5


def test_the_perceptron_of_the_other_role_has_its_published_count() -> None:
    model = MODELS.load("jingju_mlp")
    shape, _ = model.published["dan"]
    assert parameter_count(model.build(shape, model.options(hidden=475))) == 430_379


def test_the_front_of_the_singing_networks_is_librosas_mel_spectrogram() -> None:
    """80 bands up to 11 kHz, frames of 25 ms every 10 ms, log10(10,000 x + 1); and a sound of any length has all its
    frames.
    """
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 44_100).astype(np.float32)
    front = jingju_frontend(44_100, 21)
    power = librosa.feature.melspectrogram(
        y=sound, sr=44_100, n_fft=1102, hop_length=441, n_mels=80, fmax=11_000, pad_mode="constant"
    )
    whole = front.whole(torch.from_numpy(sound)[None])[0].numpy()
    assert whole.shape == (80, 101)
    assert np.abs(whole - np.log10(10_000 * power + 1)).max() < 2e-3
    assert np.array_equal(front(torch.from_numpy(sound)[None])[0].numpy(), whole[:, :21])


def test_a_window_padded_with_zeros_is_librosas() -> None:
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 44_100).astype(np.float32)
    asked: dict[str, Any] = {"n_fft": 2048, "win_length": 1102, "hop_length": 441, "n_mels": 80, "fmax": 11_000}
    power = librosa.feature.melspectrogram(y=sound, sr=44_100, pad_mode="constant", **asked)
    whole = jingju_frontend(44_100, 21, padded=True).whole(torch.from_numpy(sound)[None])[0].numpy()
    assert np.abs(whole - np.log10(10_000 * power + 1)).max() < 2e-3


def test_constant_q_bins_are_librosas() -> None:
    """Up to librosa's resampling between octaves, and a factor for each bin; exact for a sine."""
    rate = RATE
    layer = ConstantQ(rate=rate, hop_length=512, frames=128)
    sound = librosa.chirp(fmin=50, fmax=6000, sr=rate, duration=2.0).astype(np.float32)
    sound += 0.1 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    asked: dict[str, Any] = {
        "fmin": LOWEST_HZ,
        "n_bins": 128,
        "bins_per_octave": 16,
        "hop_length": 512,
        "pad_mode": "constant",
    }
    theirs = np.abs(librosa.cqt(sound, sr=rate, scale=False, **asked))
    ours = layer.power(torch.from_numpy(sound)[None])[0].sqrt().numpy()
    for mine, other in zip(ours, theirs[:, : ours.shape[1]], strict=True):
        scale = (mine * other).sum() / np.square(other).sum()
        assert np.linalg.norm(mine - scale * other) < 0.06 * np.linalg.norm(mine)
    sine = 0.5 * np.sin(2 * np.pi * LOWEST_HZ * 2 ** (70 / 16) * np.arange(rate) / rate).astype(np.float32)
    middle = layer.power(torch.from_numpy(sine)[None])[0, :, 15]
    assert int(middle.argmax()) == 70
    assert float(middle[70]) == pytest.approx(0.25**2, rel=1e-3)
    shown = layer(torch.from_numpy(sound)[None])[0]
    assert shown.shape == layer.shape
    assert (float(shown.min()), float(shown.max())) == (0, 1)
    slower = ConstantQ(rate=16_000, hop_length=512, frames=128).power(torch.randn(1, 16_000))[0]
    assert slower[:125].all()
    assert not slower[126:].any()


def test_the_constant_q_layer_is_exported_for_any_number_of_sounds() -> None:
    layer = ConstantQ(rate=8_000, hop_length=512, frames=20).eval()
    sounds_ = torch.randn(3, 9_000)
    dynamic = ({0: torch.export.Dim("n", min=1)},)
    program = torch.export.export(layer, (sounds_[:2],), dynamic_shapes=dynamic, strict=False).module()
    assert torch.equal(program(sounds_), layer(sounds_))


def test_standardising_takes_parts_as_it_takes_the_whole() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(3, [[[1.0], [5.0]]], (40, 2, 7)).astype(np.float32))
    for each, axes in (("all", (0, 1, 2)), ("band", (0, 2)), ("cell", (0,))):
        layer = Standardise((2, 7), each)  # type: ignore[arg-type]  # one of the three
        layer.fit([x[:13], x[13:]])
        mean, deviation = x.numpy().mean(axes, keepdims=True)[0], x.numpy().std(axes, keepdims=True)[0]
        assert np.allclose(layer.mean.numpy(), np.broadcast_to(mean, layer.mean.shape), atol=1e-5)
        assert np.allclose(layer.deviation.numpy(), np.broadcast_to(deviation, layer.mean.shape), rtol=1e-4)


def test_places_are_the_same_by_kernels_and_by_matrix_products() -> None:
    """Of sounds, of what fades into silence, and of silence, where every value is as large as its neighbours."""
    torch.manual_seed(0)
    network = EqAutoencoder()
    frames = torch.randn(6, 1024) * torch.hann_window(1024)
    frames[2] *= torch.linspace(1, 0, 1024) ** 20
    frames[3, 300:], frames[4] = 0, 0
    with torch.no_grad():
        network.bias.normal_(0, 1e-3)
        network.smoothing_bias.normal_(0, 1e-3)
        filters = (network.filters, network.bias, network.smoothing, network.smoothing_bias)
        largest, places = precise_pool(frames, filters, 16)
        expected, expected_places = precise_pool_plainly(frames, filters, 16)
        single, single_places = smooth_pool(analyse(frames, *filters[:2]), *filters[2:], 16)
    assert torch.equal(places, expected_places)
    assert torch.allclose(largest, expected, atol=1e-7)
    assert torch.allclose(largest, single, atol=1e-5)
    sounding = (0, 1, 5)
    assert (places == single_places)[sounding, :].float().mean() > 0.999


@pytest.mark.parametrize(("model", "text"), [("irmas_single", 82_475), ("irmas_multi", 842_027)])
def test_pools_as_the_text_has_them_make_other_counts(model: str, text: int) -> None:
    """Which is why the counts decide: 62k and 743k are printed (Pons et al. 2017, Table II)."""
    shape = Shape(0, 11, samples=32_768, rate=12_000)
    member = MODELS.load(model)
    network = member.build(shape, member.options(pool="text"))
    assert parameter_count(network, statistics=True) == text
    assert network(torch.zeros(1, 0), audio=torch.zeros(1, 32_768)).shape == (1, 11)


def test_the_last_film_layer_is_drawn_for_each_class_alone(tmp_path: Path) -> None:
    """Figure C.2 of D'Hooghe 2022: a row of the weights is what a certain class does to the channels."""
    member = MODELS.load("autofx")
    network = member.build(Shape(0, 15, 6, samples=11_025, rate=11_025), member.options())
    modulated = last_modulation(network)
    assert modulated is not None
    gamma, beta = modulated
    last = [module for module in network.modules() if isinstance(module, Film)][-1]
    assert gamma.shape == beta.shape == (6, 256)
    assert np.allclose(gamma, (last.gamma.weight.T + last.gamma.bias).detach().numpy())
    assert np.allclose(beta, (last.beta.weight.T + last.beta.bias).detach().numpy())
    plots.modulations(gamma, beta, FAMILIES, tmp_path / "film.png")
    assert (tmp_path / "film.png").stat().st_size > 5000
    assert last_modulation(torch.nn.Linear(2, 2)) is None


@pytest.mark.parametrize("summary", ["recurrent", "attention"])
def test_the_instrument_cnns_future_work(summary: str) -> None:
    """Sounds of another length are taken, too, and every weight learns."""
    torch.manual_seed(0)
    member = MODELS.load("instrument_cnn")
    network = member.build(Shape(0, 4, samples=22_050, rate=22_050), member.options(summary=summary))
    sounds = torch.rand(4, 22_050) - 0.5
    scores = network(torch.zeros(4, 0), audio=sounds)
    assert scores.shape == (4, 4)
    scores.square().sum().backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert name in ("body.0.bias", "body.12.score.bias") or weights.grad.abs().sum() > 0, name
    plain = member.build(Shape(0, 4, samples=22_050, rate=22_050), member.options())
    if summary == "attention":  # at first all places weigh alike, so it is the average
        found = plain.load_state_dict(network.state_dict(), strict=False)
        assert all("score" in name for name in found.unexpected_keys)
    assert network(torch.zeros(4, 0), audio=torch.rand(4, 40_000) - 0.5).shape == (4, 4)
