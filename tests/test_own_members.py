"""Members outside the repository: a file is accepted wherever a name is, is kept as data, and never runs by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.conftest import SMALL
from timbre_data import api
from timbre_data.commands._kinds import REGISTRIES
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.registry import MemberFile
from timbre_data.schemas.errors import UnknownNameError, UsageError

ROOT = Path(__file__).parents[1]
SMALL_OPTIONS = [f"--set={key}={value}" for key, value in (SMALL | {"n": 40}).items()]

RING = '''
"""Ring modulation."""

from pathlib import Path

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

Path("MARK").write_text("it ran")


def render(audio, rate, values):
    time = np.arange(audio.shape[1]) / rate
    return (audio * np.sin(2 * np.pi * values["frequency_hz"] * time)).astype(np.float32)


EFFECT = Effect(
    summary="Ring modulation with a sine.",
    family="other",
    space=ParameterSpace.of(
        Parameter(name="frequency_hz", low=20, high=2000, unit="Hz", kind="log", description="frequency of the sine"),
    ),
    render=render,
)
'''
FEATURES = '''
"""Level."""

import numpy as np

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.schemas.base import Frozen


class Settings(Frozen):
    """Nothing to set."""


FEATURES = FeatureSet(
    summary="The level of a sound.",
    group="features",
    settings=Settings,
    columns=lambda rate, samples, settings: Columns(shape=(2,), names=("rms", "peak")),
    compute=lambda audio, rate, f0_hz, settings: np.stack(
        [np.sqrt((audio**2).mean(axis=1)), np.abs(audio).max(axis=1)], axis=1
    ).astype(np.float32),
)
'''
DISTANCE = '''
"""Difference of levels."""

import numpy as np

from timbre_data.models.evaluation.distances import Distance

DISTANCE = Distance(
    summary="Difference of the root mean squares.",
    heading="level",
    compute=lambda made, target, rate: float(abs(np.sqrt((made**2).mean()) - np.sqrt((target**2).mean()))),
)
'''
EXPORTER = '''
"""Text."""

from timbre_data.pipeline.catalogue.exporter import Exporter


def write(data, folder):
    lines = [f"{row} {value}" for row, value in enumerate(data.read("gain").tolist())]
    (folder / "rows.txt").write_text("\\\\n".join(lines))


EXPORTER = Exporter(
    summary="The gain of every row as text.",
    write=write,
    count_rows=lambda folder: len((folder / "rows.txt").read_text().splitlines()),
)
'''
TARGET = '''
"""Whether a parameter is above its middle."""

import torch

from timbre_data.models.targets.parameters import ParametersTarget


class HalvesTarget(ParametersTarget):
    """Each parameter as low (0) or high (1)."""

    summary = "Whether each parameter is above the middle of its range."

    def is_default(self, model, datasets):
        return False

    def training_targets(self, rows, multi_label):
        return (super().training_targets(rows, multi_label) > 0.5).float()


TARGET = HalvesTarget()
'''


def run_apart(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which has been told of no file."""
    return warm.run(*arguments, cwd=home.parent)


@pytest.mark.slow  # ten commands in processes of their own, which must not know the file
def test_an_effects_file_is_an_effect_and_never_runs_by_itself(home: Path, tmp_path: Path) -> None:
    ring = tmp_path / "own_ring.py"
    ring.write_text(RING.replace("MARK", str(tmp_path / "ran")))
    done = run_apart("render", "--fx", str(ring), *SMALL_OPTIONS, "--out", "ringing", home=home)
    assert done.returncode == 0, done.stderr
    kept = api.Dataset("ringing").meta["files"]
    assert [(one["kind"], one["name"], one["text"]) for one in kept] == [("effect", "own_ring", ring.read_text())]
    (tmp_path / "ran").unlink()
    for arguments in (
        ("dataset", "show", "ringing"),
        ("dataset", "verify", "ringing"),
        ("featurize", "ringing", "--features", "autofx163"),
        ("dataset", "export", "ringing", "--to", str(tmp_path / "out")),
    ):
        assert run_apart(*arguments, home=home).returncode == 0, arguments
    refused = run_apart("dataset", "verify", "ringing", "--rerender", "8", home=home)
    assert refused.returncode == 2
    assert "unknown effect 'own_ring'" in refused.stderr
    assert "--use" in refused.stderr
    assert not (tmp_path / "ran").exists()
    verified = run_apart("--use", str(ring), "dataset", "verify", "ringing", "--rerender", "8", "--json", home=home)
    assert json.loads(verified.stdout)["rerender"]["equal"] == 8
    grown = run_apart("render", "--fx", str(ring), *SMALL_OPTIONS, "--n", "60", "--out", "ringing", home=home)
    assert grown.returncode == 0, grown.stderr
    ring.write_text(RING.replace("MARK", str(tmp_path / "ran")) + "\n# changed\n")
    other = run_apart("render", "--fx", str(ring), *SMALL_OPTIONS, "--n", "80", "--out", "ringing", home=home)
    assert other.returncode == 2
    assert "another own_ring.py" in other.stderr


