"""Listening tests, with listeners whose ears are known: made, answered in a real browser, served, analysed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import Once
from tests.fixtures.browser import opened, opened_folder, violations, wait_for_server
from timbre_data.cli import app
from timbre_data.commands.listening.analysis import analyse, bradley_terry, holm, screened
from timbre_data.commands.listening.answers import Answer, AnswerStore, accepted, read_answers
from timbre_data.commands.listening.listening_test import Key, Stimulus, Trial, low_passed, read_key
from timbre_data.commands.pages.row_versions import loudness_db
from timbre_data.schemas.errors import UsageError

CONDITIONS = ("predicted", "mean", "random")


def invoke(*arguments: str) -> Any:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def test_folder(shared: Path, once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A MUSHRA test of three rows."""
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(shared))

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIMBRE_DATA_RUNS", str(folder / "runs"))
            invoke("train", "regressor_mlp", "--data", "modulation,delay", "--name", "knobs", "--set", "max_epochs=3")
            invoke("evaluate", "knobs", "--sounds", "2", "--no-page")
            invoke("listen", "make", "knobs", "--trials", "3", "--out", str(folder / "ears"))

    for part in ("runs", "ears"):
        shutil.copytree(once("listening", make) / part, tmp_path / part)
    return tmp_path / "ears"


def key_of(kind: str, trials: int = 10) -> Key:
    """A test without sounds, whose distances tell the order of the conditions."""

    def stimulus(condition: str, distance: float) -> Stimulus:
        return Stimulus(
            id=secrets.token_hex(6), condition=condition, distances={"mrstft": distance, "psd_db": -distance}
        )

    distances = {"reference": 0.0, "predicted": 1.0, "mean": 2.0, "random": 3.0, "anchor": 4.0}
    kinds: dict[str, list[tuple[str, ...]]] = {
        "mushra": [tuple(distances)],
        "abx": [("reference", one) for one in CONDITIONS],
        "pairwise": [("predicted", "mean"), ("predicted", "random"), ("mean", "random")],
    }
    shown = kinds[kind]
    rng = np.random.default_rng(0)
    made = tuple(
        Trial(
            id=secrets.token_hex(6),
            row=k,
            reference=secrets.token_hex(6),
            stimuli=tuple(stimulus(one, distances[one] + 0.1 * rng.random()) for one in conditions),
        )
        for k in range(trials)
        for conditions in shown
    )
    return Key(test=secrets.token_hex(8), run="made", kind=kind, conditions=CONDITIONS, trials=made)


def listener_of(
    key: Key, ear: Mapping[str, float], rng: np.random.Generator, spread: float = 8.0, guesses: float = 0.0
) -> list[Answer]:
    """The answers of a listener who hears each condition so well, give or take `spread`, and guesses at times."""
    who = rng.bytes(8).hex()
    answers = []
    for trial in key.trials:
        heard = {one.id: ear[one.condition] + spread * rng.standard_normal() for one in trial.stimuli}
        hidden = None
        if key.kind == "mushra":
            ratings = {one: float(np.clip(value, 0, 100)) for one, value in heard.items()}
        else:
            best = max(heard, key=lambda one: heard[one])
            if key.kind == "abx":
                hidden = trial.stimuli[int(rng.integers(2))].id
                other = next(one for one in trial.stimuli if one.condition != "reference").condition
                told = rng.random() > guesses and abs(ear["reference"] - ear[other]) > spread
                best = hidden if told or rng.random() < 0.5 else next(one for one in heard if one != hidden)
            ratings = {one: 100.0 if one == best else 0.0 for one in heard}
        content = {"test": key.test, "listener": who, "trial": trial.id, "ratings": ratings, "hidden": hidden}
        answers.append(accepted(key, content))
    return answers


EAR = {"reference": 100.0, "predicted": 70.0, "mean": 45.0, "random": 30.0, "anchor": 15.0, "dry": 10.0}
DEAF = {**dict.fromkeys(EAR, 50.0), "reference": 100.0}


