"""The recogniser's page and server: a sound goes in, the answer of the run comes out, knobs turn what is heard."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from tests.conftest import Once
from tests.fixtures.browser import opened, violations, wait_for_server
from timbre_data.cli import app
from timbre_data.commands.application.application_server import KEPT_SOUNDS, application
from timbre_data.commands.application.recogniser import Recogniser, script_of, settings_of
from timbre_data.models.training.runs import find_run
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

RATE = 22_050


def invoke(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture
def run(shared: Path, once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A regressor of the delay alone, on features that need no pitch."""
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(shared))
    return trained(once, tmp_path, "regressor_mlp", "--name", "echo", "--set", "max_epochs=3")


def trained(once: Once, tmp_path: Path, model: str, *words: str) -> Path:
    """A run on the delay, trained for an earlier test or now."""
    name = words[words.index("--name") + 1]

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIMBRE_DATA_RUNS", str(folder))
            invoke("train", model, "--data", "delay", *words)

    shutil.copytree(once(f"application-{name}", make), tmp_path / "runs", dirs_exist_ok=True)
    return find_run(name)


@pytest.fixture
def client(run: Path, tmp_path: Path) -> TestClient:
    """The server, without a network."""
    (tmp_path / "page").mkdir()
    (tmp_path / "sounds").mkdir()
    return TestClient(application([Recogniser(run)], tmp_path / "page", tmp_path / "sounds", ("testserver",)))


def wav(sound: np.ndarray, rate: int = RATE) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format="WAV", subtype="FLOAT")
    return content.getvalue()


def delayed() -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """A dry note, the same with echoes, and their settings."""
    data = Dataset("delay")
    dry = data.dry(7)
    values = {"delay_seconds": 0.12, "feedback": 0.5, "mix": 0.5}
    wet = EFFECTS.load("delay").render(dry, RATE, values)
    return dry[0], wet[0] / np.abs(wet).max(), values


def test_the_server_says_what_predict_says(run: Path, client: TestClient, tmp_path: Path) -> None:
    dry, wet, values = delayed()
    (described,) = client.get("/runs").json()
    assert described["name"] == "echo"
    assert [one["short"] for one in described["knobs"]["delay"]] == list(values)
    ids = {}
    for name, sound in (("wet", wet), ("dry", dry)):
        reply = client.post("/sounds?suffix=.wav", content=wav(sound))
        assert reply.status_code == 200
        ids[name] = reply.json()["sound"]
        assert base64.b64decode(reply.json()["picture"]).startswith(b"\x89PNG")
    answer = client.post("/recognise", json={"run": "echo", "sound": ids["wet"]}).json()
    (tmp_path / "wet.wav").write_bytes(wav(wet))
    expected = Recogniser(run).predictor.predict(tmp_path / "wet.wav")
    assert answer["parameters"] == pytest.approx(expected.parameters)
    assert list(answer["choices"]) == ["delay"]
    made = client.post("/render", json={"dry": ids["dry"], "steps": [{"effect": "delay", "values": values}]}).json()
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(made["wav"])))
    assert rate == RATE
    assert np.abs(sound - wet).max() < 1e-4, "the match is the real effect"


