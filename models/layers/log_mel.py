"""Log-mel spectrograms at a sound's own level."""

from __future__ import annotations

import torch
from torch import nn

from timbre_data.models.layers.spectrogram import MelBands, centred_stft


def at_full_scale(sounds: torch.Tensor) -> torch.Tensor:
    """Sounds [shape=(n, samples)] at a peak of 1, as dry sounds are heard; silence stays what it is."""
    return sounds / sounds.abs().amax(dim=1, keepdim=True).clamp(min=1e-4)


class LogMel(nn.Module):
    """Sounds [shape=(n, samples)] to log-mel at their own level, 100 dB brought to [-1, 1] [shape=(n, n_mels,
    frames)].
    """

    window: torch.Tensor

    def __init__(self, rate: int, samples: int, *, n_fft: int, hop_length: int, n_mels: int) -> None:
        super().__init__()
        self._hop_length = hop_length
        self.shape = (n_mels, samples // hop_length + 1)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.bands = MelBands(rate, n_fft, n_mels)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = centred_stft(audio.float(), self.window, self._hop_length)
            power = self.bands(spectrum.real.square() + spectrum.imag.square())
            return (10 * torch.log10(power + 1e-9) + 60) / 50
