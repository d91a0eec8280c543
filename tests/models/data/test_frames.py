"""Frames: labelled, seen with their context over the seams of pieces, learned, scored and written as a TextGrid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from praatio import textgrid
from sklearn.mixture import GaussianMixture

from tests.conftest import build
from tests.fixtures import jingju
from timbre_data.models.architectures import MODELS
from timbre_data.models.architectures.jingju_gmm import Mixtures
from timbre_data.models.data.windows import load_frames, windows_of
from timbre_data.models.inference import report
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import checkpoints, frontends, train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.sources.sung_phonemes import SungPhonemes, SungPhonemesSettings
from timbre_data.pipeline.store.columns import FRAMES
from timbre_data.pipeline.store.layout import frame_table, segments_of
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import LeakingSplitError, UsageError
from timbre_data.schemas.settings import TrainSettings

RATE = 16_000
QUICK = {"max_epochs": 3, "patience": 3, "frame_step": 4, "batch_size": 32}


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sung") / "sung"
    changes = {
        "n": 40,
        "audio.rate": RATE,
        "audio.seconds": 2,
        "source.seconds": 2,
        "source.recordings": 20,
        "source.phrases": 2,
        "split.train": 0.6,
        "split.validation": 0.2,
        "split.test": 0.2,
    }
    build(recipes.load(validation.override(recipes.read("sung-phonemes"), changes)), str(folder))
    return folder


def test_labels_are_those_of_the_source(sung: Path) -> None:
    data = Dataset(str(sung))
    source = SungPhonemes(SungPhonemesSettings(recordings=20, phrases=2, seconds=2))
    by_name = {note.identity: note for note in source.notes}
    names, frames = data.names(FRAMES), data.read(FRAMES)
    assert (len(names), frames.shape) == (29, (40, 200))
    for row, identity in enumerate(data.read("dry/identity")[data.read("dry/index").astype(int)]):
        for start, stop, label in by_name[identity].segments:
            middle = int((start + stop) / 2 / 0.01)
            assert names[frames[row, middle]] == label
    assert (frames >= 0).mean() > 0.98


def test_segments_and_frames_are_inverse() -> None:
    segments = [(0.0, 0.12, "a"), (0.12, 0.3, "b"), (0.4, 0.5, "a")]
    table = frame_table([segments], ("a", "b"), 50)
    assert table[0, 35] == -1
    again: list[tuple[Any, Any, str]] = [(pytest.approx(a), pytest.approx(b), c) for a, b, c in segments]
    assert segments_of(table[0], ("a", "b")) == again
    with pytest.raises(ValueError, match="c is not in the list"):
        frame_table([[(0, 1, "c")]], ("a", "b"), 50)


def test_every_class_is_sung() -> None:
    source = SungPhonemes(SungPhonemesSettings(recordings=20))
    assert {label for note in source.notes for _, _, label in note.segments} == set(source.frame_classes)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["dan", "laosheng"])
def test_the_voice_sings_at_its_singers_pitch_and_hisses_where_it_should(role: str) -> None:
    import librosa

    source = SungPhonemes(SungPhonemesSettings(role=role, recordings=8, phrases=3))
    bright: dict[str, list[float]] = {"unvoiced consonant": [], "u": [], "i": [], "a": []}
    voiced: list[float] = []
    for index, note in enumerate(source.notes):
        sound = source.render(index, 44_100, 1, 5 * 44_100)[0]
        for start, stop, label in note.segments:
            part = sound[int((start + 0.03) * 44_100) : int((stop - 0.03) * 44_100)]
            if label in bright and len(part) > 2048:
                spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
                hertz = np.fft.rfftfreq(len(part), 1 / 44_100)
                bright[label].append(float((hertz * spectrum).sum() / spectrum.sum()))
            if label == "a" and len(part) > 8000:
                voiced += librosa.yin(part, fmin=90, fmax=1400, sr=44_100).tolist()
    means = {label: np.mean(values) for label, values in bright.items()}
    assert means["unvoiced consonant"] > 2 * means["a"] > 2 * means["u"]
    low, high = (240, 1000) if role == "dan" else (120, 500)
    assert low < np.median(voiced) < high


def test_windows_repeat_the_edges_of_their_recording() -> None:
    spectrogram = torch.arange(12.0).reshape(2, 6)
    windows = windows_of(spectrogram, 5)
    assert windows.shape == (6, 2, 5)
    assert windows[torch.tensor([0])][0, 0].tolist() == [0, 0, 0, 1, 2]
    assert windows[torch.tensor([5])][0, 1].tolist() == [9, 10, 11, 11, 11]
    assert windows[2:4].shape == (2, 2, 5)


def test_pieces_of_a_recording_are_one_again(tmp_path: Path) -> None:
    """The window over the seam of two rows is that of the file itself."""
    jingju.make(tmp_path / "tree")
    import_dataset("jingju", {"path": tmp_path / "tree", "roles": ["dan"]}, locate("jingju"), Cluster(workers=2))
    kind = MODELS.load("jingju_proposed")
    whole = frontends.sound_frontend(kind, {}, 44_100)
    rows = load_frames([Dataset("jingju")], kind, whole)
    files = Dataset("jingju").read("labels/file")
    seam = 0
    for k in np.flatnonzero(rows.group == "dan/danbz-Bei_jiu_chan01-qm"):
        window = rows.sounds(np.array([k]))[0:1][0].float()
        middle = int(rows.audio.middle[k] - rows.audio.first[k])
        if middle != 505:
            continue
        sound, _ = soundfile.read(tmp_path / "tree" / files[rows.row[k]])
        mono = torch.from_numpy(sound.mean(axis=1)).float()
        theirs = whole((mono / mono.abs().max())[None])[0][:, middle - 10 : middle + 11]
        assert (window - theirs).abs().max() < 0.02
        assert rows.class_names[rows.classes[k]] == "@n"
        seam += 1
    assert seam == 1
    assert len(set(rows.clip)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("model", ["jingju-gmm", "jingju-mlp"])
def test_phonemes_are_learned_scored_and_told(sung: Path, tmp_path: Path, model: str) -> None:
    options = {"components": 4} if model == "jingju-gmm" else {}
    settings = TrainSettings(model=model, data=(str(sung),), options=options, **QUICK)
    run, done = train.train(settings)
    assert done == "trained"
    assert train.train(settings) == (run, "finished already")
    found = evaluate(run).metrics
    assert found["accuracy"] > found["accuracy_of_the_commonest"] + 0.1
    assert found["rows"] == (Dataset(str(sung)).read(FRAMES)[Dataset(str(sung)).split() == 2] >= 0).sum()
    data = Dataset(str(sung))
    soundfile.write(tmp_path / "song.wav", data.audio(0)[0], RATE)
    predictor = Predictor(run)
    heard = predictor.predict(tmp_path / "song.wav")
    truth = data.read(FRAMES, 0)
    of = [next(s for s in heard.segments if s[0] <= (k + 0.5) * 0.01 < s[1])[2] for k in range(200)]
    right = np.mean([name == predictor.trained.outputs[k] for name, k in zip(of, truth, strict=True)])
    assert right > found["accuracy"] - 0.4
    report.write_textgrid(heard, tmp_path / "song.TextGrid")
    read = textgrid.openTextgrid(str(tmp_path / "song.TextGrid"), includeEmptyIntervals=True).getTier("phonemes")
    assert [(one.start, one.end, one.label) for one in read.entries] == [
        (pytest.approx(a), pytest.approx(b), c) for a, b, c, _ in heard.segments
    ]
    assert report.as_data(heard, [])["segments"][0]["start_seconds"] == 0


def test_the_command_line_writes_a_phoneme_track(
    sung: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., int]
) -> None:
    run, _ = train.train(TrainSettings(model="jingju-mlp", data=(str(sung),), max_epochs=1, frame_step=8))
    soundfile.write(tmp_path / "song.wav", Dataset(str(sung)).audio(0)[0], RATE)

    song = str(tmp_path / "song.wav")
    assert command("predict", str(run), song, "--textgrid", str(tmp_path / "x.TextGrid"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["segments"]
    assert (tmp_path / "x.TextGrid").is_file()
    assert command("predict", str(run), song, "--textgrid", str(tmp_path / "x.txt")) == 2
    assert "ends in .TextGrid" in capsys.readouterr().err
    assert command("predict", str(run), song, "--out", str(tmp_path / "x.wav")) == 2
    assert "phoneme track" in capsys.readouterr().err
    assert command("export-model", str(run), "--out", str(tmp_path / "x.pt2")) == 0


def test_what_does_not_fit_is_refused(sung: Path) -> None:
    with pytest.raises(UsageError, match="it learns frames"):
        train.train(TrainSettings(model="jingju-mlp", data=(str(sung),), target="effect"))
    with pytest.raises(UsageError, match="it learns effect"):
        train.train(TrainSettings(model="irmas-single", data=(str(sung),), target="frames"))


@pytest.mark.slow
def test_a_split_by_piece_leaks_and_says_so(sung: Path) -> None:
    kind = MODELS.load("jingju_mlp")
    whole = frontends.sound_frontend(kind, {}, RATE)
    assert not load_frames([Dataset(str(sung))], kind, whole).leaking_groups()
    assert load_frames([Dataset(str(sung))], kind, whole, "row").leaking_groups()
    settings = TrainSettings(
        model="jingju-gmm", data=(str(sung),), split="row", options={"components": 1}, frame_step=8
    )
    run, _ = train.train(settings)
    with pytest.raises(LeakingSplitError):
        evaluate(run)
    assert "leaks" in evaluate(run, allow_leak=True).markdown()


def test_mixtures_have_scikit_learns_likelihoods() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(k, 0.5 + k, (200, 5)) for k in range(3)]).astype(np.float32)
    classes = np.repeat(np.arange(3), 200)
    mixtures = Mixtures(3, 2, 5)
    mixtures.fit(x, classes, seed=0)
    ours = mixtures(torch.from_numpy(x)).detach().numpy()
    for k in range(3):
        theirs = GaussianMixture(2, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(x[classes == k])
        assert np.abs(ours[:, k] - theirs.score_samples(x)).max() < 0.01


def test_a_class_of_one_frame_or_none_has_a_mixture_too() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    classes = np.array([0] * 29 + [1])
    mixtures = Mixtures(3, 2, 4)
    mixtures.fit(x, classes, seed=0)
    found = mixtures(torch.from_numpy(x)).detach().numpy()
    assert np.isfinite(found).all()
    assert found[29].argmax() == 1
    assert (found.argmax(axis=1) < 2).all()


def test_a_saved_mixture_is_the_same(sung: Path) -> None:
    run, _ = train.train(TrainSettings(model="jingju-gmm", data=(str(sung),), options={"components": 2}, frame_step=16))
    assert checkpoints.load(run).outputs == tuple(Dataset(str(sung)).names(FRAMES))
