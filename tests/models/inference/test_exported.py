"""Exported runs give the answers of `predict` where this project is not: torch.export, ONNX Runtime and C++."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import MODELS, Shape
from timbre_data.models.architectures.eq_autoencoder import EqAutoencoder, EqOptions
from timbre_data.models.architectures.jingju_gmm import JingjuGmm
from timbre_data.models.data.windows import windows_of
from timbre_data.models.evaluation.equaliser_losses import play
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.standalone import export_model
from timbre_data.models.inference.tensor_features import IN_TENSORS
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Standardized, Trained
from timbre_data.models.training.frontends import sound_frontend
from timbre_data.models.training.runs import CLASSIFIER
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import MissingDependencyError, UsageError
from timbre_data.schemas.settings import TrainSettings

ROOT = Path(__file__).parents[3]
RATE, SAMPLES = 22_050, 8820


@dataclass(frozen=True)
class Kind:
    """A kind of run: network, what it takes, whether a classifier conditions it, its target, and its options."""

    model: str
    features: tuple[str, ...] = ()
    conditioned: bool = False
    target: str = "parameters"
    rate: int = RATE
    samples: int = SAMPLES
    condition: int = 0


CLASSES = Kind("class_mlp", ("autofx163",), target="effect")
KINDS = {
    "211C": Kind("regressor_mlp", ("autofx163", "autofx48"), conditioned=True),
    "AutoFX with features": Kind("autofx", ("autofx48",)),
    "tags": Kind("irmas_single", target="tags", rate=12_000, samples=32_768),
    "frames": Kind("jingju_proposed", target="frames", rate=44_100, samples=9261),
    "mixtures": Kind("jingju_gmm", target="frames", rate=44_100, samples=9261),
    "equaliser of any setting": Kind("eq_autoencoder", target="transformation", rate=16_000, condition=3),
}


def fabricated(kind: Kind, folder: Path, sounds: NDArray[np.float32]) -> Path:
    """A run of that kind with random weights, standardised by the sounds that are to be predicted."""
    folder.mkdir(parents=True)
    model = MODELS.load(kind.model)
    torch.manual_seed(3)
    described = tuple(
        {"name": f"distortion.{k}", "kind": one, "low": 1.0, "high": 10.0, "unit": "dB"}
        for k, one in enumerate(("linear", "log", "linear"))
    )
    features = [FEATURE_SETS.load(name) for name in kind.features]
    nothing = np.full(len(sounds), np.nan, np.float32)
    tables = [one.compute(sounds, kind.rate, nothing, one.settings()) for one in features]
    width = sum(table.shape[1] for table in tables)
    positions = (0, 0, 0) if kind.target == "parameters" else ()
    takes_sound = model.input == "audio"
    shape = Shape(width, 3, 6 if kind.conditioned else 0, positions=positions)
    if takes_sound:
        shape = Shape(width, 3, shape.conditioning, kind.samples, kind.rate, positions)
    if kind.target == "transformation":
        shape = Shape(0, 0, conditioning=kind.condition, samples=1024, rate=kind.rate)
    network = Standardized(model.build(shape, model.options()), shape.inputs)
    if width:
        network.fit(torch.from_numpy(np.concatenate(tables, axis=1)))
    if kind.model == "jingju_gmm":
        every = windows_of_recording(kind, model.options().model_dump(mode="json"), recording_of(sounds))
        windows = every[np.arange(len(every))]
        mixtures = cast(JingjuGmm, network.network)
        mixtures.fit_front([windows])
        mixtures.fit_classes([windows], np.arange(len(windows)) * 3 // len(windows), 0)
    regression = kind.target == "parameters"
    trained = Trained(
        model=kind.model,
        network=network.eval(),
        shape=shape,
        options=model.options().model_dump(mode="json"),
        features=kind.features,
        feature_names=(),
        outputs=() if kind.target == "transformation" else ("a", "b", "c"),
        families=() if regression else ("distortion", "reverb", "delay"),
        target=kind.target,
        rate=kind.rate,
        samples=kind.samples,
        feature_settings={
            name: one.settings().model_dump(mode="json") for name, one in zip(kind.features, features, strict=True)
        },
        parameters=described if regression or kind.condition else (),
        effects=("distortion",) * 3 if regression else (),
    )
    checkpoints.save(trained, folder)
    settings = TrainSettings(
        model=kind.model, data=("x",), target=kind.target, conditioning="gone" if kind.conditioned else None
    )
    audio = {"rate": kind.rate, "seconds": kind.samples / kind.rate}
    about = {"settings": settings.model_dump(mode="json"), "snapshots": {"x": "y"}, "audio": audio, "synth": False}
    (folder / "settings.json").write_text(json.dumps(about))
    if kind.conditioned:
        fabricated(CLASSES, folder / CLASSIFIER, sounds)
    return folder


@pytest.fixture(scope="module")
def sounds(shared: Path) -> NDArray[np.float32]:
    """A few rows of three effects [shape=(12, samples)]."""
    parts = [Dataset(str(shared / name)).audio(slice(0, 4))[:, 0] for name in ("modulation", "delay", "distortion")]
    return np.ascontiguousarray(np.concatenate(parts)[:, :SAMPLES])


@dataclass(frozen=True)
class Expected:
    """Inputs of an exported program, and what `predict` says: outputs scaled to [0, 1] or probabilities, or sound."""

    inputs: dict[str, NDArray[np.float32]]
    outputs: dict[str, NDArray[Any]]


def recording_of(sounds: NDArray[np.float32]) -> NDArray[np.float32]:
    """A recording of several notes [shape=(1, samples)]."""
    return np.tile(sounds[:5].reshape(-1), 3)[None]


def windows_of_recording(kind: Kind, options: dict[str, Any], recording: NDArray[np.float32]) -> Any:
    """Windows of the frames of a recording, as `predict` makes them."""
    model = MODELS.load(kind.model)
    sound = torch.from_numpy(recording / np.abs(recording).max())
    return windows_of(sound_frontend(model, options, kind.rate)(sound)[0], model.context)


def expected_of(kind: Kind, run: Path, sounds: NDArray[np.float32]) -> Expected:
    """What our own code says of a few sounds."""
    trained = checkpoints.load(run).for_inference()
    if kind.target == "transformation":
        sound = np.concatenate(list(sounds[:3])) * np.float32(0.5)
        settings = torch.rand(1, kind.condition) if kind.condition else None
        level = EqOptions.model_validate(trained.options).level_db
        network = trained.network.network
        assert isinstance(network, EqAutoencoder)
        with torch.inference_mode():
            changed = play(network, sound, level, None if settings is None else settings[0])
        given = {} if settings is None else {"settings": settings.numpy()}
        return Expected({"audio": sound} | given, {"sound": changed})
    if kind.target == "frames":
        recording = recording_of(sounds)
        windows = windows_of_recording(kind, trained.options, recording)
        probabilities = trained.predict(torch.empty(len(windows), 0), None, windows).numpy()
        return Expected({"audio": recording}, {"probabilities": probabilities})
    notes = np.zeros((len(sounds), kind.samples), np.float32)
    notes[:, : min(SAMPLES, kind.samples)] = sounds[:, : kind.samples]
    classes, labels = Predictor(run).predict_arrays(notes, np.full(len(notes), np.nan, np.float32))
    outputs: dict[str, NDArray[Any]] = {} if classes is None else {"probabilities": classes}
    return Expected({"audio": notes}, outputs | ({} if labels is None else {"parameters": labels}))


def difference(about: dict[str, Any], made: dict[str, NDArray[Any]], expected: Expected) -> float:
    """The largest difference from what `predict` says, with parameters as shares of their range."""
    worst = 0.0
    for name, values in expected.outputs.items():
        found = made[name].astype(np.float64)
        if name == "parameters":
            low, high = 1.0, 10.0
            logarithmic = np.array([one["kind"] == "log" for one in about["parameters"]])
            linear = (found - low) / (high - low)
            found = np.where(logarithmic, np.log(np.maximum(found, 1e-9) / low) / np.log(high / low), linear)
        assert found.shape == values.shape
        assert np.ptp(values) > 1e-4, "the answer is the same for all sounds"
        worst = max(worst, float(np.abs(found - values).max()))
    return worst


ELSEWHERE = """
import json, sys
for name in ("timbre_data", "torch"):
    sys.modules[name] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["about"])