def test_the_order_that_was_put_in_is_found(tmp_path: Path) -> None:
    key, rng = key_of("mushra"), np.random.default_rng(1)
    answers = [one for _ in range(12) for one in listener_of(key, EAR | {"reference": 120.0}, rng)]
    careless = listener_of(key, dict.fromkeys(EAR, 60.0), rng)
    found = analyse(key, [*answers, *careless], tmp_path).metrics
    assert list(found["left_out"]) == [careless[0].listener]
    means = {name: one["mean"] for name, one in found["means"].items()}
    assert sorted(means, key=lambda one: -means[one]) == ["reference", "predicted", "mean", "random", "anchor"]
    for name in CONDITIONS:
        assert (
            found["means"][name]["low"] < EAR[name] < found["means"][name]["high"] or abs(means[name] - EAR[name]) < 1.5
        )
    assert found["friedman"]["p"] < 1e-4
    assert all(pair["p"] < 0.01 for pair in found["pairs"])
    rhos = found["agreement"]
    assert next(iter(rhos)) == "MRSTFT"
    assert rhos["MRSTFT"] < -0.9
    assert rhos["PSD dB"] > 0.9
    assert (tmp_path / "analysis" / "ratings.png").stat().st_size > 5000


def test_no_order_is_found_where_there_is_none(tmp_path: Path) -> None:
    key, rng = key_of("mushra"), np.random.default_rng(2)
    answers = [one for _ in range(12) for one in listener_of(key, DEAF | {"reference": 130.0}, rng, spread=10)]
    found = analyse(key, answers, tmp_path).metrics
    assert not found["left_out"]
    assert found["friedman"]["p"] > 0.05
    assert all(pair["p"] > 0.05 for pair in found["pairs"])
    assert abs(found["agreement"]["MRSTFT"]) < 0.35


def test_who_can_tell_and_who_guesses(tmp_path: Path) -> None:
    key, rng = key_of("abx", trials=8), np.random.default_rng(3)
    hears = {"reference": 100.0, "predicted": 99.0, "mean": 40.0, "random": 20.0}
    answers = [one for _ in range(8) for one in listener_of(key, hears, rng, spread=5)]
    found = analyse(key, answers, tmp_path).metrics["abx"]
    assert found["predicted"]["p"] > 0.05
    assert found["mean"]["p"] < 1e-6
    assert found["random"]["right"] == found["random"]["answers"] == 64


def test_preferences_are_ordered(tmp_path: Path) -> None:
    key, rng = key_of("pairwise", trials=6), np.random.default_rng(4)
    answers = [one for _ in range(10) for one in listener_of(key, EAR, rng, spread=15)]
    found = analyse(key, answers, tmp_path).metrics
    strength = found["strength"]
    assert strength["predicted"] > strength["mean"] > strength["random"] > 0
    assert sum(strength.values()) == pytest.approx(1)
    assert all(pair["p"] < 0.01 for pair in found["pairs"] if pair["pair"][0] == "predicted")


def test_statistics_are_those_of_the_literature() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    true = np.array([0.6, 0.3, 0.1])
    games = 100_000 * true[:, None] / (true[:, None] + true[None])
    np.fill_diagonal(games, 0)
    assert bradley_terry(games) == pytest.approx(true, abs=1e-4)
    tones = [np.sin(2 * np.pi * hz * np.arange(22_050) / 22_050)[None].astype(np.float32) for hz in (1000, 7000)]
    kept, gone = (np.abs(low_passed(tone, 22_050)[0, 5000:-5000]).max() for tone in tones)
    assert kept == pytest.approx(1, abs=1e-3)
    assert gone < 1e-3


def test_screening_is_that_of_the_recommendation() -> None:
    key = key_of("mushra", trials=20)
    rng = np.random.default_rng(5)
    for misses, kept in ((3, True), (4, False)):  # of 20 trials, 15 % are three
        answers = listener_of(key, EAR | {"reference": 200.0}, rng)
        for k in range(misses):
            hidden = next(one.id for one in key.trials[k].stimuli if one.condition == "reference")
            answers[k] = answers[k].model_copy(update={"ratings": answers[k].ratings | {hidden: 89.0}})
        assert (answers[0].listener in screened(key, answers)[0]) == kept


def test_sounds_have_one_loudness_and_tell_nothing(test_folder: Path) -> None:
    import base64
    import io

    import soundfile

    key = read_key(test_folder)
    assert [len(trial.stimuli) for trial in key.trials] == [5, 5, 5]
    about = (test_folder / "page" / "data" / "about.js").read_text()
    everything = about + "".join(path.name for path in (test_folder / "page").rglob("*"))
    assert not any(word in everything for word in (*CONDITIONS, "anchor", "refer" + "ence-"))
    levels = []
    for trial in key.trials:
        for name in (trial.reference, *(one.id for one in trial.stimuli)):
            text = (test_folder / "page" / "sounds" / f"{name}.js").read_text()
            sound, rate = soundfile.read(io.BytesIO(base64.b64decode(text.split('"sound":"')[1].split('"')[0])))
            levels.append(loudness_db(sound[None].astype(np.float32), rate))
            assert np.abs(sound).max() < 0.98
    assert np.ptp(levels) < 0.2
    zero = next(one for one in key.trials[0].stimuli if one.condition == "reference")
    assert all(value == 0 for value in zero.distances.values())
    config = yaml.safe_load((test_folder / "webmushra" / "knobs.yaml").read_text())
    pages = next(page for page in config["pages"] if isinstance(page, list))[1:]
    assert len(pages) == 3
    for page in pages:
        for path in (page["reference"], *page["stimuli"].values()):
            assert (test_folder / "webmushra" / Path(path).name).is_file()
    again = CliRunner().invoke(app, ["listen", "make", "knobs", "--out", str(test_folder)])
    assert isinstance(again.exception, UsageError), "its answers would be lost"


