"""What an exported program consists of: sounds in; classes, parameters, vectors or sound out, in tensor operations.

Feature extraction is written once more for it, in `tensor_features`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import nn

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder, EqOptions
from timbre_data.models.data.classes import family_probabilities
from timbre_data.models.data.pairs import EDGE, OVERLAP, hann
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.tensor_features import IN_TENSORS
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.checkpoints import Trained
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter


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

    def forward(self, audio: torch.Tensor, dry: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Map mono sounds that begin at their onset, at the run's rate; their dry sounds beside them for some runs."""
        audio = _as_stored(audio, self._peak)
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
        sounds = audio if dry is None else torch.cat([audio, _as_stored(dry, self._peak)], dim=1)
        labels = self.network(self.features(audio), condition, sounds if self._model.shape.samples else None)
        if self._model.recognises:
            probabilities = cast(Any, self.network.network).recognise(labels)
        decode: Callable[[torch.Tensor], torch.Tensor] | None = getattr(self.network.network, "decode", None)
        if decode is not None:
            labels = decode(labels)
        labels = labels.double().clamp(0, 1)
        linear = self.low + (self.high - self.low) * labels
        safe_low, safe_high = (torch.where(self.is_log, one, torch.ones_like(one)) for one in (self.low, self.high))
        values = torch.where(self.is_log, safe_low * (safe_high / safe_low) ** labels, linear)
        values = torch.where(self.is_step, linear.round(), values).float()
        return (values,) if probabilities is None else (probabilities, values)

    def _probabilities(
        self, trained: Trained, network: nn.Module, features: nn.Module, audio: torch.Tensor
    ) -> torch.Tensor:
        logits = network(features(audio), None, audio if trained.shape.samples else None)
        return TARGETS.load(trained.target).decode(logits, trained.multi_label)


Vector = Literal["embedding", "style"]
"""What a network makes of a sound before its outputs: its dense layer, or statistics of its convolutions."""


class StandaloneVector(nn.Module):
    """Sounds [shape=(n, samples)] to what a network makes of them before its outputs [shape=(n, d)]."""

    def __init__(self, predictor: Predictor, vector: Vector) -> None:
        super().__init__()
        self._of = {"embedding": "embed", "style": "style"}[vector]
        self._peak, self.network, self.features = (
            predictor.peak,
            predictor.trained.network,
            _features(predictor.trained),
        )

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map mono sounds that begin at their onset, at the run's rate."""
        audio = _as_stored(audio, self._peak)
        features = (self.features(audio) - self.network.mean) / self.network.deviation
        return cast(torch.Tensor, getattr(self.network.network, self._of)(features, audio))


def _as_stored(audio: torch.Tensor, peak_: str) -> torch.Tensor:
    """Sounds [shape=(n, samples)] as a dataset would hold them: level and rounding."""
    peak = audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-4)
    audio = audio / (peak if peak_ == "normalise" else peak.clamp(min=1.0))
    return (audio * 32767).round() / 32767


def _features(trained: Trained) -> nn.Module:
    unknown = [name for name in trained.features if name not in IN_TENSORS]
    if unknown:
        raise UsageError(
            f"features {', '.join(unknown)} cannot be exported, only {', '.join(IN_TENSORS)}: train on those, or on sounds alone (autofx)."
        )
    parts = [
        IN_TENSORS[name](trained.samples, trained.rate, trained.feature_settings[name]) for name in trained.features
    ]
    return _Joined(parts)


class _Joined(nn.Module):
    """Several feature sets side by side, or none."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return torch.cat([part(audio) for part in self.parts], dim=1) if len(self.parts) else audio[:, :0]


class StandaloneFrames(nn.Module):
    """A recording of any length [shape=(1, samples)] to class probabilities of its frames [shape=(frames, classes)]."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        trained = predictor.trained
        kind: Model = MODELS.load(trained.model)
        assert kind.frontend is not None
        self._trained, self._context = trained, kind.context
        options = kind.options.model_validate(trained.options)
        self.frontend: Any = kind.frontend(Shape(0, 0, rate=trained.rate), options).double()
        self.network = trained.network

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map a mono recording at the run's rate."""
        audio = audio / audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)
        spectrogram = self.frontend.whole(audio)[0].float()
        before = self._context // 2
        padded = nn.functional.pad(spectrogram[None], (before, self._context - 1 - before), mode="replicate")[0]
        windows = padded.unfold(1, self._context, 1).permute(1, 0, 2)
        scores = self.network(windows[:, 0, :0], None, windows)
        return TARGETS.load(self._trained.target).decode(scores, self._trained.multi_label)


class StandaloneEqualiser(nn.Module):
    """A sound of any length [shape=(samples,)], with settings [shape=(1, c)] where the run learned some, to the sound
    after the transformation.
    """

    window: torch.Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.network = cast(EqAutoencoder, trained.network.network)
        self.register_buffer("window", hann(), persistent=False)
        self._level = 10 ** (EqOptions.model_validate(trained.options).level_db / 20)

    def forward(self, audio: torch.Tensor, settings: torch.Tensor | None = None) -> torch.Tensor:
        """Map a mono sound at the run's rate: `equaliser_losses.play` in one piece."""
        scale = self._level / audio.abs().amax(dim=0).clamp(min=1e-9)
        around = nn.functional.pad(audio * scale, (EDGE, EDGE + HOP - 1))
        frames = around.unfold(0, FRAME, HOP) * self.window
        given = None if settings is None else settings.expand(frames.shape[0], -1)
        parts = self.network(frames, given).reshape(frames.shape[0], FRAME // HOP, HOP)
        count = FRAME // HOP
        out = sum(nn.functional.pad(parts[:, k].reshape(-1), (k * HOP, (count - 1 - k) * HOP)) for k in range(count))
        return cast(torch.Tensor, out)[EDGE : EDGE + audio.shape[0]] / (OVERLAP * scale)
