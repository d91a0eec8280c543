"""Using a run on files: right answers or one-line errors, and the exported file says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from tests import warm
from tests.conftest import Once
from timbre_data.models.inference.matching import beside, match, refine, write_match
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.report import Setting
from timbre_data.models.inference.sound_files import load_sound, note_starts
from timbre_data.models.inference.spectral_search import distances
from timbre_data.models.inference.standalone import export_model
from timbre_data.models.inference.tensor_features import Features163, Yin
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import train
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sound.note_pitch import note_f0
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

NAMES = ("modulation", "delay", "distortion")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def runs(shared: Path, once: Once) -> Path:
    """A classifier, a regressor and a small AutoFX that it conditions."""

    def make(folder: Path) -> None:
        data = tuple(str(shared / effect) for effect in NAMES)
        common = {"data": data, "limit": 300}
        train.train(TrainSettings(model="class-mlp", max_epochs=25, **common), name=str(folder / "class"))
        condition = {"conditioning": str(folder / "class")}
        train.train(
            TrainSettings(model="regressor-mlp", max_epochs=5, **condition, **common), name=str(folder / "regressor")
        )
        train.train(
            TrainSettings(
                model="autofx",
                max_epochs=1,
                train_rows=16,
                options={"spectrogram": "log_mel", "n_mels": 32},
                **condition,
                **common,
            ),
            name=str(folder / "autofx"),
        )

    return once("prediction", make)


@pytest.fixture
def take(shared: Path, tmp_path: Path) -> Callable[[str, int], Path]:
    """A row of a dataset as a WAV file."""

    def write(effect: str, row: int) -> Path:
        data = Dataset(str(shared / effect))
        path = tmp_path / f"{effect}{row}.wav"
        soundfile.write(path, data.audio(row)[0], data.recipe.audio.rate, subtype="PCM_16")
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("model", ["class", "regressor", "autofx"])
def test_a_row_as_a_file_gives_what_evaluation_gives(
    runs: Path, shared: Path, take: Callable[[str, int], Path], model: str
) -> None:
    found = np.load(evaluate(runs / model, sounds=0).folder / "predictions.npz")
    k = int(np.flatnonzero(found["dataset"] == 2)[0])
    row = int(found["row"][k])
    data = Dataset(str(shared / "distortion"))
    f0_hz = float(data.read("dry/f0_hz")[int(data.read("dry/index", row))])
    said = Predictor(runs / model).predict(take("distortion", row), f0_hz=f0_hz)
    assert len(said.notes) == 1
    values = said.probabilities if model == "class" else said.labels
    assert np.allclose(list(values.values()), found["predicted"][k], atol=2e-3)


def test_the_effect_is_recognised_and_its_parameters_have_units(runs: Path, take: Callable[[str, int], Path]) -> None:
    predictor = Predictor(runs / "regressor")
    said = predictor.predict(take("distortion", 3))
    (setting,) = predictor.steps(said)
    assert said.classes()[0] == setting.effect == "distortion"
    assert set(setting.values) == set(EFFECTS.load("distortion").space.names)
    assert 0 <= setting.values["drive_db"] <= 60
    assert setting.texts["drive_db"].endswith(" dB")
    (other,) = predictor.steps(said, "delay")
    assert set(other.values) == {"delay_seconds", "feedback", "mix"}
    with pytest.raises(UsageError, match="it knows those of delay, distortion, modulation"):
        predictor.steps(said, "reverb")


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"), [("wav", 96_000, 8), ("flac", 48_000, 2), ("mp3", 44_100, 1), ("ogg", 8_000, 1)]
)
def test_any_format_rate_and_channel_count_is_the_same_sound(
    tmp_path: Path, suffix: str, rate: int, channels: int
) -> None:
    sound = (0.5 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)).astype(np.float32)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.tile(soxr.resample(sound, 22_050, rate)[:, None], channels), rate)
    heard = load_sound(path, 22_050)
    assert abs(len(heard) - 22_050) < 2500  # MP3 pads
    assert note_f0(heard[5000:15_000], 22_050) == pytest.approx(440, rel=0.002)
    assert np.abs(heard).max() == pytest.approx(0.5, rel=0.15)


def _broken(path: Path) -> None:
    path.write_bytes(b"RIFF" + bytes(100))


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing there": (lambda path: None, "not a readable sound file"),
    "empty": (lambda path: path.touch(), "not a readable sound file"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0), 22_050), "holds no samples"),
    "broken": (_broken, "not a readable sound file"),
    "silent": (lambda path: soundfile.write(path, np.zeros(30_000), 22_050), "silent"),
    "short": (lambda path: soundfile.write(path, np.full(800, 0.5), 22_050), "36 ms is too short"),
    "not finite": (lambda path: soundfile.write(path, np.full(9000, np.nan), 22_050, subtype="FLOAT"), "not finite"),
    "long": (lambda path: soundfile.write(path, np.zeros(3601 * 100, "int16"), 100), "3601 s is too long"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_is_one_line(tmp_path: Path, case: str) -> None:
    make, said = UNUSABLE[case]
    make(tmp_path / "a.wav")
    with pytest.raises(UsageError, match=said) as error:
        load_sound(tmp_path / "a.wav", 22_050)
    assert len(str(error.value).splitlines()) == 1


def test_notes_of_a_melody_are_found_and_an_echo_is_part_of_its_note() -> None:
    rate, window = 22_050, 22_050
    source = SOURCES.load("plucked_string").open(SOURCES.load("plucked_string").settings())
    sound = np.zeros(rate * 65, np.float32)
    expected = [3000, 50_000, 90_000, rate * 31, rate * 40, rate * 60]
    for k, start in enumerate(expected):
        sound[start : start + window] += source.render(40 + 7 * k, rate, 1, window)[0]
    starts = note_starts(sound, rate, window)
    assert len(starts) == len(expected)
    assert np.abs(np.array(starts) - expected).max() < 0.03 * rate
    echo = EFFECTS.load("delay").render(
        source.render(60, rate, 1, window), rate, {"delay_seconds": 0.4, "feedback": 0.3, "mix": 0.5}
    )
    assert len(note_starts(echo[0], rate, window)) == 1


def test_the_match_is_the_dry_sound_through_the_predicted_effect(
    runs: Path, take: Callable[[str, int], Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    dry = tmp_path / "dry.wav"
    soundfile.write(dry, 0.3 * rng.standard_normal((20_000, 2)), 44_100, subtype="FLOAT")
    predictor = Predictor(runs / "regressor")
    steps = predictor.steps(predictor.predict(take("distortion", 3)), "distortion")
    write_match(dry, steps, tmp_path / "match.wav")
    made, rate = soundfile.read(tmp_path / "match.wav", dtype="float32")
    sound = soundfile.read(dry, dtype="float32")[0].T
    expected = EFFECTS.load("distortion").render(sound / np.abs(sound).max(), 44_100, steps[0].values)
    assert rate == 44_100
    assert np.allclose(made.T, expected / np.abs(expected).max(), atol=1e-6)
    assert np.array_equal(match(dry, steps)[0], match(dry, steps)[0])
    with pytest.raises(UsageError, match="cannot be written"):
        write_match(dry, steps, tmp_path / "nowhere" / "match.wav")


def test_predict_imports_no_training(runs: Path, take: Callable[[str, int], Path]) -> None:
    """Lightning, matplotlib, scikit-learn and SciPy's transforms take seconds, and the dataset is not opened."""
    heavy = {"lightning", "torch._dynamo", "matplotlib", "sklearn", "zarr", "icechunk", "distributed", "scipy.fft"}
    script = f"import sys; from timbre_data.cli import main\ntry: main()\nfinally: print(sorted({heavy!r} & set(sys.modules)))"
    words = ["predict", str(runs / "regressor"), str(take("delay", 0)), "--effect", "delay"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert "delay_seconds" in done.stdout


@pytest.mark.parametrize("name", ["autofx163", "autofx163_sound"])
def test_features_in_tensor_operations_are_those_of_the_kernels(shared: Path, name: str) -> None:
    sounds = np.concatenate([Dataset(str(shared / effect)).audio(slice(0, 40)).mean(axis=1) for effect in NAMES])
    nothing = np.full(len(sounds), np.nan, np.float32)
    features = FEATURE_SETS.load(name)
    expected = features.compute(sounds, 22_050, nothing, features.settings())
    made = Features163(sounds.shape[1], 22_050, {})(torch.from_numpy(sounds)).numpy()
    spread = expected.std(axis=0)
    assert (np.abs(made - expected) <= 1e-3 * spread + 1e-6 * np.abs(expected)).mean() > 0.999
    pitches = Yin(sounds.shape[1], 22_050)(torch.from_numpy(sounds)).numpy()
    assert np.allclose(pitches, [note_f0(sound, 22_050) for sound in sounds], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["class", "regressor", "autofx"])
def test_an_exported_run_says_the_same_without_this_project(
    runs: Path, take: Callable[[str, int], Path], tmp_path: Path, model: str
) -> None:
    about = export_model(runs / model, tmp_path / "model.pt2")
    predictor, wav = Predictor(runs / model), take("modulation", 5)
    sound = load_sound(wav, about["rate"])[None]
    probabilities, labels = predictor.predict_arrays(sound, np.full(1, np.nan, np.float32))
    with torch.inference_mode():
        program = torch.export.load(tmp_path / "model.pt2").module()
        outputs = dict(zip(about["outputs"], program(torch.from_numpy(sound)), strict=True))
        assert len(program(torch.from_numpy(np.repeat(sound, 3, axis=0)))[0]) == 3
    assert probabilities is not None
    assert np.allclose(outputs["probabilities"].numpy(), probabilities, atol=1e-3)
    if labels is not None:
        low, high = (np.array([one[end] for one in about["parameters"]]) for end in ("low", "high"))
        assert np.allclose((outputs["parameters"].numpy() - low) / (high - low), labels, atol=2e-3)
    blocked = (
        "import sys, runpy; sys.modules['timbre_data'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    )
    example = ROOT / "examples" / "standalone.py"
    assert len(example.read_text().splitlines()) <= 24
    done = subprocess.run(
        [sys.executable, "-c", blocked, str(example), str(tmp_path / "model.pt2"), str(wav)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 + (15 if model != "class" else 0)
    shown = {line.split()[0]: float(line.split()[1]) for line in lines[:3]}
    assert shown == pytest.approx(dict(zip(NAMES, 100 * probabilities[0], strict=True)), abs=0.1)
    with pytest.raises(UsageError, match="exists already"):
        export_model(runs / model, tmp_path / "model.pt2")


@pytest.mark.slow
def test_refining_brings_the_match_closer(
    runs: Path, shared: Path, take: Callable[[str, int], Path], tmp_path: Path
) -> None:
    data = Dataset(str(shared / "distortion"))
    dry = tmp_path / "dry.wav"
    soundfile.write(dry, data.dry(3)[0], data.recipe.audio.rate, subtype="FLOAT")
    predictor, wav = Predictor(runs / "regressor"), take("distortion", 3)
    steps = predictor.steps(predictor.predict(wav, dry=dry), "distortion")
    better, _ = refine(predictor, steps, wav, dry, 120)
    assert set(better[0].values) == set(steps[0].values)
    target = load_sound(wav, 22_050)
    before, after = (
        distances(match(dry, one)[0][:, : len(target)].astype(np.float32), target[None])[0] for one in (steps, better)
    )
    assert after < 0.8 * before


@pytest.mark.slow
def test_all_notes_of_a_phrase_are_refined(runs: Path, shared: Path, tmp_path: Path) -> None:
    """Where both files have as many; a dry note for all of them is heard beside the first."""
    data = Dataset(str(shared / "distortion"))
    rate = data.recipe.audio.rate
    notes = [np.pad(data.dry(row)[0, :8000], (0, 2000)) for row in (3, 40, 90)]
    phrase, note, wet = tmp_path / "phrase.wav", tmp_path / "note.wav", tmp_path / "wet.wav"
    soundfile.write(phrase, np.concatenate(notes), rate, subtype="FLOAT")
    soundfile.write(note, notes[0], rate, subtype="FLOAT")
    middle = EFFECTS.load("distortion").space
    true = {parameter.name: float(parameter.to_value(0.5)) for parameter in middle}
    write_match(phrase, [Setting("distortion", true, {})], wet)
    predictor = Predictor(runs / "regressor")
    both = beside(predictor, wet, phrase)
    assert both[0].shape == both[1].shape
    assert both[0].shape[1] > 2.5 * predictor.samples
    assert all(np.abs(sound).max() == 1 for sound in both)
    assert [sound.shape[1] for sound in beside(predictor, wet, note)] == 2 * [predictor.samples]
    far = {parameter.name: float(parameter.to_value(0.3)) for parameter in middle}
    better, (before, after) = refine(predictor, [Setting("distortion", far, {})], wet, phrase, 80)
    assert after < 0.7 * before
    assert abs(better[0].values["drive_db"] - true["drive_db"]) < abs(far["drive_db"] - true["drive_db"])


@pytest.mark.slow
def test_the_command_line_predicts_and_exports(runs: Path, take: Callable[[str, int], Path], tmp_path: Path) -> None:
    wav = str(take("distortion", 3))
    said = warm.run("predict", str(runs / "regressor"), wav, "--dry", wav, "--out", str(tmp_path / "m.wav"), "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["effects"][0]["effect"] == "distortion"
    assert (tmp_path / "m.wav").is_file()
    assert "drive_db" in warm.run("predict", str(runs / "regressor"), wav).stdout
    wrong = warm.run("predict", str(runs / "regressor"), str(tmp_path / "nothing.wav"))
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert warm.run("predict", str(runs / "regressor"), wav, "--out", "x.wav").returncode == 2
    assert warm.run("export-model", str(runs / "class"), "--out", str(tmp_path / "c.pt2")).returncode == 0
