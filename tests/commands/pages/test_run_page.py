"""The page of a run, in a real browser: what one hears and reads is what was predicted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import Once
from tests.fixtures.browser import Seen, opened_folder, violations
from timbre_data.cli import app
from timbre_data.commands.pages.evaluated_rows import open_evaluation
from timbre_data.commands.pages.result_charts import confusion, tables_of
from timbre_data.commands.pages.row_versions import Versions, equally_loud, loudness_db
from timbre_data.models.evaluation.resynthesis import rerender, with_constants
from timbre_data.models.training.runs import find_run
from timbre_data.pipeline.build.chain import Chain
from timbre_data.schemas.errors import CorruptDataError, UsageError

RATE = 22_050


def invoke(*arguments: str) -> Any:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def regressor(shared: Path, once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A regressor of two effects, evaluated, with its page."""
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(shared))

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIMBRE_DATA_RUNS", str(folder))
            invoke("train", "regressor_mlp", "--data", "modulation,delay", "--name", "knobs", "--set", "max_epochs=4")
            invoke("evaluate", "knobs", "--sounds", "6")

    shutil.copytree(once("run-page", make), tmp_path / "runs")
    return find_run("knobs")


def heard(seen: Seen, row: int, name: str) -> np.ndarray:
    decode = """async ([row, name, rate]) => {
        const files = await timbre.soundsOf(row);
        return [...(await new OfflineAudioContext(1, 1, rate).decodeAudioData(files[name].buffer)).getChannelData(0)];
    }"""
    return np.array(seen.page.evaluate(decode, [row, name, RATE]))


@pytest.mark.slow
def test_an_evaluation_can_be_heard(regressor: Path) -> None:
    evaluated = open_evaluation(regressor, regressor / "evaluation")
    assert evaluated is not None
    with opened_folder(regressor / "evaluation" / "page") as seen:
        rows = [int(card.get_attribute("data-row") or -1) for card in seen.page.query_selector_all(".card")]
        assert len(rows) == 6
        errors = evaluated.errors[rows]
        assert (np.diff(errors) >= 0).all(), "the best comes first"
        assert errors[0] == evaluated.errors.min()
        assert errors[-1] == evaluated.errors.max()
        row = rows[2]
        number, stored = int(evaluated.dataset[row]), int(evaluated.row[row])
        data = evaluated.datasets[number]
        sounds = {name: heard(seen, row, name) for name in ("dry", "target", "predicted", "mean", "random")}
        loudness = [loudness_db(sound[None], RATE) for sound in sounds.values()]
        assert np.ptp(loudness) < 0.1
        labels = with_constants(
            data, np.array([stored]), evaluated.outputs, np.clip(evaluated.predicted[row], 0, 1)[None]
        )
        for name, expected in (
            ("target", data.audio(stored)[0]),
            ("predicted", rerender(data, Chain(data.recipe.chain), stored, labels[0])[0]),
        ):
            gain = sounds[name] @ expected / (expected @ expected)
            assert np.abs(sounds[name] - gain * expected).max() < 1e-4, name
        text = seen.page.inner_text(f"#row-{row}")
        assert text.startswith(f"{data.name}, row {stored}")
        for k, parameter in enumerate(evaluated.parameters):
            if evaluated.mask[row, k]:
                assert parameter.describe(float(evaluated.labels[row, k])) in text
                assert parameter.describe(float(np.clip(evaluated.predicted[row, k], 0, 1))) in text
        seen.page.click(f"#row-{row} .play")
        seen.page.wait_for_function("() => player.playing && player.playing.name === 'predicted'")
        seen.page.keyboard.press("x")
        seen.page.wait_for_function("() => player.playing.name === 'mean'")
        for section in ("results", "tables", "training"):
            seen.page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
            seen.page.wait_for_timeout(300)
        seen.page.wait_for_selector("#against canvas")
        seen.page.wait_for_selector("#curves canvas")
        assert len(seen.page.query_selector_all("#calibration .chart")) == len(evaluated.outputs)
        seen.page.evaluate("document.getElementById('calibration').scrollIntoView()")
        seen.page.wait_for_selector("#calibration canvas")
        assert "In the published convention" not in seen.page.inner_text("#tables")
        skill = json.loads((regressor / "evaluation" / "metrics.json").read_text())["true"]["skill"]
        assert f"{skill:.3g}" in seen.page.inner_text("#tables")


