"""Pairs of one's own: alignment, what does not fit, and an equaliser and a recogniser that learn from them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fixtures.pairs import COUNT, DELAYS, GAIN, RATE, make
from timbre_data.models.training.runs import find_run
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.importers.pairs import PairsSettings, align, scan
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import NotFoundError


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    scan.cache_clear()


def test_delay_gain_and_polarity_are_estimated() -> None:
    rng = np.random.default_rng(0)
    dry = rng.standard_normal(32_000).astype(np.float32)
    late = np.concatenate([np.zeros(777, np.float32), -0.25 * dry])
    found = align(dry, late, 16_000, 1.0)
    assert found.delay_seconds == pytest.approx(777 / 16_000, abs=1e-6)
    assert found.gain_db == pytest.approx(20 * np.log10(0.25), abs=0.01)
    assert (found.polarity, round(found.correlation, 3)) == (-1.0, 1.0)


def test_both_sides_of_a_row_begin_together(tmp_path: Path) -> None:
    make(tmp_path / "mine")
    import_dataset("pairs", {"path": tmp_path / "mine", "effect": "filter"}, locate("mine"), Cluster(workers=2))
    data = Dataset("mine")
    assert data.n == COUNT
    files = data.read("labels/file").tolist()
    for row, name in enumerate(files):
        assert data.read("labels/delay_seconds")[row] == pytest.approx(
            DELAYS[int(Path(name).stem[-2:]) % len(DELAYS)], abs=2e-4
        )
        wet, dry = data.audio(row, original_level=True)[0], data.dry(row)[0]
        assert abs(align(dry, wet, data.recipe.audio.rate, 0.1).delay_seconds) < 2 / 16_000
    low_passed = 20 * np.log10(GAIN)
    assert np.all(np.abs(data.read("labels/gain_db") - low_passed) < 2)
    assert data.recipe.chain.steps[0].effect == "filter"


def test_two_long_recordings_become_pieces(tmp_path: Path) -> None:
    make(tmp_path / "parts")
    for side in ("dry", "processed"):
        files = sorted((tmp_path / "parts" / side).iterdir())
        parts = [soundfile.read(file)[0] for file in files[::4]]
        (tmp_path / "long").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "long" / f"{side}.wav", np.concatenate(parts), RATE)
    inventory = scan(PairsSettings(path=tmp_path / "long", piece_seconds=1.0))
    assert len(inventory.recordings) >= 12
    assert len({origin.group for origin in inventory.origins}) == 2
    assert all(abs(float(one.labels["delay_seconds"])) < 1e-3 for one in inventory.recordings)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "processed" / "take00.wav").unlink()
    noise = np.random.default_rng(1).standard_normal(2 * RATE)
    soundfile.write(tmp_path / "processed" / "take01.wav", 0.1 * noise, RATE)
    problems = scan(PairsSettings(path=tmp_path)).problems
    assert "no sound of this name" in problems["dry/take00.flac"]
    assert "unlike take01.flac" in problems["processed/take01.wav"]
    with pytest.raises(NotFoundError, match="neither the folders"):
        scan(PairsSettings(path=tmp_path / "dry"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sox") is None, reason="SoX is not installed")
def test_a_chain_of_another_program_is_learned(tmp_path: Path) -> None:
    """SoX's bass and treble, 11 ms late: the first iterations of an equaliser on it already halve the loss of the
    input, and the classifier's features can be computed.
    """
    from typer.testing import CliRunner

    from timbre_data.cli import app

    make(tmp_path / "made")
    (tmp_path / "mine" / "processed").mkdir(parents=True)
    shutil.copytree(tmp_path / "made" / "dry", tmp_path / "mine" / "dry")
    for file in (tmp_path / "mine" / "dry").glob("*.flac"):
        out = tmp_path / "mine" / "processed" / f"{file.stem}.wav"
        words = ["bass", "+9", "treble", "-9", "delay", "0.011"]
        subprocess.run(["sox", "-R", "-V1", "-v", "0.3", file, out, *words], check=True)
    runner = CliRunner()

    def done(*words: str) -> str:
        result = runner.invoke(app, words)
        assert result.exit_code == 0, result.output
        return str(result.output)

    done("import", "pairs", str(tmp_path / "mine"), "--out", "pedal", "--set", "piece_seconds=2")
    done("featurize", "pedal", "--features", "autofx163")
    data = Dataset("pedal")
    assert np.allclose(data.read("labels/delay_seconds"), 0.011, atol=1e-3)
    budget = ("--set", "options.first_stage=1", "--set", "options.second_stage=40", "--set", "frame_step=16")
    done("train", "eq-autoencoder", "--data", "pedal", "--name", "pedal", *budget)
    done("evaluate", "pedal", "--no-page", "--sounds", "2")
    metrics = json.loads((find_run("pedal") / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["losses"]["loss"] < 0.5 * metrics["identity"]["loss"]
