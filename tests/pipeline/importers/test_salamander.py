"""What is particular to Salamander: SFZ with groups, backslashes and sharps; keys, velocities and pitches."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from tests.fixtures.salamander import FOLDER, KEYS, make
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.importers._sfz import read_sfz
from timbre_data.pipeline.importers.salamander import SalamanderSettings, scan
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import NotFoundError


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    scan.cache_clear()


def test_notes_have_their_keys_velocities_and_pitches(tmp_path: Path) -> None:
    make(tmp_path)
    import_dataset("salamander", {"path": tmp_path}, locate("piano"), Cluster(workers=2), audio={"seconds": 1})
    data = Dataset("piano")
    layers = {"1": (1, 26), "9": (65, 71), "16": (121, 127)}
    read = {
        name: data.read(f"labels/{name}").tolist() for name in ("file", "midi_note", "low_velocity", "high_velocity")
    }
    for row, file in enumerate(read["file"]):
        name, _, layer = Path(file).stem.partition("v")
        key = KEYS[name]
        assert read["midi_note"][row] == key
        assert (read["low_velocity"][row], read["high_velocity"][row]) == layers[layer]
        if key > 60:
            heard = librosa.yin(data.audio(row)[0], fmin=200, fmax=600, sr=48_000)
            f0_hz = float(data.read("dry/f0_hz")[int(data.read("dry/index")[row])])
            assert abs(12 * np.log2(np.median(heard) / f0_hz)) < 0.1
    assert np.abs(data.audio()[:, :, :240]).max() > 0.05  # each begins where it sets in
    groups = data.read("dry/group")[data.read("dry/index").astype(int)]
    assert len(set(groups)) == len(KEYS)


def test_sfz_inherits_and_skips(tmp_path: Path) -> None:
    text = (
        "<global> lovel=10\n#define $X 3\n<group> hivel=20 // loud\n<region> sample=a\\D#4v1.wav key=d#4\n"
        "<region> sample=b c.wav lokey=60 hikey=62 pitch_keycenter=61 lovel=11\n<group>\n<region> sample=d.wav key=1\n"
        "<group> trigger=release\n<region> sample=r.wav key=1\n"
    )
    (tmp_path / "x.sfz").write_text(text, encoding="utf-8")
    first, second, third = read_sfz(tmp_path / "x.sfz")
    assert (first.sample, first.key_center, first.low_velocity, first.high_velocity) == ("a/D#4v1.wav", 63, 10, 20)
    assert (second.sample, second.low_key, second.high_key, second.key_center) == ("b c.wav", 60, 62, 61)
    assert second.low_velocity == 11
    assert (third.low_velocity, third.high_velocity) == (10, 127)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("remove", "missing: SalamanderGrandPianoV3.sfz names it"),
        ("add", "does not name it"),
        ("move", "its name says 63"),
        ("break", "unreadable"),
    ],
)
def test_every_problem_is_named(tmp_path: Path, change: str, told: str) -> None:
    make(tmp_path)
    sample = tmp_path / FOLDER / "48khz24bit" / "D#4v9.wav"
    sfz = tmp_path / FOLDER / "SalamanderGrandPianoV3.sfz"
    if change == "remove":
        sample.unlink()
    elif change == "add":
        (sample.parent / "B4v1.wav").write_bytes(sample.read_bytes())
    elif change == "move":
        text = sfz.read_bytes().decode()
        sfz.write_bytes(text.replace("D#4v9.wav lokey=62 hikey=64 pitch_keycenter=63", "D#4v9.wav key=70").encode())
    else:
        sample.write_bytes(b"RIFF")
    problems = scan(SalamanderSettings(path=tmp_path)).problems
    assert len(problems) == 1
    assert told in next(iter(problems.values()))


def test_another_sfz_by_name(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(NotFoundError, match="there are SalamanderGrandPianoV3"):
        scan(SalamanderSettings(path=tmp_path, sfz="other.sfz"))


def test_notes_in_packages_need_no_sfz(tmp_path: Path) -> None:
    """The layout of npm's packages: a folder a layer, OGG, key and layer in the name."""
    make(tmp_path / "sfz")
    for path in (tmp_path / "sfz" / FOLDER / "48khz24bit").glob("*v*.wav"):
        layer = tmp_path / "npm" / f"velocity{path.stem.partition('v')[2]}"
        layer.mkdir(parents=True, exist_ok=True)
        sound, rate = soundfile.read(path)
        soundfile.write(layer / f"{path.stem}.ogg", sound, rate)
    ours, theirs = (scan(SalamanderSettings(path=tmp_path / name)) for name in ("npm", "sfz"))
    assert [dict(one.labels) for one in ours.recordings] == [dict(one.labels) for one in theirs.recordings]
    assert not ours.problems
    (tmp_path / "npm" / "velocity1" / "noise.ogg").write_bytes(b"")
    scan.cache_clear()
    assert "tells no key and layer" in scan(SalamanderSettings(path=tmp_path / "npm")).problems["velocity1/noise.ogg"]
    with pytest.raises(NotFoundError, match="scripts/get-sounds salamander"):
        scan(SalamanderSettings(path=tmp_path / "sfz" / FOLDER / "48khz24bit" / "nothing"))