@pytest.mark.slow
def test_a_confusion_leads_to_its_rows_and_nobody_is_shut_out(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(shared))
    invoke("train", "class_mlp", "--data", "modulation,delay,distortion", "--name", "names", "--set", "max_epochs=2")
    invoke("evaluate", "names", "--no-page")
    run = find_run("names")
    assert not (run / "evaluation" / "page").exists()
    invoke("look", "names", "--out", str(tmp_path / "look"), "--sounds", "9", "--wav")
    evaluated = open_evaluation(run, run / "evaluation")
    assert evaluated is not None
    counts = np.array(json.loads((run / "evaluation" / "metrics.json").read_text())["confusion"])
    found = confusion(evaluated)
    assert found is not None
    assert (np.array(found["counts"]) == counts).all()
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    true, guess = np.unravel_index(wrong.argmax(), wrong.shape)
    for scheme, width in (("light", 1280), ("dark", 390)):
        options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        with opened_folder(tmp_path / "look", bypass_csp=True, **options) as seen:
            seen.page.evaluate("document.getElementById('results').scrollIntoView()")
            name, said = evaluated.outputs[true], evaluated.outputs[guess]
            seen.page.click(f"button[aria-label='{wrong.max()} rows of {name} called {said}']")
            text = f"{wrong.max()} of {len(evaluated.row)} rows"
            seen.page.wait_for_function(f"() => document.getElementById('count').textContent === '{text}'")
            assert f"{name} (true)" in seen.page.inner_text(".card") or "true class" in seen.page.inner_text(".card")
            for section in ("results", "tables", "training", "about"):
                seen.page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
                seen.page.wait_for_timeout(300)
            seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert violations(seen.page) == []
            assert (
                seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
            )
    invoke("evaluate", "names", "--data", "delay", "--allow-leak")  # of three classes it knows, one
    other = open_evaluation(run, run / "evaluation-on-delay")
    assert other is not None
    assert other.present.sum(axis=0).tolist() == [0, len(other.row), 0]
    with opened_folder(run / "evaluation-on-delay" / "page") as seen:
        assert "delay (true)" in seen.page.inner_text(".card")
    files = {file.name for file in (tmp_path / "look" / "wav").iterdir()}
    assert len(files) == 18
    assert all(file.endswith(("-dry.wav", "-sound.wav")) for file in files)


@pytest.mark.slow
def test_refining_comes_closer(regressor: Path) -> None:
    from timbre_data.models.inference.spectral_search import distances

    evaluated = open_evaluation(regressor, regressor / "evaluation")
    assert evaluated is not None
    versions = Versions(evaluated, refine=60)
    row = int(np.flatnonzero(evaluated.dataset == 1)[np.argmax(evaluated.errors[evaluated.dataset == 1])])
    sounds, refined = versions.of(row)
    assert versions.names == ("dry", "target", "predicted", "refined", "mean", "random")
    assert refined is not None
    peaked = {name: sound / np.abs(sound).max() for name, sound in sounds.items()}
    target = peaked["target"]
    assert distances(peaked["refined"], target)[0] < distances(peaked["predicted"], target)[0]


def test_equal_loudness_is_equal_and_does_not_clip() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    sounds = {
        "a": (0.9 * np.sin(2 * np.pi * 100 * time))[None].astype(np.float32),
        "b": (0.01 * rng.standard_normal((1, RATE))).astype(np.float32),
        "c": np.eye(1, RATE, 500, dtype=np.float32),
        "silent": np.zeros((1, RATE), np.float32),
    }
    matched = equally_loud(sounds, "a", RATE)
    levels = [loudness_db(matched[name], RATE) for name in ("a", "b", "c")]
    assert np.ptp(levels) < 1e-3
    assert max(np.abs(sound).max() for sound in matched.values()) < 0.98
    assert not matched["silent"].any()
    tone = np.sin(2 * np.pi * 997 * np.arange(48_000) / 48_000)[None].astype(np.float32)
    assert loudness_db(tone, 48_000) == pytest.approx(-3.01, abs=0.05)  # the standard's own check: 997 Hz at full scale


def test_tables_are_read_back() -> None:
    text = "**One**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nA note.\n\n**Two (of 3)**\n\n| | x |\n|--|--|\n| y | -0.5 |\n"
    assert tables_of(text) == [
        {"title": "One", "header": ["a", "b"], "rows": [["1", "2"]], "note": "A note."},
        {"title": "Two (of 3)", "header": ["", "x"], "rows": [["y", "-0.5"]], "note": ""},
    ]


def test_what_is_wrong_is_said_in_one_line(
    regressor: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for arguments, words in (
        (("look", "nowhere"), "there is no dataset"),
        (("look", "knobs", "--row", "3"), "belong to the page of a dataset"),
        (("look", "modulation", "--refine", "3"), "belong to the page of a run"),
        (("look", "modulation", "--row", "500"), "rows 0 to 499"),
        (("look", "knobs", "--evaluation", "../.."), "has evaluation"),
        (("look", "modulation", "--out", str(tmp_path / "mine"), "--sounds", "0"), "is not a page"),
    ):
        assert command(*arguments) in (1, 2)
        error = capsys.readouterr().err.strip()
        assert words in error, error
        assert len(error.splitlines()) == 1
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    (regressor / "evaluation" / "predictions.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(CorruptDataError):
        open_evaluation(regressor, regressor / "evaluation")
    (regressor / "evaluation" / "metrics.json").unlink()
    with pytest.raises(UsageError, match="evaluate"):
        open_evaluation(regressor, regressor / "evaluation")
