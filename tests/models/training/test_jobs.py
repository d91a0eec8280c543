"""What a training says before, while and after it runs: plans, sparing lines, log files, loggers."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from timbre_data.models.studies import planning
from timbre_data.models.training import frontends, train
from timbre_data.models.training.precision import multiplies_in_bfloat16
from timbre_data.pipeline.catalogue import journal
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.settings import TrainSettings

NAMES = ("modulation", "delay", "distortion")


def test_what_takes_long_before_the_first_epoch_is_said(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontends, "SAID_EVERY", 0.0)
    monkeypatch.setattr(train, "multiplies_in_bfloat16", lambda: False)
    settings = TrainSettings(
        model="inverse_cnn", data=(str(shared / "delay"),), limit=60, max_epochs=1, options={"width": 4, "hidden": 16}
    )
    said: list[str] = []
    train.train(settings, name="plain", say=said.append)
    assert any(line.startswith("spectrograms of 60 sounds") for line in said)
    assert not any("bfloat16" in line for line in said)
    said.clear()
    train.train(settings.model_copy(update={"precision": "bf16-mixed"}), name="fast", say=said.append)
    assert "does not multiply in bfloat16" in said[0]
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert multiplies_in_bfloat16()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert multiplies_in_bfloat16() == torch.cuda.is_available()


@pytest.fixture
def data(shared: Path) -> tuple[str, ...]:
    return tuple(str(shared / name) for name in NAMES)


def test_a_plan_counts_what_training_would_see(data: tuple[str, ...], tmp_path: Path) -> None:
    planned = planning.plan(TrainSettings(model="class-mlp", data=data, max_epochs=7), tmp_path / "r")
    datasets = [Dataset(name) for name in data]
    for k, split in enumerate(("train", "validation", "test")):
        assert planned.rows[split] == sum(int((one.split()[one.usable()] == k).sum()) for one in datasets)
    assert planned.classes == {name: len(one.usable()) for name, one in zip(NAMES, datasets, strict=True)}
    assert planned.epochs == 7
    run, _ = train.train(TrainSettings(model="class-mlp", data=data, max_epochs=1), name="r")
    from timbre_data.models.layers.counting import parameter_count
    from timbre_data.models.training import checkpoints

    assert planned.network_parameters == parameter_count(checkpoints.load(run).network.network)
    assert planned.seconds_per_epoch is not None
    assert planned.seconds_per_epoch > 0


def test_a_dry_run_changes_nothing_and_says_the_parameters(
    data: tuple[str, ...], tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", "regressor_mlp", "--data", ",".join(data), "--features", "autofx163", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "distortion.drive_db" in said
    assert "an epoch" in said
    assert not (tmp_path / "runs").exists()
    arguments = ("train", "regressor_mlp", "--data", ",".join(data), "--features", "autofx163", "--dry-run", "--json")
    assert command(*arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["parameters"]) == 15


def test_the_end_and_a_new_beginning_are_said_and_logged(data: tuple[str, ...]) -> None:
    said: list[str] = []
    settings = TrainSettings(model="class-mlp", data=data, max_epochs=400, patience=2, learning_rate=0.05)
    run, _ = train.train(settings, name="r", say=said.append)
    assert said[0].startswith("epoch 1:")
    assert said[-1] == "stopped: no better for 2 epochs"
    with (run / "epochs.csv").open() as file:
        epochs = len(list(csv.DictReader(file)))
    assert len(said) < epochs + 1
    assert said[-2].startswith(f"epoch {epochs}:")
    logged = (run / journal.FILE).read_text().splitlines()
    assert logged[-1].endswith("finished")
    assert any(line.endswith(said[-1]) for line in logged)


def test_lines_are_said_now_and_then_and_the_last_always(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    sparing = journal.Sparing(said.append)
    for k in range(100):
        now = 1.0 * k
        sparing(str(k))
    sparing.flush()
    assert said == ["0", "30", "60", "90", "99"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (95, "2 min"), (5399, "90 min"), (12_000, "3 h 20 min")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert journal.duration(seconds) == text


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    journal.note(tmp_path / "nowhere", "a line")
    (tmp_path / journal.FILE).mkdir()
    journal.note(tmp_path, "a line")


def test_an_unknown_logger_and_one_that_is_not_installed_are_said(
    data: tuple[str, ...],
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("train", "class_mlp", "--data", ",".join(data), "--logger")
    assert command(*arguments, "tensorbord") == 2
    assert "Did you mean 'tensorboard'" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command(*arguments, "mlflow") == 1
    assert "pip install mlflow" in capsys.readouterr().err


@pytest.mark.slow
def test_the_curves_in_the_event_file_go_on_after_a_kill(data: tuple[str, ...], tmp_path: Path) -> None:
    """Slow: a process is trained, killed, and trained on."""
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]  # it has no types
        EventAccumulator,
    )

    program = str(Path(sys.executable).parent / "timbre-data")
    command = [program, "train", "class_mlp", "--data", ",".join(data), "--name", "r", "--logger", "tensorboard"]
    command += ["--set", "max_epochs=60", "--set", "patience=60"]
    run = tmp_path / "runs" / "r"
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (run / "epochs.csv").is_file() and len((run / "epochs.csv").read_text().splitlines()) > 4:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
        assert process.wait() == -signal.SIGKILL
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "going on from epoch" in done.stderr
    with (run / "epochs.csv").open() as file:
        expected = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    curve = {event.step: event.value for event in events.Scalars("validation_loss")}
    steps = sorted(curve)
    assert len(steps) == len(expected) == 60
    assert len({b - a for a, b in itertools.pairwise(steps)}) == 1, "a gap"
    assert all(math.isclose(curve[step], value, rel_tol=1e-4) for step, value in zip(steps, expected, strict=True))
