"""Feature sets in plain tensor operations, for exported models: a test holds them to the compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from timbre_data.models.layers.spectrogram import centred_stft, mel_matrix
from timbre_data.pipeline.features import autofx48, autofx163
from timbre_data.pipeline.sound import mel_bands, note_pitch, onsets, pitch
from timbre_data.pipeline.sound.frame_series import ROLLOFF
from timbre_data.pipeline.sound.short_time import frame_count, hann


class Yin(nn.Module):
    """Pitch of the frames of each sound: `pipeline.sound.pitch.Yin` in tensor operations."""

    def __init__(self, samples: int, rate: int, hop_length: int = note_pitch.NOTE_HOP) -> None:
        super().__init__()
        pipeline_yin = pitch.Yin(samples, rate, hop_length)
        self._low, self._high, self._reach = pipeline_yin._low, pipeline_yin._high, pipeline_yin._reach
        self._window = pipeline_yin._window
        self._length, self._rate, self._hop_length = pipeline_yin._length, rate, hop_length
        self._frames = frame_count(samples, hop_length)

    def frames(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map sounds [shape=(n, samples)] to Hz, depth of the dip, and whether there is sound [shape=(n, frames)]."""
        window, high = self._window, self._high
        span = window + self._reach
        needed = (self._frames - 1) * self._hop_length + span
        padded = nn.functional.pad(audio, (window, max(0, needed - window - audio.shape[1])))
        frames = padded.unfold(1, span, self._hop_length)[:, : self._frames]
        first = nn.functional.pad(frames[..., :window], (0, self._reach))
        spectrum = torch.fft.rfft(frames, self._length) * torch.fft.rfft(first, self._length).conj()
        correlation = torch.fft.irfft(spectrum, self._length)[..., 1 : high + 2].double()
        squares = nn.functional.pad(frames.double().square().cumsum(-1), (1, 0))
        energy = squares[..., window : window + 1]
        shifted = squares[..., window + 1 : window + high + 2] - squares[..., 1 : high + 2]
        difference = (energy + shifted - 2 * correlation).clamp(min=0)
        running = difference.cumsum(-1)
        lags = torch.arange(1, high + 2, dtype=torch.float64)
        ratio = torch.where(running > 0, difference * lags / running.clamp(min=1e-300), torch.ones_like(running))
        normalized = torch.cat((torch.ones_like(energy), ratio), dim=-1)
        inner = normalized[..., self._low : high + 1]
        before, after = normalized[..., self._low - 1 : high], normalized[..., self._low + 1 : high + 2]
        dip = (inner < before) & (inner <= after) & (inner < note_pitch.THRESHOLD)
        best = torch.where(dip.any(-1), dip.to(torch.int8).argmax(-1), inner.argmin(-1))[..., None]
        left, middle, right = (series.gather(-1, best)[..., 0] for series in (before, inner, after))
        bend = left - 2 * middle + right
        shift = torch.where(bend > 0, 0.5 * (left - right) / torch.where(bend > 0, bend, torch.ones_like(bend)), 0.0)
        hz = self._rate / (best[..., 0] + self._low + shift.clamp(-1, 1))
        return hz, middle, energy[..., 0] >= 1e-9

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to one pitch each, in Hz [shape=(n,)]; 1 for silence."""
        hz, depth, voiced = self.frames(audio)
        clear = voiced & (depth <= _median(depth, voiced)[:, None])
        return torch.where(voiced.any(-1), _median(hz, clear), torch.ones_like(hz[:, 0]))


def _median(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Median over the chosen entries of each row [shape=(n,)], the mean of the middle two as NumPy has it."""
    ordered = torch.where(mask, values, torch.inf).sort(-1).values
    count = mask.sum(-1, keepdim=True)
    low, high = ((count - 1).clamp(min=0) // 2), (count // 2).clamp(max=values.shape[-1] - 1)
    return (
        0.5
        * (
            ordered.gather(-1, low)
            + ordered.gather(-1, torch.maximum(low, torch.minimum(high, count - 1).clamp(min=0)))
        )
    )[..., 0]


def _functionals(series: torch.Tensor) -> torch.Tensor:
    """Minimum, maximum, mean, deviation, skewness and kurtosis over the last axis [shape=(..., 6)]."""
    low, high, mean = series.amin(-1), series.amax(-1), series.mean(-1)
    centred = series - mean[..., None]
    second, third, fourth = (centred.pow(power).mean(-1) for power in (2, 3, 4))
    flat = second <= (1e-12 * torch.maximum(low.abs(), high.abs())).square()
    safe = torch.where(flat, torch.ones_like(second), second)
    skewness = torch.where(flat, torch.zeros_like(safe), third / safe**1.5)
    kurtosis = torch.where(flat, torch.zeros_like(safe), fourth / safe.square() - 3)
    return torch.stack((low, high, mean, second.sqrt(), skewness, kurtosis), dim=-1)


class Features163(nn.Module):
    """`autofx163`, or `autofx163_sound`, in tensor operations."""

    window: torch.Tensor
    bands: torch.Tensor
    basis: torch.Tensor
    kept: torch.Tensor

    def __init__(self, samples: int, rate: int, settings: dict[str, Any]) -> None:
        super().__init__()
        parsed = autofx163.Autofx163Settings.model_validate(settings)
        self._hop_length, self._rate = parsed.hop_length, rate
        self.register_buffer("window", torch.hann_window(parsed.n_fft))
        self.register_buffer("bands", mel_matrix(rate, parsed.n_fft, parsed.n_mels))
        self.register_buffer("basis", torch.from_numpy(mel_bands.cosine_basis(parsed.n_mels, autofx163.N_MFCC).copy()))
        self.register_buffer("kept", torch.from_numpy(np.asarray(autofx163._KEPT, np.int64)))
        self.pitch = Yin(samples, rate)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to features [shape=(n, 163)]."""
        spectrum = centred_stft(audio, self.window, self._hop_length).transpose(1, 2)
        magnitudes = spectrum.abs()
        wide = magnitudes.double()
        bins = wide.shape[-1]
        k = torch.arange(bins, dtype=torch.float64)
        step = 0.5 * self._rate / (bins - 1)
        total, weighted = wide.sum(-1), (wide * k).sum(-1)
        share = wide / torch.where(total > 0, total, torch.ones_like(total))[..., None]
        centre = (share * k).sum(-1)
        centred = k - centre[..., None]
        mean = total / bins
        energy = wide.square().cumsum(-1)
        rolled = (energy >= ROLLOFF * energy[..., -1:]).to(torch.int8).argmax(-1)
        flux = nn.functional.pad((wide[:, 1:] - wide[:, :-1]).abs().sum(-1), (1, 0))
        flatness = torch.exp(wide.clamp(min=1e-10).log().mean(-1)) / mean.clamp(min=1e-10)
        series = torch.stack(
            (
                centre * step,
                *((share * centred.pow(power)).sum(-1) * step**power for power in (2, 3, 4)),
                (weighted * step / bins - 0.25 * self._rate * mean) / (step * step * (bins * bins - 1) / 12),
                rolled.double() * step,
                flux,
                flatness,
            ),
            dim=1,
        )
        plain, differences = _functionals(series), _functionals(series[..., 1:] - series[..., :-1])
        pitch = self.pitch(audio)[:, None, None]
        over_pitch = torch.cat((plain[..., :4] / pitch, plain[..., 4:]), dim=-1)
        mel = 10 * torch.log10(torch.matmul(magnitudes.square(), self.bands.T).clamp(min=mel_bands.AMIN))
        mfcc = torch.matmul(torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 80), self.basis.T).double()
        cepstral = torch.stack((mfcc.mean(1), mfcc.amax(1)), dim=-1)
        parts = (plain, differences, over_pitch, cepstral)
        return torch.cat([part.flatten(1) for part in parts], dim=1)[:, self.kept].float()


class Features48(nn.Module):
    """`autofx48` in tensor operations."""

    window: torch.Tensor
    bands: torch.Tensor
    basis: torch.Tensor
    flux_bands: torch.Tensor

    def __init__(self, samples: int, rate: int, settings: dict[str, Any]) -> None:
        super().__init__()
        n_fft, hop_length = autofx48.N_FFT, autofx48.HOP
        self._inside = max(1, 1 + (samples - n_fft // 2) // hop_length)
        self._frames_per_second = rate / hop_length
        self.register_buffer("window", torch.hann_window(n_fft))
        self.register_buffer("bands", mel_matrix(rate, n_fft, autofx48.N_MELS))
        self.register_buffer("basis", torch.from_numpy(mel_bands.cosine_basis(autofx48.N_MELS, autofx48.N_MFCC).copy()))
        starts, counts, weights = onsets.log_filters(rate, n_fft)
        dense = np.zeros((n_fft // 2 + 1, len(starts)))
        for band, part in enumerate(np.split(weights, np.cumsum(counts)[:-1])):
            dense[starts[band] : starts[band] + counts[band], band] = part
        self.register_buffer("flux_bands", torch.from_numpy(dense))
        self.pitch = Yin(samples, rate, hop_length)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to features [shape=(n, 48)]."""
        spectrum = centred_stft(audio, self.window, autofx48.HOP).transpose(1, 2)
        magnitudes = spectrum.abs()
        hz, _, voiced = self.pitch.frames(audio)
        energy = _rms(audio, autofx48.RMS_FRAME)
        series = [_filled(hz, voiced), _strongest_phase(spectrum, magnitudes, *autofx48.PHASE_BINS), energy]
        maxima = [part for one in series for part in (_spectral_maxima(one), _spectral_maxima(one.diff(dim=-1)))]
        moments = [_functionals(one)[..., 3:5] for one in (energy, energy.diff(dim=-1))]
        times, activations = self._onsets(magnitudes[:, : self._inside].double())
        mel = 10 * torch.log10(torch.matmul(magnitudes.square(), self.bands.T).clamp(min=mel_bands.AMIN))
        mfcc = torch.matmul(torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 80), self.basis.T).double()
        return torch.cat((*maxima, *moments, times, activations, mfcc.mean(1)), dim=1).float()

    def _onsets(self, magnitudes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Times in seconds and strengths of the first onsets [shape=(n, 5) both], by SuperFlux; 0 where there are
        fewer.
        """
        logs = torch.log10(1 + torch.matmul(magnitudes, self.flux_bands))
        around = nn.functional.pad(logs, (1, 1))  # none is below zero
        widest = torch.maximum(torch.maximum(around[..., :-2], around[..., 1:-1]), around[..., 2:])
        past = nn.functional.pad(widest, (0, 0, onsets.LAG, 0))[:, : logs.shape[1]]
        strength = (logs - past).clamp(min=0).sum(-1)
        frames, rate = strength.shape[1], self._frames_per_second
        before, after = round(onsets.BEFORE_MAX_SECONDS * rate), round(onsets.AFTER_MAX_SECONDS * rate)
        largest = _neighbours(strength, before, after, -torch.inf).amax(-1)
        before, after = round(onsets.BEFORE_MEAN_SECONDS * rate), round(onsets.AFTER_MEAN_SECONDS * rate)
        counted = _neighbours(torch.ones_like(strength), before, after, 0.0).sum(-1)
        mean = _neighbours(strength, before, after, 0.0).sum(-1) / counted
        candidates = (strength >= largest) & (strength >= mean + onsets.THRESHOLD)
        place = torch.arange(frames, dtype=torch.float64)
        wait, last = round(onsets.WAIT_SECONDS * rate), torch.full_like(strength[:, :1], -frames)
        times, heights = [], []
        for _ in range(autofx48.ONSETS):
            free = torch.where(candidates & (place - last > wait), place, float(frames))
            last = free.amin(-1, keepdim=True)
            there = last < frames
            times.append(torch.where(there, last / rate, torch.zeros_like(last)))
            height = strength.gather(1, last.clamp(max=frames - 1).long())
            heights.append(torch.where(there, height, torch.zeros_like(height)))
        return torch.cat(times, 1), torch.cat(heights, 1)


def _neighbours(series: torch.Tensor, before: int, after: int, outside: float) -> torch.Tensor:
    """The values around each value [shape=(n, frames, before + 1 + after)]."""
    padded = nn.functional.pad(series, (before, after), value=outside)
    count = series.shape[1]
    return torch.stack([padded[:, k : k + count] for k in range(before + 1 + after)], dim=-1)


def _rms(audio: torch.Tensor, length: int) -> torch.Tensor:
    """Root mean square of frames without overlap [shape=(n, samples // length)]."""
    count = audio.shape[1] // length
    return audio[:, : count * length].reshape(-1, count, length).double().square().mean(-1).sqrt()


def _filled(series: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """A series with what is unknown drawn as a line between its neighbours; 0 where nothing is known."""
    frames = series.shape[1]
    place = torch.arange(frames)
    earlier = torch.where(known[:, None] & (place[None] <= place[:, None]), place, -1).amax(-1)
    later = torch.where(known[:, None] & (place[None] >= place[:, None]), place, frames).amin(-1)
    left = series.gather(1, torch.where(earlier < 0, later.clamp(max=frames - 1), earlier))
    right = series.gather(1, torch.where(later >= frames, earlier.clamp(min=0), later))
    span = (later - earlier).clamp(min=1).double()
    share = torch.where((earlier >= 0) & (later < frames), (place - earlier).double() / span, 0.0)
    return torch.where(known.any(-1, keepdim=True), left + (right - left) * share, 0.0)


def _strongest_phase(spectrum: torch.Tensor, magnitudes: torch.Tensor, first: int, stop: int) -> torch.Tensor:
    """Unwrapped phase of the bin with the most magnitude in all, less its regression line [shape=(n, frames)]."""
    best = magnitudes[:, :, first:stop].double().sum(1).argmax(-1)[:, None, None] + first
    index = best.expand(-1, spectrum.shape[1], 1)
    phase = torch.atan2(spectrum.imag.gather(2, index), spectrum.real.gather(2, index))[..., 0].double()
    step = phase.diff(dim=-1)
    step = step - 2 * torch.pi * torch.round(step / (2 * torch.pi))
    phase = torch.cat((phase[:, :1], phase[:, :1] + step.cumsum(-1)), dim=1)
    frames = phase.shape[1]
    time = torch.arange(frames, dtype=torch.float64) - (frames - 1) / 2
    centred = phase - phase.mean(-1, keepdim=True)
    slope = (centred * time).sum(-1, keepdim=True) / max(float(frames * (frames**2 - 1) / 12), 1.0)
    return centred - slope * time


def _spectral_maxima(series: torch.Tensor) -> torch.Tensor:
    """The two largest maxima of the spectrum of a series [shape=(n, frames)] and their places [shape=(n, 4)]."""
    series = series[:, : autofx48.MODULATION_FFT]
    length = series.shape[1]
    if not length:
        return series.new_zeros(len(series), 4)
    window = torch.from_numpy(hann(length).astype(np.float64))
    spectrum = torch.fft.rfft((series - series.mean(-1, keepdim=True)) * window, autofx48.MODULATION_FFT).abs()
    bins = torch.arange(spectrum.shape[-1])
    spectrum = torch.where(bins < autofx48.LOW_BINS, 0.0, spectrum)
    first = spectrum.argmax(-1, keepdim=True)
    others = torch.where((bins - first).abs() <= autofx48.NEIGHBOURS, 0.0, spectrum)
    second = others.argmax(-1, keepdim=True)
    half = autofx48.MODULATION_FFT / 2
    values = (spectrum.gather(1, first), first / half, others.gather(1, second), second / half)
    return torch.cat([value.double() for value in values], dim=1)


IN_TENSORS: Mapping[str, type[nn.Module]] = {
    "autofx163": Features163,
    "autofx163_sound": Features163,
    "autofx48": Features48,
}
"""Feature sets that can be exported; of autofx163, with the pitch of the sound itself."""
