"""A trained run as one self-contained file: sound in, class probabilities and parameters out, without this project.

The file is a torch.export program (.pt2): level, features, networks and physical units are inside; `about.json` in it
names the outputs. torch.export takes FFTs as they are, which ONNX does not. Feature extraction is written here once
more, in plain torch operations; a test holds it to the compiled kernels.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from timbre_data.models.data.classes import family_probabilities
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.layers.spectrogram import centred_stft, mel_matrix
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.checkpoints import Trained, load
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.features import autofx163
from timbre_data.pipeline.sound import mel_bands, pitch
from timbre_data.pipeline.sound.frame_series import ROLLOFF
from timbre_data.pipeline.sound.short_time import frame_count
from timbre_data.schemas.errors import BuildError, UsageError
from timbre_data.schemas.parameter import Parameter

EXPORTABLE = ("autofx163", "autofx163_sound")


class Yin(nn.Module):
    """Pitch of each sound [shape=(n,)]: `pipeline.features._pitch` in tensor operations; 1 for silence."""

    def __init__(self, samples: int, rate: int) -> None:
        super().__init__()
        pipeline_yin = pitch.Yin(samples, rate, pitch.NOTE_HOP)
        self._low, self._high, self._reach = pipeline_yin._low, pipeline_yin._high, pipeline_yin._reach
        self._window = pipeline_yin._window
        self._length, self._rate, self._frames = pipeline_yin._length, rate, frame_count(samples, pitch.NOTE_HOP)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to Hz [shape=(n,)]."""
        window, high = self._window, self._high
        span = window + self._reach
        needed = (self._frames - 1) * pitch.NOTE_HOP + span
        padded = nn.functional.pad(audio, (window, max(0, needed - window - audio.shape[1])))
        frames = padded.unfold(1, span, pitch.NOTE_HOP)[:, : self._frames]
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
        dip = (inner < before) & (inner <= after) & (inner < pitch.THRESHOLD)
        best = torch.where(dip.any(-1), dip.to(torch.int8).argmax(-1), inner.argmin(-1))[..., None]
        left, middle, right = (series.gather(-1, best)[..., 0] for series in (before, inner, after))
        bend = left - 2 * middle + right
        shift = torch.where(bend > 0, 0.5 * (left - right) / torch.where(bend > 0, bend, torch.ones_like(bend)), 0.0)
        hz = self._rate / (best[..., 0] + self._low + shift.clamp(-1, 1))
        voiced = energy[..., 0] >= 1e-9
        clear = voiced & (middle <= _median(middle, voiced)[:, None])
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
                rolled * step,
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


