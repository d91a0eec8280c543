"""The layers that several networks share, against librosa and against their formulas."""

from __future__ import annotations

import librosa
import numpy as np
import torch

from timbre_data.models.layers import Film, Spectrogram

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
