"""Damaged runs: every damage x every command that reads a run is one line and exit code 1 or 3, without a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from timbre_data.models.training import train
from timbre_data.models.training.runs import MODEL_FILE, SETTINGS, runs_home
from timbre_data.schemas.settings import TrainSettings


def other_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state"] = {name: value[:1] for name, value in content["state"].items()}
    torch.save(content, path)


def with_nan(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    next(iter(content["state"].values())).fill_(float("nan"))
    torch.save(content, path)


def without(key: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        del content[key]
        torch.save(content, path)

    return change


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "settings empty": (SETTINGS, lambda path: path.write_bytes(b"")),
    "settings half": (SETTINGS, half),
    "settings binary": (SETTINGS, lambda path: path.write_bytes(bytes(range(256)))),
    "settings a list": (SETTINGS, lambda path: path.write_text("[1, 2]")),
    "settings null": (SETTINGS, lambda path: path.write_text("null")),
    "settings of another shape": (SETTINGS, lambda path: path.write_text(json.dumps({"settings": 3, "snapshots": []}))),
    "settings without snapshots": (SETTINGS, lambda path: path.write_text(json.dumps({"settings": {"model": "x"}}))),
    "model empty": (MODEL_FILE, lambda path: path.write_bytes(b"")),
    "model half": (MODEL_FILE, half),
    "model text": (MODEL_FILE, lambda path: path.write_text("hello")),
    "model a tensor": (MODEL_FILE, lambda path: torch.save(torch.ones(3), path)),
    "model of another network": (MODEL_FILE, other_network),
    "model not finite": (MODEL_FILE, with_nan),
    "model without options": (MODEL_FILE, without("options")),
    "model without shape": (MODEL_FILE, without("shape")),
    "model without model": (MODEL_FILE, without("model")),
}
COMMANDS = {
    "evaluate": ("evaluate", "run"),
    "predict": ("predict", "run", "note.wav", "--effect", "delay"),
    "export": ("export-model", "run", "--out", "out.pt2"),
}


@pytest.fixture(scope="module")
def trained(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged") / "run"
    train.train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name=str(folder))
    return folder


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_one_line(
    trained: Path,
    damage: tuple[str, Callable[[Path], object]],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(trained, runs_home() / "run")
    monkeypatch.chdir(tmp_path)
    soundfile.write("note.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 22_050), 22_050)
    file, change = damage
    change(runs_home() / "run" / file)
    assert command(*words) == 3
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert file in said
    assert "weights_only" not in said
    assert not (tmp_path / "out.pt2").exists()


def test_a_run_without_its_log_is_one_line(
    trained: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, runs_home() / "run")
    for content in (None, b"", b"\xff\xfe", b"epoch,train_loss\n1,x\n", b"epoch\n1\n"):
        path = runs_home() / "run" / "epochs.csv"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        code = command("evaluate", "run", "--sounds", "0")
        said = capsys.readouterr().err
        assert code == 3, (content, said)
        assert len(said.strip().splitlines()) == 1
        assert "epochs.csv" in said
