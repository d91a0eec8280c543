"""A trained run as one self-contained file: sound in; classes, parameters or sound out, without this project.

The file is a torch.export program (.pt2) or ONNX (.onnx): level, features, networks and physical units are inside, with
a description of inputs and outputs. Feature extraction is written once more for it, in `tensor_features`.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from timbre_data.models.architectures.eq_autoencoder import FRAME
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.standalone_modules import (
    Standalone,
    StandaloneEqualiser,
    StandaloneFrames,
    StandaloneVector,
    Vector,
)
from timbre_data.models.training.checkpoints import load
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.store.columns import FRAME_SECONDS
from timbre_data.schemas.errors import BuildError, MissingDependencyError, UsageError


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


def _vector_program(run: Path, vector: Vector) -> _Program:
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
        "outputs": [vector],
    }
    example = torch.randn(2, predictor.samples).clamp(-1, 1)
    rows = torch.export.Dim("n", min=1, max=4096)
    return _Program(StandaloneVector(predictor, vector), {"audio": example}, {"audio": {0: rows}}, about)


def export_model(run: Path, *outs: Path, vector: Vector | None = None) -> dict[str, Any]:
    """Write a run as one file, or as several that are traced once: `.pt2` needs only torch, `.onnx` any runtime of ONNX
    (opset 18). Returns what is said of it in the file: `about.json` of a .pt2, the metadata `about` of an .onnx. With
    `vector` the file gives what the network makes of a sound before its outputs: the feature set `embedding` takes it.

    Raises `UsageError` for features that cannot be exported and for a file that is there already, and
    `MissingDependencyError` where ONNX is asked for and onnxscript is not installed.
    """
    for out in outs:
        if out.exists():
            raise UsageError(f"{out} exists already: choose another --out, or delete it first.")
        if out.suffix not in FORMATS:
            raise UsageError(f"--out {out}: give a file name that ends in {' or '.join(FORMATS)}.")
        if not out.parent.is_dir():
            raise UsageError(f"{out} cannot be written: there is no folder {out.parent}.")
    program = _vector_program(run, vector) if vector else _program(run)
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
        contents = [FORMATS[out.suffix](exported, program) for out in outs]
    for out, content in zip(outs, contents, strict=True):
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
