"""Datasets, runs, recipes, settings and profiles of somebody else start nothing, connect to nothing and write nothing
outside: each of them x each command that takes it, watched by an audit hook of the interpreter.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from tests.conftest import build, small_recipe
from tests.pipeline.synths.test_trust import handed_over, hostile_profile
from timbre_data.models.training import train
from timbre_data.models.training.runs import MODEL_FILE, SETTINGS, runs_home
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.writer import Writer, set_meta
from timbre_data.schemas.settings import TrainSettings

pytestmark = pytest.mark.slow  # 34 commands, several of which import torch
EVIL = "from pathlib import Path\nPath({marker!r}).touch()\n"
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in STARTS or (event == "socket.getaddrinfo" and arguments[0] not in (None, "0.0.0.0", "127.0.0.1", "::")):
        _watching[-1].append(f"{event} {arguments[:2]}")
    elif event == "socket.connect" and not str(arguments[1]).startswith(("('127.", "('::1", "/", "b'")):
        _watching[-1].append(f"{event} {arguments[1]}")
    elif event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and "outside" in arguments[0]:
            _watching[-1].append(f"open {arguments[0]}")


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_audit)  # for good; it looks away between tests


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is started, connected to or written outside meanwhile."""
    seen: list[str] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.pop()


class Runs:
    """Pickled, it calls a program when it is read."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._marker}",)


def dataset_with(name: str, **changes: Any) -> None:
    """A dataset whose description was changed by its maker."""
    data = build(small_recipe(n=40), name)
    recipe = data.recipe.model_dump(mode="json")
    recipe.update(changes.pop("recipe", {}))
    with Writer(locate(name)) as writer:
        set_meta(writer.root(), recipe=recipe, **changes)
        writer.commit("hostile")


def hostile_dataset(what: str, marker: Path, home: Path) -> str:
    if what == "profile":
        handed_over(marker, "foreign")
    elif what == "plugin":
        (marker.parent / "evil.vst3").write_bytes(b"\x7fELF")
        steps = [{"effect": "plugin", "settings": {"path": str(marker.parent / "evil.vst3"), "parameters": [{"name": "a"}]}}]  # fmt: skip
        dataset_with("foreign", recipe={"chain": {"steps": steps}})
    elif what == "member":
        code = EVIL.format(marker=str(marker))
        file = {"kind": "effect", "name": "evil", "path": "evil.py", "digest": "0" * 64, "content": code}
        dataset_with("foreign", recipe={"chain": {"steps": [{"effect": "evil"}]}}, files=[file])
    elif what == "source":
        dataset_with("foreign", recipe={"source": {"name": str(evil_file(marker))}})
    else:
        feature = {"path": "features/evil", "settings": {}, "shape": [1], "dtype": "float32", "file": {"kind": "feature", "name": "evil", "path": "evil.py", "digest": "0" * 64, "content": EVIL.format(marker=str(marker))}}  # fmt: skip
        dataset_with("foreign", features={"evil": feature})
    return "foreign"


def evil_file(marker: Path) -> Path:
    """A Python file that somebody put beside what they handed over."""
    path = marker.parent / "evil.py"
    path.write_text(EVIL.format(marker=str(marker)))
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("dataset", "show", "{}"),
        ("dataset", "list"),
        ("dataset", "verify", "{}", "--rerender", "2"),
        ("dataset", "export", "{}", "--to", "out"),
        ("dataset", "card", "{}"),
        ("dataset", "diff", "{}", "{}"),
        ("dataset", "copy", "{}", "copied"),
        ("dataset", "select", "{}", "--where", "row < 9", "--out", "selected"),
        ("dataset", "merge", "{}", "{}", "--out", "merged"),
        ("dataset", "export", "{}", "--where", "row < 9", "--to", "out"),
        ("dataset", "finish", "{}"),
        ("render", "--from", "{}", "--out", "again"),
        ("featurize", "{}", "--features", "autofx163"),
        ("train", "regressor_mlp", "--data", "{}", "--features", "autofx163"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
@pytest.mark.parametrize("what", ["profile", "plugin", "member", "source", "feature"])
def test_datasets(
    what: str, words: tuple[str, ...], tmp_path: Path, home: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    name = hostile_dataset(what, tmp_path / "marker", home)
    with watched() as seen:
        assert command(*(word.format(name) for word in words)) in (0, 1, 2, 3)
    assert not seen
    assert not (tmp_path / "marker").exists()


@pytest.fixture(scope="module")
def trained(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    train.train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name=str(folder))
    return folder


def hostile_run(what: str, marker: Path) -> None:
    run = runs_home() / "run"
    settings = json.loads((run / SETTINGS).read_text())
    if what == "weights":
        (run / MODEL_FILE).write_bytes(pickle.dumps(Runs(marker)))
    elif what == "weights in a zip":
        torch.save({"state": Runs(marker)}, run / MODEL_FILE)
    elif what == "checkpoints":
        (run / MODEL_FILE).unlink()
        for name in ("last.ckpt", "best.ckpt", "last.before.ckpt"):
            torch.save({"state_dict": {}, "optimizer_states": [Runs(marker)]}, run / name)
    elif what == "model":
        settings["settings"]["model"] = str(evil_file(marker))
    elif what == "address":
        settings["settings"]["data"] = ["s3://evil.example.org/x"]
        settings["snapshots"] = dict.fromkeys(settings["settings"]["data"], "0" * 20)
    elif what == "conditioning":
        settings["settings"]["conditioning"] = str(evil_file(marker).parent)
    (run / SETTINGS).write_text(json.dumps(settings))


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "run", "--sounds", "1"),
        ("predict", "run", "note.wav", "--effect", "delay"),
        ("export-model", "run", "--out", "out.pt2"),
        ("finetune", "run", "--data", "{shared}/distortion"),
        ("train", "regressor_mlp", "--data", "{shared}/delay", "--name", "run", "--set", "max_epochs=1"),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("what", ["weights", "weights in a zip", "checkpoints", "model", "address", "conditioning"])
def test_runs(
    what: str, words: tuple[str, ...], trained: Path, shared: Path, tmp_path: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, runs_home() / "run")
    soundfile.write("note.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 22_050), 22_050)
    hostile_run(what, tmp_path / "marker")
    with watched() as seen:
        code = command(*(word.format(shared=shared) for word in words))
    said = capsys.readouterr().err
    assert code in (0, 1, 2, 3), said
    assert "This is a defect" not in said
    assert not seen
    assert not (tmp_path / "marker").exists()
    if what == "address" and words[0] in ("evaluate", "finetune"):
        assert code == 2
        assert "s3://evil.example.org/x would be opened over the network" in said


@pytest.mark.parametrize("what", ["effect", "source", "synth", "profile", "name", "model", "data", "pipeline", "files"])
def test_files(
    what: str, tmp_path: Path, home: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "marker"
    evil = str(evil_file(marker))
    synth = {"synth": "midi", "name": "a", "settings": {"profile": hostile_profile(marker)}}
    contents: dict[str, dict[str, Any]] = {
        "effect": {"name": "x", "n": 4, "chain": [{"effect": evil}]},
        "source": {"name": "x", "n": 4, "source": {"name": evil}, "chain": [{"effect": "delay"}]},
        "synth": {"name": "x", "n": 4, "chain": [{"synth": evil}]},
        "profile": {"name": "x", "n": 4, "chain": [synth]},
        "name": {"name": "../../outside/x", "n": 4, "chain": [{"effect": "delay"}]},
        "model": {"model": evil, "data": ["d"]},
        "data": {"model": "regressor_mlp", "data": ["s3://evil.example.org/x"]},
        "pipeline": {"name": "p", "datasets": [{"recipe": evil}], "train": [{"name": "../outside", "model": evil, "data": ["d"]}]},
        "files": hostile_profile(marker) | {"files": {"../../outside/x": "x"}},
    }  # fmt: skip
    path = tmp_path / "foreign.yaml"
    path.write_text(yaml.safe_dump(contents[what]))
    words = {"model": ("train", str(path)), "data": ("train", str(path)), "pipeline": ("run", str(path)), "files": ("render", "--synth", str(path), "--n", "4")}  # fmt: skip
    with watched() as seen:
        code = command(*words.get(what, ("render", "--recipe", str(path))))
    said = capsys.readouterr().err
    assert code == 2, said
    assert len(said.strip().splitlines()) == 1
    assert not seen
    assert not marker.exists()
    assert not list(tmp_path.parent.glob("outside*"))


def test_the_hook_sees_what_it_is_to_see(tmp_path: Path) -> None:
    import socket
    import subprocess

    with watched() as seen:
        subprocess.run(["true"], check=True)
        (tmp_path / "outside").write_text("x")
        with socket.socket() as one:
            one.settimeout(0.01)
            one.connect_ex(("192.0.2.1", 9))
    assert {line.split()[0] for line in seen} == {"subprocess.Popen", "open", "socket.connect"}