def rate_trial(page: Any) -> None:
    """Rate all sounds of the trial that is shown: 90, 75, 60 ..."""
    sliders = page.query_selector_all("input[data-rating]")
    for k, slider in enumerate(sliders):
        slider.evaluate("(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", 90 - 15 * k)


def begin(page: Any) -> None:
    page.click("text=Begin")
    page.click("text=skip the check")
    page.click("text=Start")


@pytest.mark.slow
def test_a_listener_answers_in_a_browser_and_comes_back(test_folder: Path, tmp_path: Path) -> None:
    key = read_key(test_folder)
    for scheme, width in (("light", 1280), ("dark", 390)):
        options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        with opened_folder(test_folder / "page", bypass_csp=True, **options) as seen:
            assert violations(seen.page) == []
            seen.page.click("text=Begin")
            assert violations(seen.page) == []
            seen.page.click("text=skip the check")
            assert violations(seen.page) == []
            seen.page.click("text=Start")
            assert violations(seen.page) == []
            assert (
                seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
            )
    with opened_folder(test_folder / "page", accept_downloads=True) as seen:
        page = seen.page
        begin(page)
        assert page.inner_text("#progress") == "Trial 1 of 3"
        page.evaluate("player.loop(true)")  # so that no sound ends before a slow machine has looked at it
        page.keyboard.press("1")
        page.wait_for_function("() => player.playing && document.querySelector('[data-sound][aria-pressed=true]')")
        started = page.evaluate("player.playing.started")
        page.keyboard.press("r")
        page.wait_for_function("() => player.playing.name === document.querySelector('[data-sound]').dataset.sound")
        assert page.evaluate("player.playing.started") == started, "switching has a gap"
        assert page.is_disabled("text=Next")
        rate_trial(page)
        page.keyboard.press("2")
        third = "document.querySelector('.rating:nth-of-type(3)')"
        page.wait_for_function(f"() => {third}.querySelector('[data-sound][aria-pressed=true]')")
        page.evaluate("player.stop()")  # a sound that has ended is still the one that is rated
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"() => {third}.querySelector('output').innerText === '77'")
        page.click("text=Next")
        assert page.inner_text("#progress") == "Trial 2 of 3"
        rate_trial(page)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert page.inner_text("#progress") == "Trial 2 of 3", "a closed tab goes on"
        assert not page.is_disabled("text=Next"), "what was rated is still there"
        page.click("text=Next")
        rate_trial(page)
        page.click("text=Next")
        page.fill("#comment", "I liked <b>the third</b>")
        with page.expect_download() as download:
            page.click("text=Download my answers")
        download.value.save_as(tmp_path / "mine.json")
    answers, refused = read_answers(test_folder, key, [tmp_path / "mine.json"])
    assert not refused
    assert len(answers) == 3
    assert {answer.trial for answer in answers} == {trial.id for trial in key.trials}
    first = [answer for answer in answers if 77.0 in answer.ratings.values()]
    assert len(first) == 1
    assert sorted(first[0].ratings.values()) == [30, 45, 60, 77, 90]
    assert any(answer.comment == "I liked <b>the third</b>" for answer in answers)


