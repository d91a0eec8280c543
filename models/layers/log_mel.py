"""Log-mel spectrograms at a sound's own level."""

from __future__ import annotations

import torch
from torch import nn

from timbre_data.models.layers.spectrogram import mel_matrix


class LogMel(nn.Module):
    """Sounds [shape=(n, samples)] to log-mel at their own level, 100 dB brought to [-1, 1] [shape=(n, n_mels,
    frames)].
    """

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(self, rate: int, samples: int, *, n_fft: int, hop_length: int, n_mels: int) -> None:
        super().__init__()
        self._n_fft, self._hop_length = n_fft, hop_length
        self.shape = (n_mels, samples // hop_length + 1)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("bands", mel_matrix(rate, n_fft, n_mels), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(), self._n_fft, self._hop_length, window=self.window,
                center=True, pad_mode="constant", return_complex=True,
            )  # fmt: skip
            power = torch.matmul(self.bands, spectrum.real.square() + spectrum.imag.square())
            return (10 * torch.log10(power + 1e-9) + 60) / 50