class Standalone(nn.Module):
    """Sounds [shape=(n, samples)] to class probabilities [shape=(n, classes)] and physical parameters [shape=(n, p)],
    either left out where there is none.
    """

    low: torch.Tensor
    high: torch.Tensor
    is_log: torch.Tensor
    is_step: torch.Tensor

    def __init__(self, predictor: Predictor, peak: str) -> None:
        super().__init__()
        self._peak = peak
        self._model, self._classifier = predictor.trained, predictor.classifier
        self.network = predictor.trained.network
        self.features = _features(predictor.trained)
        regression = predictor.trained.task == "regression"
        self._conditions = regression and predictor.classifier is not None
        if self._conditions:
            assert predictor.classifier is not None
            self.class_network = predictor.classifier.network
            self.class_features = _features(predictor.classifier)
        self._regression = regression
        described = [Parameter.model_validate(one) for one in predictor.trained.parameters]
        bounds = torch.tensor([one.bounds for one in described], dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("low", bounds[:, 0])
        self.register_buffer("high", bounds[:, 1])
        self.register_buffer("is_log", torch.tensor([one.kind == "log" for one in described], dtype=torch.bool))
        self.register_buffer("is_step", torch.tensor([bool(one.steps) for one in described], dtype=torch.bool))

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map mono sounds that begin at their onset, at the run's rate."""
        peak = audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-4)
        audio = audio / (peak if self._peak == "normalise" else peak.clamp(min=1.0))
        audio = (audio * 32767).round() / 32767
        if not self._regression:
            return (self._probabilities(self._model, self.network, self.features, audio),)
        probabilities = condition = None
        if self._conditions:
            assert self._classifier is not None
            probabilities = self._probabilities(self._classifier, self.class_network, self.class_features, audio)
            condition = family_probabilities(
                probabilities,
                self._classifier.families,
                multi_label=TARGETS.load(self._classifier.target).always_multi_label,
            )
        labels = self.network(self.features(audio), condition, audio if self._model.shape.samples else None)
        decode: Callable[[torch.Tensor], torch.Tensor] | None = getattr(self.network.network, "decode", None)
        if decode is not None:
            labels = decode(labels)
        labels = labels.double().clamp(0, 1)
        linear = self.low + (self.high - self.low) * labels
        safe_low, safe_high = (torch.where(self.is_log, one, torch.ones_like(one)) for one in (self.low, self.high))
        values = torch.where(self.is_log, safe_low * (safe_high / safe_low) ** labels, linear)
        values = torch.where(self.is_step, linear.round(), values)
        return (values,) if probabilities is None else (probabilities, values)

    def _probabilities(
        self, trained: Trained, network: nn.Module, features: nn.Module, audio: torch.Tensor
    ) -> torch.Tensor:
        logits = network(features(audio), None, audio if trained.shape.samples else None)
        return TARGETS.load(trained.target).decode(logits, trained.multi_label)


class _NoFeatures(nn.Module):
    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return audio[:, :0]


def _features(trained: Trained) -> nn.Module:
    if not trained.features:
        return _NoFeatures()
    unknown = [name for name in trained.features if name not in EXPORTABLE]
    if unknown or len(trained.features) > 1:
        raise UsageError(
            f"features {', '.join(unknown or trained.features)} cannot be exported, only one of {', '.join(EXPORTABLE)}: train on that, or on sounds alone (autofx)."
        )
    return Features163(trained.samples, trained.rate, trained.feature_settings[trained.features[0]])


def export_model(run: Path, out: Path) -> dict[str, Any]:
    """Write a run as one .pt2 file that needs only torch. Returns what `about.json` in it says.

    Raises `UsageError` for features that cannot be exported and for a file that is there already.
    """
    if out.exists():
        raise UsageError(f"{out} exists already: choose another --out, or delete it first.")
    if load(run).task == "transformation":
        raise UsageError(
            f"{run} maps sounds to sounds of any length, which cannot be exported: use timbre-data predict."
        )
    predictor = Predictor(run)
    if predictor.target.windows:
        raise UsageError(
            f"{run} names frames of recordings of any length, which cannot be exported: use timbre-data predict."
        )
    module = Standalone(predictor, predictor.peak).eval()
    about = {
        "run": run.name,
        "model": predictor.trained.model,
        "rate": predictor.rate,
        "samples": predictor.samples,
        "input": "float32 (n, samples), mono, each sound beginning at its onset, padded with zeros or cut",
        "outputs": [
            *(["probabilities"] if predictor.classifier else []),
            *(["parameters"] if predictor.trained.task == "regression" else []),
        ],
        "classes": list(predictor.classifier.outputs) if predictor.classifier else [],
        "parameters": [
            {key: one.get(key, "") for key in ("name", "unit", "low", "high", "kind")}
            for one in predictor.trained.parameters
        ],
    }
    if not out.parent.is_dir():
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}.")
    example = torch.randn(2, predictor.samples).clamp(-1, 1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            module, (example,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},), strict=False
        )
        content = io.BytesIO()  # written by Python: PyTorch's own writer ends the process on a full disk
        torch.export.save(program, content, extra_files={"about.json": json.dumps(about, indent=2)})
    try:
        with whole(out) as partial:
            partial.write_bytes(content.getbuffer())
    except OSError as error:
        raise BuildError(f"{out} cannot be written: {error.strerror}.") from None
    return about
