"""wav_folder and soundfont: other people's recordings as dry sound, through the whole render."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import build
from tests.fixtures.midi import write_song
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.dry_sounds import plan_of
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.isolation import not_repeatable
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.sound.note_pitch import note_f0
from timbre_data.pipeline.sources import _fluidsynth
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import BuildError, MissingDependencyError, NotFoundError, SourceError


def recipe(source: dict[str, Any], **changes: Any) -> Any:
    return recipes.load(
        validation.override(
            {"name": "x", "chain": "delay", "n": 60, "audio": {"seconds": 0.4}, "source": source}, changes
        )
    )


def note(rate: int, hz: float, lead: float = 0.3) -> np.ndarray:
    t = np.arange(int(rate * 0.8)) / rate
    sound = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 6)) * np.exp(-3 * t)
    return np.concatenate([np.zeros(int(lead * rate)), 0.3 * sound])


FORMATS = [
    ("a.wav", 44_100, 1),
    ("b.flac", 48_000, 2),
    ("c.ogg", 22_050, 1),
    ("d.mp3", 44_100, 2),
    ("e.aiff", 96_000, 6),
    ("sub/f.WAV", 8_000, 1),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    (root / "sub").mkdir(parents=True)
    for i, (name, rate, channels) in enumerate(FORMATS):
        soundfile.write(root / name, np.repeat(note(rate, 220 * 2 ** (i / 12))[:, None], channels, axis=1), rate)
    return root


def test_any_format_rate_and_channel_count_becomes_a_note(folder: Path) -> None:
    data = build(recipe({"name": "wav_folder", "path": str(folder)}), "x")
    assert data.array("dry/audio").shape[0] == len(FORMATS)
    assert set(data.read("dry/identity")) == {name for name, _, _ in FORMATS}
    order = [[name for name, _, _ in FORMATS].index(identity) for identity in data.read("dry/identity")]
    cents = 1200 * np.log2(data.read("dry/f0_hz") / (220 * 2 ** (np.array(order) / 12)))
    assert np.abs(cents).max() < 15


def test_resampling_and_onset_cut_keep_pitch_and_start(folder: Path) -> None:
    source = recipes.open_source(recipe({"name": "wav_folder", "path": str(folder)}))
    for index in range(len(FORMATS)):
        sound = source.render(index, 22_050, 1, 11_025)[0]
        assert np.flatnonzero(np.abs(sound) > 0.2)[0] < 0.02 * 22_050
        assert np.abs(sound).max() == pytest.approx(1, abs=1e-6)


def test_every_unusable_file_is_listed_in_one_error(folder: Path) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF and then nothing")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "silent.flac", np.zeros(9000), 22_050)
    with pytest.raises(SourceError) as caught:
        build(recipe({"name": "wav_folder", "path": str(folder)}), "x")
    assert set(caught.value.failures) == {"broken.wav", "empty.wav", "silent.flac"}
    assert caught.value.failures["silent.flac"] == "silent"
    assert "\n" not in str(caught.value)
    for name in caught.value.failures:
        (folder / name).unlink()
    data = build(recipe({"name": "wav_folder", "path": str(folder)}), "x")  # as the error advises
    assert verify(data).whole
    assert np.array_equal(
        data.read("integrity/rows"),
        build(recipe({"name": "wav_folder", "path": str(folder)}), "fresh").read("integrity/rows"),
    )


def test_workers_that_live_long_look_at_a_folder_that_changed_again(folder: Path) -> None:
    asked = recipe({"name": "wav_folder", "path": str(folder)})
    recipe_json, before = asked.model_dump_json(), Plan(asked).inventory
    assert len(plan_of(recipe_json, before).source.notes) == len(FORMATS)
    soundfile.write(folder / "0.wav", note(22_050, 440), 22_050)
    after = Plan(asked).inventory
    assert after != before
    assert plan_of(recipe_json, after).source.notes[0].identity == "0.wav"
    (folder / "0.wav").rename(folder / "9.wav")
    plan_of.cache_clear()  # another worker
    with pytest.raises(BuildError, match="the source has changed since this build started"):
        plan_of(recipe_json, after)


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("hz", [65.4, 82.4, 146.8, 880.0])
def test_pitch_is_measured_at_every_rate(rate: int, hz: float) -> None:
    assert note_f0(note(rate, hz, lead=0).astype(np.float32), rate) == pytest.approx(hz, rel=0.01)


def test_a_folder_that_changed_is_noticed(folder: Path) -> None:
    build(recipe({"name": "wav_folder", "path": str(folder)}), "x")
    soundfile.write(folder / "new.wav", note(22_050, 300), 22_050)
    with pytest.raises(Exception, match="has changed since this dataset was started"):
        build(recipe({"name": "wav_folder", "path": str(folder)}, n=90), "x")


def test_groups_by_folder_stay_on_one_side(tmp_path: Path) -> None:
    for player in range(12):
        (tmp_path / f"p{player}").mkdir()
        for take in range(3):
            soundfile.write(tmp_path / f"p{player}" / f"{take}.wav", note(22_050, 200 + player), 22_050)
    data = build(recipe({"name": "wav_folder", "path": str(tmp_path), "group": "folder", "pattern": "p*/*"}, n=72), "x")
    groups = data.read("dry/group")[data.read("dry/index")]
    assert len(set(groups)) == 12
    assert all(len(set(data.split()[groups == group])) == 1 for group in groups)


@pytest.mark.parametrize("path", ["/nowhere/at/all", ""])
def test_a_folder_that_is_not_there(path: str) -> None:
    with pytest.raises((NotFoundError, SourceError)):
        recipes.open_source(recipe({"name": "wav_folder", "path": path or "/dev/null"}))


def test_clean_electric_guitar_from_a_soundfont(home: Path) -> None:
    """The main job on recorded notes: right pitches, whole chain, bit-equal whichever thread made them."""
    source = {"name": "soundfont", "keys": [45, 52], "velocities": [60, 110]}
    data = build(recipe(source), "x")
    assert data.array("dry/audio").shape[0] == 16
    for sound, f0_hz in zip(data.dry(np.arange(16)), data.read("dry/f0_hz"), strict=True):
        assert abs(1200 * np.log2(note_f0(sound[0], 22_050) / f0_hz)) < 25
    first = data.read("dry/audio")
    shutil.rmtree(home)
    assert np.array_equal(first, build(recipe(source), "x").read("dry/audio"))


def test_a_missing_soundfont_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fluidsynth, "SEARCH", ())
    with pytest.raises(MissingDependencyError, match="apt-get install libfluidsynth3"):
        recipes.open_source(recipe({"name": "soundfont"}))


def test_a_program_that_is_not_there() -> None:
    source = recipes.open_source(recipe({"name": "soundfont", "bank": 77}))
    with pytest.raises(NotFoundError, match="no program 27 in bank 77"):
        source.render(0, 22_050, 1, 1000)


def test_rows_know_their_recording(folder: Path) -> None:
    data = build(recipe({"name": "wav_folder", "path": str(folder)}), "x")
    assert isinstance(data, Dataset)
    assert (data.read("dry/index") == np.arange(60) % len(FORMATS)).all()


def test_recordings_of_the_users_own_have_no_licence_unless_they_state_one(folder: Path, tmp_path: Path) -> None:
    source = {"name": "wav_folder", "path": str(folder)}
    assert recipe(source).licence == ""
    assert recipe(source, licence="CC-BY-4.0").licence == "CC-BY-4.0"
    assert recipe({"name": "plucked_string"}).licence == "CC0-1.0"
    export(build(recipe(source), "x"), tmp_path / "out", "wav")
    assert "licence: not stated" in (tmp_path / "out" / "README.md").read_text()


def test_a_dry_run_opens_the_files_and_says_what_is_skipped(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["render", "--fx", "delay", "--source", "wav_folder", "--set", f"source.path={folder}", "--n", "60", "--dry-run"]  # fmt: skip
    (folder / "sub" / "voice.m4a").write_bytes(b"x")
    assert command(*words) == 0
    assert "1 files in formats that are not read are skipped: sub/voice.m4a" in capsys.readouterr().err
    (folder / "a.wav").write_bytes((folder / "a.wav").read_bytes()[:5000])
    (folder / "b.flac").write_bytes(b"fLaCxxxx")
    assert command(*words) == 1
    said = capsys.readouterr().err
    assert "a.wav" in said
    assert "b.flac" in said


def test_an_empty_split_is_a_warning_before_and_after_the_build(folder: Path) -> None:
    made = recipe({"name": "wav_folder", "path": str(folder), "group": "folder"})  # two groups for three splits
    messages = Plan(made).warnings()
    assert any("split is empty: 6 notes in 2 groups" in message for message in messages)
    report = rendering.render(made, locate("d"), Cluster(workers=1))
    assert set(messages) <= set(report.warnings)
    assert rendering.render(made, locate("other"), Cluster(workers=1), dry_run=True).warnings == tuple(messages)
    assert not Plan(recipe({"name": "plucked_string"}, n=1000)).warnings()


def test_unusable_files_are_left_out_only_when_asked(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.wav").write_bytes(b"RIFF, but nothing else")
    soundfile.write(folder / "silent.wav", np.zeros(8000), 8000)
    words = ["render", "--fx", "delay", "--source", "wav_folder", "--set", f"source.path={folder}", "--n", "10", "--out", "d"]  # fmt: skip
    assert command(*words) == 1
    assert command(*words, "--keep-going") == 1
    said = capsys.readouterr().err
    assert "2 rows or sounds failed: " in said
    assert "a.wav is left out: cut short" in said
    data = Dataset("d")
    assert data.recipe.source.settings["leave_out"] == ["a.wav", "silent.wav"]
    assert len(data.usable()) == 10
    assert not {"a.wav", "silent.wav"} & set(data.read("dry/identity"))
    snapshot = data.snapshot
    assert command(*words, "--keep-going") == 1
    assert "was left out when the dataset was begun" in capsys.readouterr().err
    assert Dataset("d").snapshot == snapshot
    words[words.index("10")] = "20"
    assert command(*words, "--keep-going") == 1
    assert len(Dataset("d").usable()) == 20


def test_a_synth_that_nothing_makes_repeatable_is_a_warning() -> None:
    measured: dict[str, Any] = {"mode": "process", "noise_floor_db": 5.9}
    (message,) = not_repeatable({"isolation": measured})
    assert "differ by 5.9 dB" in message
    assert "proves nothing" in message
    spectra = {"compared_by": "mean spectra", "spectral_floor_db": -20.0, "other_rows_db": -8.0}
    (message,) = not_repeatable({"isolation": measured | spectra | {"verdict": "repeatable but for phase"}})
    assert "but for phase they are the same" in message
    assert "--rerender compares mean spectra" in message
    (message,) = not_repeatable({"isolation": measured | spectra | {"verdict": "not repeatable"}})
    assert "a label belongs to more than one sound" in message
    assert not not_repeatable({"isolation": measured | {"noise_floor_db": -60.0}})
    assert not not_repeatable({"isolation": measured | {"noise_floor_db": None}})
    assert not not_repeatable({"isolation": None})


def test_names_that_are_not_utf8_are_said(
    folder: Path, home: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.wav").rename(os.fsdecode(os.fsencode(folder) + b"/a\xff.wav"))
    words = ["render", "--fx", "delay", "--source", "wav_folder", "--set", f"source.path={folder}", "--n", "6", "--out", "d"]  # fmt: skip
    assert command(*words) == 1
    said = capsys.readouterr().err
    assert "a\\udcff.wav" in said
    assert "not UTF-8" in said
    assert not (home / "d").exists()


@pytest.mark.parametrize(
    ("division", "said"), [(b"\x00\x00", "no ticks"), (b"\xe7\x28", "SMPTE"), (b"\x80\x00", "SMPTE")]
)
def test_songs_without_ticks_are_named(tmp_path: Path, division: bytes, said: str) -> None:
    write_song(tmp_path / "song.mid")
    content = bytearray((tmp_path / "song.mid").read_bytes())
    content[12:14] = division
    (tmp_path / "song.mid").write_bytes(bytes(content))
    with pytest.raises(SourceError, match=said):
        recipes.open_source(
            recipes.load(
                {
                    "name": "s",
                    "chain": [{"synth": "subtractive"}],
                    "n": 2,
                    "source": {"name": "midi_file", "path": str(tmp_path)},
                }
            )
        )


def test_a_process_that_may_open_few_files_says_so() -> None:
    script = "ulimit -n 40; exec \"$0\" -c \"import sys; from timbre_data.cli import main; sys.argv = ['timbre-data', 'render', '--fx', 'delay', '--n', '4']; main()\""
    done = subprocess.run(["bash", "-c", script, sys.executable], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("timbre-data: this process may open 40 files")
