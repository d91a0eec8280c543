"""A trained run as one self-contained file: sound in; classes, parameters or sound out, without this project.

The file is a torch.export program (.pt2) or ONNX (.onnx): level, features, networks and physical units are inside, with
a description of inputs and outputs. Feature extraction is written once more for it, in `tensor_features`.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder, EqOptions
from timbre_data.models.data.classes import family_probabilities
from timbre_data.models.data.pairs import EDGE, OVERLAP, hann
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.tensor_features import IN_TENSORS
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.checkpoints import Trained, load
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.store.columns import FRAME_SECONDS
from timbre_data.schemas.errors import BuildError, MissingDependencyError, UsageError
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


class StandaloneEmbedding(nn.Module):
    """Sounds [shape=(n, samples)] to what a network makes of them before its outputs [shape=(n, hidden)]."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self._peak, self.network, self.features = (
            predictor.peak,
            predictor.trained.network,
            _features(predictor.trained),
        )

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map mono sounds that begin at their onset, at the run's rate."""
        audio = _as_stored(audio, self._peak)
        features = (self.features(audio) - self.network.mean) / self.network.deviation
        return cast(torch.Tensor, cast(Any, self.network.network).embed(features, audio))


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


@dataclass(frozen=True)
class _Program:
    """A network to export: an example of its inputs, which of their sizes are free, and what is said of it."""

    module: nn.Module
    inputs: dict[str, torch.Tensor]
    free: dict[str, dict[int, Any]]
    about: dict[str, Any]


def _program(run: Path) -> _Program:
    trained = load(run).for_inference()
    about: dict[str, Any] = {
        "run": run.name,
        "model": trained.model,
        "rate": trained.rate,
        "classes": [],
        "parameters": [],
    }
    described = [
        {key: one.get(key, "") for key in ("name", "unit", "low", "high", "kind")} for one in trained.parameters
    ]
    if trained.task == "transformation":
        sound = 0.1 * torch.randn(4 * FRAME + 5)
        inputs = {"audio": sound}
        free: dict[str, dict[int, Any]] = {"audio": {0: torch.export.Dim("samples", min=FRAME, max=2**26)}}
        if trained.shape.conditioning:
            inputs["settings"] = torch.rand(1, trained.shape.conditioning)
            free["settings"] = {}
        about |= {
            "samples": None,
            "input": "float32 (samples,), mono, of any length from 1024 samples on",
            "outputs": ["sound"],
            "settings": [*(one["name"] for one in described), *trained.effects],
            "parameters": described,
            "settings_input": "float32 (1, settings): parameters scaled to [0, 1] over their range (log: over its logarithm), 1 for the effect in use",
        }
        return _Program(StandaloneEqualiser(trained), inputs, free, about)
    predictor = Predictor(run)
    if predictor.target.windows:
        samples = torch.export.Dim("samples", min=trained.rate // 2, max=2**26)
        about |= {
            "samples": None,
            "input": "float32 (1, samples), mono, a recording of any length from half a second on",
            "outputs": ["probabilities"],
            "classes": list(trained.outputs),
            "frame_seconds": FRAME_SECONDS,
        }
        return _Program(
            StandaloneFrames(predictor), {"audio": torch.randn(1, 2 * trained.rate)}, {"audio": {1: samples}}, about
        )
    about |= {
        "samples": predictor.samples,
        "input": "float32 (n, samples), mono, each sound beginning at its onset, padded with zeros or cut",
        "outputs": [
            *(["probabilities"] if predictor.class_names else []),
            *(["parameters"] if predictor.trained.task == "regression" else []),
        ],
        "classes": list(predictor.class_names),
        "parameters": described,
    }
    rows = torch.export.Dim("n", min=1, max=4096)
    names = ("audio", "dry") if predictor.needs_dry else ("audio",)
    about |= dict.fromkeys(names[1:], "float32 (n, samples): the dry sound of each sound, as the sounds")
    examples = {name: torch.randn(2, predictor.samples).clamp(-1, 1) for name in names}
    return _Program(Standalone(predictor, predictor.peak), examples, {name: {0: rows} for name in names}, about)


def _embedding_program(run: Path) -> _Program:
    """A run's network up to its embedding. Raises `UsageError` for networks without one."""
    predictor = Predictor(run)
    if not hasattr(predictor.trained.network.network, "embed"):
        raise UsageError(f"{predictor.trained.model} has no embedding; regressor_cnn and inverse_flow have one.")
    if predictor.needs_dry:
        raise UsageError(f"{run.name} learned with the dry sound beside it: an embedding is of a sound alone.")
    about = {
        "model": predictor.trained.model,
        "rate": predictor.rate,
        "samples": predictor.samples,
        "input": "float32 (n, samples), mono, each sound beginning at its onset, padded with zeros or cut",
        "outputs": ["embedding"],
    }
    example = torch.randn(2, predictor.samples).clamp(-1, 1)
    rows = torch.export.Dim("n", min=1, max=4096)
    return _Program(StandaloneEmbedding(predictor), {"audio": example}, {"audio": {0: rows}}, about)


def export_model(run: Path, out: Path, *, embedding: bool = False) -> dict[str, Any]:
    """Write a run as one file: `.pt2` needs only torch, `.onnx` any runtime of ONNX (opset 18). Returns what is said of
    it in the file: `about.json` of a .pt2, the metadata `about` of an .onnx. With `embedding` the file gives what the
    network makes of a sound before its outputs: the feature set `embedding` takes it.

    Raises `UsageError` for features that cannot be exported and for a file that is there already, and
    `MissingDependencyError` where ONNX is asked for and onnxscript is not installed.
    """
    if out.exists():
        raise UsageError(f"{out} exists already: choose another --out, or delete it first.")
    if out.suffix not in FORMATS:
        raise UsageError(f"--out {out}: give a file name that ends in {' or '.join(FORMATS)}.")
    if not out.parent.is_dir():
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}.")
    program = _embedding_program(run) if embedding else _program(run)
    program.module.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = torch.export.export(
            program.module,
            tuple(program.inputs.values()),
            dynamic_shapes=program.free,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        content = FORMATS[out.suffix](exported, program)
    try:
        with whole(out) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise BuildError(f"{out} cannot be written: {error.strerror}.") from None
    return program.about


def _as_pt2(exported: torch.export.ExportedProgram, program: _Program) -> bytes:
    content = io.BytesIO()  # written by Python: PyTorch's own writer ends the process on a full disk
    torch.export.save(exported, content, extra_files={"about.json": json.dumps(program.about, indent=2)})
    return content.getvalue()


def _as_onnx(exported: torch.export.ExportedProgram, program: _Program) -> bytes:
    try:
        import onnx  # noqa: F401  # which torch.onnx needs
        import onnxscript  # noqa: F401  # and this
    except ImportError:
        raise MissingDependencyError(
            "to export as ONNX, install onnx and onnxscript: pip install 'timbre-data[onnx]'."
        ) from None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    made = torch.onnx.export(
        exported,
        tuple(program.inputs.values()),
        dynamic_shapes=program.free,
        input_names=list(program.inputs),
        output_names=program.about["outputs"],
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    model = made.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "about", json.dumps(program.about)
    return bytes(model.SerializeToString())


FORMATS: dict[str, Callable[[torch.export.ExportedProgram, _Program], bytes]] = {".pt2": _as_pt2, ".onnx": _as_onnx}
"""How a program becomes a file, by the end of its name."""