@pytest.fixture
def server(test_folder: Path) -> Iterator[tuple[str, Path, Any]]:
    """A server in a process of its own, and how to start another after it was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-c",
            "from timbre_data.cli import main; main()",
            "listen",
            "serve",
            str(test_folder),
        ]
        processes.append(subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL))
        wait_for_server(f"http://127.0.0.1:{port}/index.html", processes[-1])
        return processes[-1]

    start()
    yield f"http://127.0.0.1:{port}", test_folder, (processes, start)
    for process in processes:
        process.kill()
        process.wait()


def post(address: str, content: bytes, **headers: str) -> int:
    request = urllib.request.Request(f"{address}/answers", content, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_twenty_listeners_at_once_and_a_server_that_is_killed(server: tuple[str, Path, Any]) -> None:
    address, folder, (processes, start) = server
    key = read_key(folder)
    rng = np.random.default_rng(6)
    listeners = [listener_of(key, EAR, rng) for _ in range(20)]
    acknowledged: list[tuple[str, str]] = []

    def listen(answers: list[Answer]) -> None:
        for answer in answers:
            for _ in range(600):  # as the page does, until it has arrived; a server starts slowly on a busy machine
                try:
                    if post(address, answer.model_dump_json().encode()) == 200:
                        acknowledged.append((answer.listener, answer.trial))
                        break
                except OSError:
                    pass
                time.sleep(0.1)

    with ThreadPoolExecutor(20) as pool:
        doing = [pool.submit(listen, answers) for answers in listeners]
        while len(acknowledged) < 12:
            time.sleep(0.01)
        os.kill(processes[-1].pid, signal.SIGKILL)
        processes[-1].wait()
        there = {(one["listener"], one["trial"]) for one in AnswerStore(folder / "answers.sqlite").all()}
        assert set(acknowledged) <= there, "an answer was acknowledged and is not there"
        start()
        for one in doing:
            one.result()
    stored, refused = read_answers(folder, key, [])
    assert not refused
    assert {(one.listener, one.trial): one.ratings for one in stored} == {
        (one.listener, one.trial): one.ratings for answers in listeners for one in answers
    }


@pytest.mark.slow
def test_hostile_input_is_refused_and_changes_nothing(server: tuple[str, Path, Any]) -> None:
    address, folder, _ = server
    key = read_key(folder)
    good = listener_of(key, EAR, np.random.default_rng(7))[0].model_dump(mode="json")
    assert post(address, json.dumps(good).encode()) == 200
    stored = AnswerStore(folder / "answers.sqlite").all()
    first = next(iter(good["ratings"]))
    hostile: list[dict[str, Any]] = [
        {"listener": "'; DROP TABLE answers; --"},
        {"listener": "../../../etc/pas"},
        {"trial": "0" * 12},
        {"test": "0" * 16},
        {"ratings": {}},
        {"ratings": good["ratings"] | {"f" * 12: 50}},
        {"ratings": good["ratings"] | {first: 101}},
        {"ratings": good["ratings"] | {first: "NaN"}},
        {"comment": "x" * 2001},
        {"seconds": -1},
        {"surprise": 1},
    ]
    for changes in hostile:
        assert post(address, json.dumps(good | changes).encode()) == 422, changes
    for content, code in (
        (b"", 400),
        (b"{", 400),
        (b"[" * 50_000, 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b"1" * 70_000, 413),
    ):
        assert post(address, content) == code, content[:20]
    assert post(address, json.dumps(good).encode(), Host="evil.example") == 400
    for path in ("/../key.json", "/%2e%2e/key.json", "/..%2fkey.json", "/answers.sqlite", "/key.json"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + path)
        refused.value.close()
        assert refused.value.code in (400, 404)
    assert AnswerStore(folder / "answers.sqlite").all() == stored


@pytest.mark.slow
def test_answers_of_the_served_page_arrive(server: tuple[str, Path, Any]) -> None:
    address, folder, _ = server
    with opened(f"{address}/") as seen:
        seen.page.wait_for_selector("body[data-ready]")
        begin(seen.page)
        for _ in range(3):
            rate_trial(seen.page)
            seen.page.click("text=Next")
        seen.page.wait_for_selector("text=All answers have arrived")
    assert len(read_answers(folder, read_key(folder), [])[0]) == 3


def test_a_port_that_is_taken_is_said(test_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in (["listen", "serve", str(test_folder)], ["app", "knobs"]):
            done = CliRunner().invoke(app, [*command, "--port", str(port)])
            assert isinstance(done.exception, UsageError), done.output
            assert "choose another with --port" in str(done.exception)


def test_another_host_needs_the_token(test_folder: Path) -> None:
    from starlette.testclient import TestClient

    from timbre_data.commands.listening.listening_server import application

    served = application(test_folder, token="sesame", hosts=("*",))
    stranger = TestClient(served)
    good = listener_of(read_key(test_folder), EAR, np.random.default_rng(8))[0].model_dump(mode="json")
    for path in ("/", "/index.html", "/data/about.js", "/?token=guess"):
        assert stranger.get(path, follow_redirects=False).status_code == 403
    assert stranger.post("/answers", json=good).status_code == 403
    guest = TestClient(served)
    assert guest.get("/?token=sesame").status_code == 200
    assert guest.get("/data/about.js").status_code == 200
    assert guest.post("/answers", json=good).status_code == 200
