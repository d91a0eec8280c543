"""What a network makes of a sound, as a feature vector: any ONNX program that maps sounds to vectors.

One of this project's own encoders (`timbre-data export-model RUN --embedding --out encoder.onnx`), or that of a
well-kept package (PANNs, CLAP) exported from there. The file is named, never fetched; it is data for the runtime, and
its SHA-256 is kept with the features.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import MissingDependencyError, UsageError


class EmbeddingSettings(Frozen):
    """The program: its first input takes mono sounds [shape=(n, samples)], its first output is the embedding [shape=(n,
    d)].
    """

    path: str = Field(description="ONNX file (.onnx)")
    rate: int | None = Field(
        None, ge=1000, description="rate in Hz that it takes; by default what it says itself, else that of the dataset"
    )
    sha256: str | None = Field(None, description="digest of the file; filled in, and checked where given")

    @model_validator(mode="after")
    def _known(self) -> Self:
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise ValueError(f"path: there is no file {self.path}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if self.sha256 not in (None, digest):
            raise ValueError(f"sha256: {self.path} is another file than it was ({digest[:12]}...)")
        object.__setattr__(self, "sha256", digest)
        return self


@lru_cache(maxsize=4)
def _session(path: str, digest: str) -> Any:
    """The program, on one thread: tasks of a build run side by side."""
    try:
        import onnxruntime  # type: ignore[import-untyped]  # it has no types
    except ImportError:
        raise MissingDependencyError("embeddings need onnxruntime: pip install 'timbre-data[onnx]'.") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(Path(path).expanduser()), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has an exception of its own for each fault
        raise UsageError(f"{path} is no ONNX program that can be run ({str(error).splitlines()[0][:120]}).") from None


def _opened(settings: EmbeddingSettings) -> tuple[Any, int | None, int | None]:
    """The program, the rate that it takes, and the samples, where it says so."""
    session = _session(settings.path, settings.sha256 or "")
    about = json.loads(session.get_modelmeta().custom_metadata_map.get("about", "{}"))
    shape = session.get_inputs()[0].shape
    if len(shape) != 2 or len(session.get_outputs()[0].shape) != 2:
        raise UsageError(f"{settings.path}: its first input and output must be (n, samples) and (n, numbers).")
    samples = shape[1] if isinstance(shape[1], int) else None
    return session, settings.rate or about.get("rate"), samples


@lru_cache(maxsize=16)
def _width(settings: EmbeddingSettings) -> int:
    """Numbers of an embedding."""
    session, _, samples = _opened(settings)
    said = session.get_outputs()[0].shape[1]
    return said if isinstance(said, int) else int(_run(session, np.zeros((1, samples or 32_000), np.float32)).shape[1])


def _run(session: Any, sounds: Audio) -> NDArray[np.float32]:
    return np.asarray(session.run(None, {session.get_inputs()[0].name: sounds})[0], np.float32)


def _columns(rate: int, samples: int, settings: EmbeddingSettings) -> Columns:
    width = _width(settings)
    return Columns(shape=(width,), names=tuple(f"embedding_{k}" for k in range(width)))


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: EmbeddingSettings) -> NDArray[np.float32]:
    session, wanted, samples = _opened(settings)
    out = np.empty((len(audio), _width(settings)), np.float32)
    for k, sound in enumerate(audio):  # one by one: a row's numbers do not depend on the others
        if wanted and wanted != rate:
            from scipy.signal import resample_poly

            common = gcd(wanted, rate)
            sound = resample_poly(sound.astype(np.float64), wanted // common, rate // common).astype(np.float32)
        if samples is not None:
            sound = np.pad(sound[:samples], (0, max(0, samples - len(sound))))
        out[k] = _run(session, np.ascontiguousarray(sound[None]))[0]
    return out


FEATURES = FeatureSet(
    summary="What a network makes of a sound: the output of an ONNX program that is given by its path.",
    group="features",
    settings=EmbeddingSettings,
    columns=_columns,
    compute=_compute,
)