inputs = dict(np.load(sys.argv[2]))
np.savez(sys.argv[3], **dict(zip(about["outputs"], session.run(None, inputs))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_an_exported_run_says_what_predict_says(
    name: str, sounds: NDArray[np.float32], compiled: Path | None, tmp_path: Path
) -> None:
    """Slow: exporting takes seconds, ONNX Runtime runs in a process without torch, and the C++ example is compiled."""
    kind = KINDS[name]
    run = fabricated(kind, tmp_path / "run", sounds)
    expected = expected_of(kind, run, sounds)
    about = export_model(run, tmp_path / "m.pt2", tmp_path / "m.onnx")
    program = torch.export.load(tmp_path / "m.pt2").module()
    with torch.inference_mode():
        results = program(*map(torch.from_numpy, expected.inputs.values()))
    results = results if isinstance(results, tuple) else (results,)
    made = {key: value.numpy() for key, value in zip(about["outputs"], results, strict=True)}
    assert difference(about, made, expected) < 1e-4

    onnx.checker.check_model(str(tmp_path / "m.onnx"))
    np.savez(tmp_path / "inputs.npz", **expected.inputs)  # type: ignore[arg-type]  # arrays
    paths = [str(tmp_path / file) for file in ("m.onnx", "inputs.npz", "outputs.npz")]
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = dict(np.load(tmp_path / "outputs.npz"))
    assert difference(about, made, expected) < 1e-4
    if compiled:
        first = {
            key: value if key == "sound" or kind.target == "frames" else value[:1]
            for key, value in expected.outputs.items()
        }
        made = _said_by(compiled, tmp_path, expected, first)
        assert difference(about, made, Expected(expected.inputs, first)) < 1e-4


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The C++ example, compiled with the headers that scripts/onnxruntime-headers fetched or the system has, and the
    library inside the Python package; None where one is missing.
    """
    import onnxruntime  # type: ignore[import-untyped]  # it has no types

    folder = tmp_path_factory.mktemp("example")
    source = ROOT / "examples" / "standalone.cpp"
    assert len(source.read_text().splitlines()) <= 40
    libraries = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))
    headers = [ROOT / "build" / "onnxruntime" / "include", Path("/usr/include/onnxruntime")]
    found = [path for path in headers if (path / "onnxruntime_cxx_api.h").is_file()]
    if not libraries or not found or not shutil.which("g++"):
        return None
    for library in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / library).symlink_to(libraries[0])
    options = ["-I", str(found[0]), "-L", str(folder), "-lonnxruntime", f"-Wl,-rpath,{folder}"]
    command = ["g++", "-std=c++17", str(source), *options, "-o", str(folder / "standalone")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "standalone"


def _said_by(program: Path, folder: Path, expected: Expected, like: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What the C++ example prints of the first sound."""
    audio = expected.inputs["audio"]
    (folder / "sound.f32").write_bytes((audio if audio.ndim == 1 else audio[0]).tobytes())
    settings = [str(value) for value in expected.inputs.get("settings", np.empty(0)).ravel()]
    command = [str(program), str(folder / "m.onnx"), str(folder / "sound.f32"), *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {
        key: np.array([float(value) for label, value in lines if label == key]).reshape(values.shape)
        for key, values in like.items()
    }


@pytest.mark.parametrize("name", ["autofx48", "autofx163_sound"])
def test_features_in_tensors_are_those_of_the_kernels(name: str, sounds: NDArray[np.float32]) -> None:
    cut = sounds * (np.arange(SAMPLES) < 5000)  # silence has no pitch
    every = np.ascontiguousarray(np.concatenate([sounds, cut, np.zeros((1, SAMPLES))]), np.float32)
    features = FEATURE_SETS.load(name)
    expected = features.compute(every, RATE, np.full(len(every), np.nan, np.float32), features.settings())
    made = IN_TENSORS[name](SAMPLES, RATE, {})(torch.from_numpy(every)).numpy()
    spread = expected.std(axis=0)
    assert (np.abs(made - expected) <= 1e-3 * spread + 1e-5 * np.abs(expected)).mean() > 0.999


def test_what_cannot_be_exported_is_said(
    sounds: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., int]
) -> None:
    run = fabricated(CLASSES, tmp_path / "run", sounds)
    with pytest.raises(UsageError, match=r"ends in \.pt2 or \.onnx"):
        export_model(run, tmp_path / "m.pth")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"timbre-data\[onnx\]"):
        export_model(run, tmp_path / "m.onnx")
    assert command("export-model", str(run), "--out", str(tmp_path / "nowhere" / "m.onnx")) == 2
    assert sorted(path.name for path in tmp_path.glob("m*")) == []