@pytest.mark.slow  # starts a cluster's processes
def test_workers_of_a_cluster_get_the_file(home: Path, tmp_path: Path) -> None:
    """Worker processes know nothing of the client's files but what comes with a task."""
    from distributed import LocalCluster

    ring = tmp_path / "sent_ring.py"
    ring.write_text(RING.replace("MARK", str(tmp_path / "ran")))
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        api.render(fx=str(ring), out="there", overrides=SMALL | {"n": 40}, scheduler=cluster.scheduler_address)
    api.render(fx=str(ring), out="here", overrides=SMALL | {"n": 40})
    assert np.array_equal(api.Dataset("here").read("integrity/rows"), api.Dataset("there").read("integrity/rows"))


@pytest.mark.slow  # renders, trains and evaluates
def test_features_targets_distances_and_exporters_of_ones_own(home: Path, shared: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    files = {"own_level": FEATURES, "own_distance": DISTANCE, "own_text": EXPORTER, "own_halves": TARGET}
    paths = {name: tmp_path / f"{name}.py" for name in files}
    for name, text in files.items():
        paths[name].write_text(text.replace("\\\\", "\\"))
        assert command("check", str(paths[name])) == 0, capsys.readouterr().out
    api.render(fx="delay", out="own", overrides=SMALL | {"n": 400})
    assert command("featurize", "own", "--features", str(paths["own_level"])) == 0
    assert api.Dataset("own").array("features/own_level").shape == (400, 2)
    assert "rms" in api.Dataset("own").names("features/own_level")
    data = ("--data", "own", "--features", "own_level", "--set", "max_epochs=2")
    assert command("train", "regressor_mlp", *data, "--target", str(paths["own_halves"]), "--name", "halves") == 0
    capsys.readouterr()
    assert (
        command("evaluate", "halves", "--sounds", "2", "--distances", f"{paths['own_distance']},mrstft", "--json") == 0
    )
    assert set(json.loads(capsys.readouterr().out)["sounds"]["median"]["model"]) == {"own_distance", "mrstft"}
    about = json.loads((tmp_path / "runs" / "halves" / "settings.json").read_text())
    assert {file["name"] for file in about["files"]} == {"own_halves", "own_level"}
    assert command("dataset", "export", "own", "--to", str(tmp_path / "text"), "--format", str(paths["own_text"])) == 0
    assert (tmp_path / "text" / "rows.txt").read_text().count("\n") == 399


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EFFECT = 1 / 0", "cannot be run (ZeroDivisionError"),
        ("SYNTH = None", "must expose EFFECT"),
        ("def broken(:", "cannot be run (SyntaxError"),
    ],
)
def test_what_is_no_member_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"wrong\.py") as caught:
        REGISTRIES["effect"].resolve(str(file))
    assert said in str(caught.value)


def test_a_file_cannot_take_the_place_of_a_shipped_member(tmp_path: Path) -> None:
    (tmp_path / "delay.py").write_text("EFFECT = None")
    with pytest.raises(UsageError, match=r"has a member called delay"):
        REGISTRIES["effect"].resolve(str(tmp_path / "delay.py"))


def test_an_installed_package_may_bring_members(tmp_path: Path) -> None:
    """An entry point is a name like any other."""
    package = tmp_path / "brought-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[timbre_data.effect]\nbrought-ring = brought_ring:EFFECT\n")
    (tmp_path / "brought_ring.py").write_text(RING.replace("MARK", str(tmp_path / "ran")))
    script = "from timbre_data.pipeline.effects import EFFECTS; print('brought_ring' in EFFECTS.names(), EFFECTS.load('brought-ring').family)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})  # fmt: skip
    assert done.stdout.strip() == "True other", done.stderr


def test_names_of_members_files_and_errors_say_what_to_do() -> None:
    with pytest.raises(UnknownNameError, match="--use"):
        REGISTRIES["effect"].load("nobody_has_this")
    assert MemberFile("effect", "a", "b", "c").kind == "effect"
    assert Cluster(workers=1).workers == 1


ADDED = {
    "pipeline/effects/own_added.py": RING.replace('Path("MARK").write_text("it ran")', ""),
    "models/targets/own_added.py": TARGET,
    "models/evaluation/distances/own_added.py": DISTANCE,
    "pipeline/store/exporters/own_added.py": EXPORTER.replace("\\\\", "\\"),
    "datasets/profiles/own-added.yaml": (ROOT / "datasets" / "profiles" / "zynaddsubfx.yaml")
    .read_text(encoding="utf-8")
    .replace("name: zynaddsubfx", "name: own-added"),
}


@pytest.mark.slow  # copies the tree and imports it anew
def test_a_new_member_is_one_file_and_its_test_is_there(tmp_path: Path) -> None:
    """In a copy of the tree, one file of each kind is added and nothing else; list, contract and tests know it."""
    import shutil

    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("cli.py", "api.py", "commands", "schemas", "pipeline", "models", "datasets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    for path, text in ADDED.items():
        (clone / path).write_text(text, encoding="utf-8")
    (tmp_path / "timbre_data").symlink_to(clone)
    script = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, sys.argv[1])
import timbre_data.cli
assert timbre_data.cli.__file__.startswith(sys.argv[1])
from timbre_data.commands._kinds import kind_of
from timbre_data.commands.contracts import CONTRACTS
for kind in ("effect", "target", "distance", "exporter", "profile"):
    name = "own-added" if kind == "profile" else "own_added"
    assert name in kind_of(kind).names, kind
    assert kind_of(kind).summary(name), kind
    if kind != "profile":
        broken = [one for one in CONTRACTS.load(kind)(name).outcomes() if one.problem]
        assert not broken, (kind, broken)
print("all there")
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "all there", done.stderr
