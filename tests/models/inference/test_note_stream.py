"""Predictions of a stream are those of the whole file, whatever blocks it comes in; several files in one call."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.conftest import Once
from timbre_data.models.inference.note_stream import NoteListener, PcmFormat, mono_blocks, predictions
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.sound_files import note_starts
from timbre_data.models.training import train
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

RATE = 22_050


@pytest.fixture(scope="module")
def run(shared: Path, once: Once) -> Path:
    """A regressor conditioned on a classifier."""

    def make(folder: Path) -> None:
        data = tuple(str(shared / effect) for effect in ("modulation", "delay", "distortion"))
        train.train(TrainSettings(model="class-mlp", max_epochs=6, data=data), name=str(folder / "class"))
        settings = TrainSettings(model="regressor-mlp", max_epochs=2, data=data, conditioning=str(folder / "class"))
        train.train(settings, name=str(folder / "regressor"))

    return once("note-stream", make) / "regressor"


@pytest.fixture(scope="module")
def melody() -> NDArray[np.float32]:
    """Nine plucked notes, unequally far apart, between silences."""
    source = SOURCES.load("plucked_string").open(SOURCES.load("plucked_string").settings())
    sound = np.zeros(RATE * 9, np.float32)
    at = round(0.31 * RATE)
    for k in range(9):
        note = source.render(20 + 9 * k, RATE, 1, round(0.6 * RATE))[0, : round(0.6 * RATE)]
        sound[at : at + len(note)] += 0.5 * note
        at += round((0.72 + 0.05 * (k % 4)) * RATE)
    return sound


def heard(sound: NDArray[np.float32], window: int, block: int) -> list[int]:
    listener = NoteListener(RATE, window)
    notes = [note for first in range(0, len(sound), block) for note in listener.hear(sound[first : first + block])]
    return [start for start, _ in notes + listener.finish()]


@pytest.mark.parametrize("block", [160, 2205, 7000, 10**6])
def test_the_notes_of_a_stream_are_those_of_the_file(melody: NDArray[np.float32], block: int) -> None:
    window = round(0.4 * RATE)
    whole = note_starts(melody, RATE, window)
    assert len(whole) == 9
    streamed = heard(melody, window, block)
    assert len(streamed) == 9
    assert np.abs(np.array(streamed) - whole).max() <= 0.012 * RATE


def test_a_listener_forgets_what_is_past(melody: NDArray[np.float32]) -> None:
    listener = NoteListener(RATE, round(0.4 * RATE))
    for _ in range(20):
        for first in range(0, len(melody), 2205):
            listener.hear(melody[first : first + 2205])
        listener.hear(np.zeros(30 * RATE, np.float32))
        assert len(listener._sound) < 6 * RATE


def test_silence_and_hiss_hold_no_notes() -> None:
    hiss = 10 ** (-60 / 20) * np.random.default_rng(0).uniform(-1, 1, 5 * RATE).astype(np.float32)
    assert heard(np.zeros(5 * RATE, np.float32), 8820, 1000) == []
    assert heard(hiss, 8820, 1000) == []
    assert heard(np.empty(0, np.float32), 8820, 1000) == []


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RAW"])
def test_samples_are_read_as_soundfile_reads_them(subtype: str, form: str) -> None:
    sound = np.random.default_rng(1).uniform(-0.9, 0.9, (3000, 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, 44_100, subtype=subtype, format=form, endian="LITTLE" if form == "RAW" else "FILE")
    buffer.seek(0)
    options = {"samplerate": 44_100, "channels": 2, "subtype": subtype, "format": "RAW", "endian": "LITTLE"}
    expected = soundfile.read(buffer, always_2d=True, **(options if form == "RAW" else {}))[0].mean(axis=1)
    buffer.seek(0)
    given = PcmFormat(44_100, 2, {"PCM_16": "s16", "PCM_24": "s24", "PCM_32": "s32", "FLOAT": "f32"}[subtype])  # type: ignore[arg-type]
    read = np.concatenate(list(mono_blocks(buffer, given if form == "RAW" else PcmFormat(8000), 44_100)))
    assert np.abs(read - expected).max() < 1e-6


@pytest.mark.parametrize(
    "content", [b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\1\0\0\0", b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff"]
)
def test_a_header_that_says_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match="has no samples"):
        list(mono_blocks(io.BytesIO(content), PcmFormat(8000), 8000))


def test_a_stream_is_predicted_as_the_file(run: Path, melody: NDArray[np.float32], tmp_path: Path) -> None:
    predictor = Predictor(run)
    soundfile.write(tmp_path / "melody.wav", melody, RATE, subtype="FLOAT")
    whole = predictor.predict(tmp_path / "melody.wav")
    stream = io.BytesIO((tmp_path / "melody.wav").read_bytes())
    lines = list(predictions(predictor, stream, PcmFormat(8000)))
    assert len(lines) == len(whole.notes) == 9
    same = 0
    for line, note in zip(lines, whole.notes, strict=True):
        assert line["onset_seconds"] == pytest.approx(note.onset_seconds, abs=0.012)
        if line["onset_seconds"] == pytest.approx(note.onset_seconds, abs=1e-5):
            same += 1
            assert line["parameters"] == pytest.approx(note.parameters, rel=1e-3, abs=1e-4)
            assert line["probabilities"] == pytest.approx(note.probabilities, abs=1e-4)
    assert same >= 5


@pytest.mark.slow
def test_a_note_is_said_while_the_stream_goes_on(run: Path, melody: NDArray[np.float32]) -> None:
    """A slow test: it lasts as long as the sound, in a process of its own."""
    command = [str(Path(sys.executable).parent / "timbre-data"), "predict", str(run), "--stream"]
    lines: list[str] = []
    samples = (melody * 32767).astype("<i2")
    said_early = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        output = process.stdout
        reader = threading.Thread(target=lambda: lines.extend(line.decode() for line in output))
        reader.start()
        for first in range(0, len(samples), 2205):
            process.stdin.write(samples[first : first + 2205].tobytes())
            process.stdin.flush()
            time.sleep(0.1)
            said_early = len(lines)
        process.stdin.close()
        assert process.wait(120) == 0
        reader.join()
    assert len(lines) == 9
    assert said_early >= 5
    assert all(json.loads(line)["effects"] for line in lines)


def test_several_files_in_one_call(
    run: Path, shared: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    data = Dataset(str(shared / "distortion"))
    files = [tmp_path / f"{row}.wav" for row in range(5)]
    for row, file in enumerate(files):
        soundfile.write(file, data.audio(row)[0], RATE)
    predictor = Predictor(run)
    one_by_one = [predictor.predict(file) for file in files]
    together = list(predictor.predict_many(files))
    for one, other in zip(one_by_one, together, strict=True):
        assert not isinstance(other, UsageError)
        assert other.file == one.file
        assert other.parameters == pytest.approx(one.parameters, rel=1e-4)
    assert command("predict", str(run), *map(str, files), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in said] == [str(file) for file in files]
    files[2].write_bytes(b"nothing")
    assert command("predict", str(run), *map(str, files), "--json") == 1
    output = capsys.readouterr()
    said = json.loads(output.out)
    assert [("error" in one) for one in said] == [False, False, True, False, False]
    assert "1 of 5 files" in output.err
    assert "Traceback" not in output.err
    assert command("predict", str(run), str(files[0]), str(files[1]), "--out", str(tmp_path / "x.wav")) == 2
    assert "one file at a time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give the sound files"),
        (("--stream", "a.wav"), "takes no files"),
        (("--stream", "--stream-format", "u8"), "such as s16:44100:2"),
        (("--stream", "--stream-format", "s16:1"), "1000 to 768000 Hz"),
    ],
)
def test_misuse_is_one_line(
    run: Path, arguments: tuple[str, ...], said: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("predict", str(run), *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_fixed_chain_is_predicted_whole(render: Callable[..., Dataset], tmp_path: Path) -> None:
    data = render("distortion", "chained", n=64, **{"chain.steps": [{"effect": "distortion"}, {"effect": "delay"}]})
    settings = TrainSettings(
        model="autofx", data=("chained",), max_epochs=1, options={"spectrogram": "log_mel", "n_mels": 32}
    )
    run, _ = train.train(settings, name="chain")
    soundfile.write(tmp_path / "a.wav", data.audio(0)[0], RATE)
    predictor = Predictor(run)
    settings_ = predictor.steps(predictor.predict(tmp_path / "a.wav"))
    assert [one.effect for one in settings_] == ["distortion", "delay"]
    assert [one.effect for one in predictor.steps(predictor.predict(tmp_path / "a.wav"), "delay")] == ["delay"]