def test_the_script_makes_the_same_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dry = (rng.standard_normal(RATE // 2) * np.exp(-np.arange(RATE // 2) / 3000)).astype(np.float32)
    soundfile.write(tmp_path / "dry.wav", dry / np.abs(dry).max(), RATE, subtype="FLOAT")
    for names in (("distortion", "delay"), ("modulation",), ("overdrive", "flanger")):
        steps = []
        for name in names:
            space = EFFECTS.load(name).space
            steps.append(
                {"effect": name, "values": space.as_mapping(space.to_values(np.full((1, len(space)), 0.4))[0])}
            )
        settings = settings_of(steps)
        script = tmp_path / f"{names[0]}.py"
        script.write_text(script_of(settings))
        subprocess.run([sys.executable, script, tmp_path / "dry.wav", tmp_path / "out.wav"], check=True)
        made, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
        sound = (dry / np.abs(dry).max())[None]
        for setting in settings:
            sound = EFFECTS.load(setting.effect).render(sound, RATE, setting.values)
        assert np.abs(made - sound[0] / np.abs(sound).max()).max() < 2e-3, names
        assert ("pedalboard" in script.read_text()) == ("overdrive" not in names)


def test_settings_that_no_knob_has_are_refused() -> None:
    good = {"delay_seconds": 0.1, "feedback": 0.5, "mix": 0.5}
    for steps in (
        None,
        "delay",
        [1],
        [{"effect": "delay"}],
        [{"effect": "plugin", "values": {}}],
        [{"effect": "../../delay", "values": good}],
        [{"effect": "delay", "values": good | {"mix": 2}}],
        [{"effect": "delay", "values": good | {"mix": "x); import os; os.system('true'"}}],
        [{"effect": "delay", "values": good | {"mix": float("nan")}}],
        [{"effect": "delay", "values": {"mix": 0.5}}],
        [{"effect": "delay", "values": good}] * 17,
    ):
        with pytest.raises(UsageError):
            settings_of(steps)
    assert settings_of([{"effect": "delay", "values": good}])[0].texts["mix"] == "0.5"


def test_hostile_input_gets_one_clear_line(client: TestClient) -> None:
    for bad in (b"", b"RIFF", os.urandom(5000), b"<html>" * 100, wav(np.zeros(0, np.float32))[:60]):
        reply = client.post("/sounds", content=bad)
        assert reply.status_code == 422
        assert len(reply.text.splitlines()) == 1
        assert "/tmp" not in reply.text
    large = client.post("/sounds", content=bytes(65 * 2**20))
    assert large.status_code == 413
    assert "cut out the part" in large.text
    silent = client.post("/sounds", content=wav(np.zeros(RATE, np.float32))).json()["sound"]
    reply = client.post("/recognise", json={"run": "echo", "sound": silent})
    assert (reply.status_code, "silent" in reply.text, "/tmp" in reply.text) == (422, True, False)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/recognise", {"run": "echo", "sound": "../../etc/passwd"}),
        ("/recognise", {"run": ["echo"], "sound": {}}),
        ("/render", {"dry": 7}),
        ("/patch", {"run": "echo", "labels": []}),
    ]
    for path, content in requests:
        assert client.post(path, json=content).status_code == 404
    assert client.post("/patch", json={"run": "echo", "labels": {"a": 1}}).status_code == 422
    assert client.post("/recognise", content=b"[" * 100_000).status_code == 404
    assert client.post("/sounds", content=b"x", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/runs", headers={"Host": "evil.example"}).status_code == 400


def test_old_sounds_go(client: TestClient, tmp_path: Path) -> None:
    tone = wav(np.sin(np.arange(4000) / 10).astype(np.float32))
    first = client.post("/sounds", content=tone).json()["sound"]
    for _ in range(KEPT_SOUNDS):
        client.post("/sounds", content=tone)
    assert client.post("/recognise", json={"run": "echo", "sound": first}).status_code == 404
    assert len(list((tmp_path / "sounds").iterdir())) == KEPT_SOUNDS


def test_a_running_sound_is_recognised_note_by_note(client: TestClient) -> None:
    _, wet, _ = delayed()
    window = round(0.4 * RATE)
    gap = np.zeros(round(0.3 * RATE))
    take = np.concatenate([np.zeros(3000), wet[:window], gap, wet[:window], gap, gap]).astype(np.float32)
    notes = []
    with client.websocket_connect(f"/live?run=echo&rate={RATE}") as live:
        for start in range(0, len(take), 2048):
            live.send_bytes(take[start : start + 2048].tobytes())
        for _ in range(2):
            notes.append(json.loads(live.receive_text()))
    assert [note["onset_seconds"] for note in notes] == pytest.approx(
        [3000 / RATE, (3000 + window + len(gap)) / RATE], abs=0.02
    )
    assert set(notes[0]["effects"][0]["parameters"]) == {"delay_seconds", "feedback", "mix"}
    for wrong in ("run=nobody&rate=22050", "run=echo&rate=1", "run=echo&rate=x"):
        with pytest.raises(Exception, match=r"4400|disconnect|") as refused, client.websocket_connect(f"/live?{wrong}"):
            pass
        assert type(refused.value).__name__ == "WebSocketDisconnect"


@pytest.fixture
def beside(shared: Path, once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A regressor that learned with the dry sound known."""
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(shared))
    scales = "options.scales=[{n_fft: 1024, hop_length: 1024, n_mels: 32}]"
    small = (scales, "options.width=4", "options.hidden=16", "known_dry=true", "max_epochs=1")
    settings = [word for one in small for word in ("--set", one)]
    return trained(once, tmp_path, "regressor_cnn", "--name", "beside", *settings)


def test_a_run_that_knows_the_dry_sound_asks_for_it(beside: Path, tmp_path: Path) -> None:
    """It answers with both, and follows no stream."""
    (tmp_path / "sounds").mkdir()
    (tmp_path / "page").mkdir()
    server = TestClient(application([Recogniser(beside)], tmp_path / "page", tmp_path / "sounds", ("testserver",)))
    dry, wet, _ = delayed()
    wet_id, dry_id = (server.post("/sounds?suffix=.wav", content=wav(one)).json()["sound"] for one in (wet, dry))
    assert server.get("/runs").json()[0]["needs_dry"] is True
    alone = server.post("/recognise", json={"run": "beside", "sound": wet_id})
    assert alone.status_code >= 400
    assert "dry sound" in alone.text
    both = server.post("/recognise", json={"run": "beside", "sound": wet_id, "dry": dry_id})
    assert set(both.json()["choices"]["delay"]["parameters"]) == {"delay_seconds", "feedback", "mix"}
    with pytest.raises(WebSocketDisconnect), server.websocket_connect(f"/live?run=beside&rate={RATE}"):
        pass


def serving(run: Path) -> Iterator[str]:
    """The command, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from timbre_data.cli import main; main()", "app", str(run), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    wait_for_server(f"{address}/runs", process)
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def served(run: Path) -> Iterator[str]:
    """The address of the page of a run."""
    yield from serving(run)


@pytest.mark.slow
def test_the_page_asks_for_the_dry_sound_and_goes_on_with_it(beside: Path, tmp_path: Path) -> None:
    dry, wet, _ = delayed()
    for name, sound in (("dry", dry), ("wet", wet)):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
    for address in serving(beside):
        with opened(f"{address}/") as seen:
            page = seen.page
            page.wait_for_selector("body[data-ready]")
            assert page.query_selector_all("#live-run option") == []
            assert page.is_disabled("#live")
            page.set_input_files("#target-file", tmp_path / "wet.wav")
            page.wait_for_selector("#results .hint:has-text('give the dry sound, too')")
            assert violations(page) == []
            page.set_input_files("#dry-file", tmp_path / "dry.wav")
            page.wait_for_selector("#results article[data-matched='1']")
            assert page.query_selector("#results .hint:has-text('give the dry sound, too')") is None
            assert len(page.query_selector_all(".knob")) == 3


@pytest.mark.slow
def test_a_sound_is_dropped_and_its_knobs_are_turned(served: str, tmp_path: Path) -> None:
    dry, wet, _ = delayed()
    for name, sound in (("dry", dry), ("wet", wet)):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
    (tmp_path / "bad.wav").write_bytes(os.urandom(20_000))
    with opened(f"{served}/", accept_downloads=True) as seen:
        page = seen.page
        page.wait_for_selector("body[data-ready]")
        assert violations(page) == []
        page.set_input_files("#target-file", tmp_path / "bad.wav")
        page.wait_for_selector("text=not a sound that this browser can read")
        page.set_input_files("#dry-file", tmp_path / "dry.wav")
        page.wait_for_selector("#dry-state:has-text('dry.wav')")
        page.set_input_files("#target-file", tmp_path / "wet.wav")
        page.wait_for_selector("#results article[data-matched='1']")
        assert page.inner_text(".took").endswith(" ms")
        assert len(page.query_selector_all(".knob")) == 3
        page.click("button[data-hear=match]")
        page.wait_for_function("() => player.playing && player.playing.name === 'match'")
        started = page.evaluate("player.playing.started")
        page.click("button[data-hear=target]")
        assert page.evaluate("[player.playing.name, player.playing.started]") == ["target", started]
        page.evaluate(
            "document.querySelector('[data-knob=mix]').value = 0; document.querySelector('[data-knob=mix]').dispatchEvent(new Event('input'))"
        )
        page.wait_for_selector("#results article[data-matched='2']")
        assert page.inner_text(".knob:has([data-knob=mix]) output").strip() in ("0", "0 1")
        with page.expect_download() as download:
            page.click("text=Save the sound")
        download.value.save_as(tmp_path / "saved.wav")
        sound, rate = soundfile.read(tmp_path / "saved.wav")
        reference = dry / np.abs(dry).max()
        assert rate in (RATE, 44_100, 48_000)
        if rate == RATE:
            assert np.abs(sound[: len(reference)] - reference).max() < 1e-3, "at mix 0 the match is the dry sound"
        for words, suffix in (("Save settings", ".json"), ("Save a script", ".py")):
            with page.expect_download() as download:
                page.click(f"text={words}")
            assert download.value.suggested_filename == f"echo{suffix}"
        assert violations(page) == []


def test_two_people_use_one_server_at_once(client: TestClient) -> None:
    from concurrent.futures import ThreadPoolExecutor

    dry, wet, values = delayed()
    alone = client.post("/sounds", content=wav(wet)).json()["sound"]
    expected = client.post("/recognise", json={"run": "echo", "sound": alone}).json()["parameters"]

    def use(k: int) -> tuple[dict[str, float], float]:
        sounds = [client.post("/sounds", content=wav(sound)).json()["sound"] for sound in (wet, dry)]
        said = client.post("/recognise", json={"run": "echo", "sound": sounds[0]}).json()["parameters"]
        steps = [{"effect": "delay", "values": values | {"mix": k / 10}}]
        made = client.post("/render", json={"dry": sounds[1], "steps": steps}).json()["wav"]
        sound, _ = soundfile.read(io.BytesIO(base64.b64decode(made)))
        own = EFFECTS.load("delay").render(dry[None], RATE, values | {"mix": k / 10})[0]
        return said, float(np.abs(sound - own / np.abs(own).max()).max())

    with ThreadPoolExecutor(6) as pool:
        for said, apart in pool.map(use, range(6)):
            assert said == pytest.approx(expected)
            assert apart < 1e-4


@pytest.mark.slow
def test_a_synths_patch_is_heard_and_turned(tmp_path: Path) -> None:
    invoke("render", "--synth", "subtractive", "--n", "80", "--set", "audio.seconds=0.3", "--out", "patches")
    invoke("featurize", "patches", "--features", "autofx163_sound")
    invoke(
        "train",
        "regressor_mlp",
        "--data",
        "patches",
        "--features",
        "autofx163_sound",
        "--name",
        "knobs",
        "--set",
        "max_epochs=2",
    )
    recogniser = Recogniser(find_run("knobs"))
    (tmp_path / "page").mkdir()
    (tmp_path / "sounds").mkdir()
    client = TestClient(application([recogniser], tmp_path / "page", tmp_path / "sounds", ("testserver",)))
    data = Dataset("patches")
    sound = client.post("/sounds", content=wav(data.audio(3)[0], data.recipe.audio.rate)).json()["sound"]
    answer = client.post("/recognise", json={"run": "knobs", "sound": sound}).json()
    assert answer["choices"] == {}
    labels = {name: min(max(value, 0), 1) for name, value in answer["labels"].items()}
    played = [
        client.post("/patch", json={"run": "knobs", "labels": one}).json()["wav"]
        for one in (labels, labels, {**labels, next(iter(labels)): 0.9})
    ]
    assert played[0] == played[1]
    assert played[0] != played[2]
    assert client.post("/patch", json={"run": "knobs", "labels": labels | {"other": 1}}).status_code == 422
