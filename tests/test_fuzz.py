"""Fuzzing of what people write and hand over: no traceback, no unexpected error, documented exit codes, nothing half
written.

A short run is among the slow tests; `scripts/fuzz` runs as many cases as asked for.
"""

from __future__ import annotations

import importlib
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from timbre_data.cli import main
from timbre_data.models.training import train
from timbre_data.models.training.runs import runs_home
from timbre_data.pipeline.catalogue.shipped import shipped
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.store.reader import open_if_there
from timbre_data.pipeline.synths.hosting.trust import forget
from timbre_data.schemas.settings import TrainSettings

CASES = int(os.environ.get("TIMBRE_DATA_FUZZ", "6"))
CODES = {0, 1, 2, 3, 4, 130}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
fuzz = settings(
    max_examples=CASES,
    deadline=60_000,
    derandomize=CASES < 100,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
)

TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "..",
        "/",
        "~",
        "~root",
        "a/b",
        "\0",
        "-1",
        "nan",
        "inf",
        "1e400",
        "null",
        "[]",
        "{}",
        "é",
        "x" * 300,
        "@",
        "a@b",
        "s3://",
        "%s",
        "{}",
    ]
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, -1, 1e-300, 1e300, 2**31, 2**63, 0.5])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["n", "seed", "name", "description", "licence", "audio", "audio.rate", "audio.seconds", "audio.channels", "audio.peak", "audio.dtype", "audio.codec", "split", "split.train", "split.seed", "source", "source.name", "source.path", "source.pattern", "chain", "chain.0", "chain.0.effect", "chain.0.parameters", "chain.0.parameters.mix", "chain.0.probability", "chain.choose", "chain.0.settings", "chain.0.name", "features", "families", "x.y.z", ""]  # fmt: skip


def judged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process and judge what it says."""
    if any("\0" in word for word in words):  # no program can get such an argument
        return 2
    forget()
    monkeypatch.setattr("sys.argv", ["timbre-data", *words])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    code = int(left.value.code or 0)
    assert code in CODES, (words, code)
    assert "This is a defect" not in said.err, (words, said.err)
    assert "Traceback" not in said.err, words
    if code in (1, 2, 3) and words[0] != "check":  # whose findings are its output
        last = said.err.strip().splitlines()[-1]
        assert last.startswith("timbre-data: "), (words, said.err)
    return code


@fuzz
@given(field=st.sampled_from(FIELDS), value=VALUES, fx=st.sampled_from(["delay", "filter", "distortion", "plugin"]))
@example(field="audio.seconds", value=1e-9, fx="delay")
@example(field="source.path", value="~nouser", fx="delay")
def test_settings_of_a_render(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    field: str,
    value: Any,
    fx: str,
) -> None:
    judged(capsys, monkeypatch, "render", "--fx", fx, "--n", "4", "--dry-run", "--set", f"{field}={in_one_line(value)}")
    assert not home.exists() or not any(home.iterdir())


@fuzz
@given(
    name=st.sampled_from(sorted(shipped())),
    path=st.lists(st.integers(0, 9), max_size=4),
    value=VALUES,
    drop=st.booleans(),
)
def test_recipes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    tmp_path: Path,
    name: str,
    path: list[int],
    value: Any,
    drop: bool,
) -> None:
    recipe = yaml.safe_load(shipped()[name].read_text(encoding="utf-8"))
    file = fuzzed(tmp_path, recipe, path, value, drop)
    command = "run" if isinstance(recipe, dict) and "datasets" in recipe else "render"
    words = [command, str(file)] if command == "run" else [command, "--recipe", str(file)]
    judged(capsys, monkeypatch, *words, "--dry-run")
    assert not home.exists() or not any(home.iterdir())


@fuzz
@given(
    name=st.sampled_from(sorted(shipped("profile"))),
    path=st.lists(st.integers(0, 9), max_size=4),
    value=VALUES,
    drop=st.booleans(),
)
def test_profiles(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    path: list[int],
    value: Any,
    drop: bool,
) -> None:
    profile = yaml.safe_load(shipped("profile")[name].read_text(encoding="utf-8"))
    file = fuzzed(tmp_path, profile, path, value, drop)
    judged(capsys, monkeypatch, "render", "--synth", str(file), "--n", "2", "--dry-run")


@fuzz
@given(
    text=st.text(max_size=200) | st.binary(max_size=200), command=st.sampled_from(["render", "train", "run", "check"])
)
@example(text="!!python/object/apply:os.system ['true']", command="render")
@example(text="a: &a [*a]", command="render")
def test_files_that_are_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes, command: str
) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    words = {"render": ["--recipe", str(file), "--dry-run"], "train": [str(file), "--dry-run"], "run": [str(file), "--dry-run"], "check": [str(file)]}  # fmt: skip
    judged(capsys, monkeypatch, command, *words[command])


COMMANDS = [
    "show",
    "log",
    "verify",
    "gc",
    "tag",
    "render",
    "export",
    "evaluate",
    "predict",
    "card",
    "diff",
    "copy",
    "select",
    "merge",
    "finish",
    "rename",
    "rm",
    "list",
]


@fuzz
@given(
    name=TEXTS,
    command=st.sampled_from(COMMANDS),
)
@example(name="x" * 300, command="evaluate")
def test_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if name.startswith(("s3://", "-")):
        return
    if command in ("evaluate", "predict"):
        words = [command, name, *(["x.wav"] if command == "predict" else [])]
    elif command == "render":
        words = ["render", "--fx", "delay", "--n", "4", "--dry-run", "--out", name]
    else:
        more = {"tag": ["first"], "export": ["--to", "out"], "diff": [name], "copy": ["x"], "select": ["--out", "x"], "merge": [name, "--out", "x"], "rename": ["x"], "rm": ["--yes"]}  # fmt: skip
        words = ["dataset", command, name, *more.get(command, [])]
    judged(capsys, monkeypatch, *words)


WORDS = st.sampled_from(["mix", "delay.mix", "split", "effects", "row", "note", "tags", "x", '"test"', "1", "1e400", "(", ")", "[", "]", ",", ">", "==", "<=", "in", "not", "and", "or", "+", "%", "/", "-", "lambda", ":", "."])  # fmt: skip


@fuzz
@given(
    where=TEXTS | st.lists(WORDS, max_size=9).map(" ".join),
    n=st.none() | NUMBERS,
    balance=st.none() | TEXTS | st.sampled_from(["split", "effect", "effects", "mix", "dry"]),
    out=st.just("s") | TEXTS,
)
@example(where="not " * 5000 + "True", n=None, balance=None, out="s")
def test_selections(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shared: Path,
    where: str,
    n: Any,
    balance: str | None,
    out: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if out.startswith(("s3://", "-")):
        return
    more = [*(["--n", str(n)] if n is not None else []), *([f"--balance={balance}"] if balance is not None else [])]
    words = ["dataset", "select", str(shared / "delay"), f"--where={where}", *more]
    judged(capsys, monkeypatch, *words, "--out", out, "--dry-run")
    assert not list(tmp_path.rglob("store"))


@fuzz
@given(text=TEXTS | st.tuples(st.integers(-9, 99), st.integers(-9, 99)).map(lambda pair: f"{pair[0]}/{pair[1]}"))
def test_parts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["render", "--fx", "delay", "--n", "4", "--set", "audio.seconds=0.05", "--workers", "1", "--out", "p"]
    if judged(capsys, monkeypatch, *words, f"--part={text}") == 0:
        assert judged(capsys, monkeypatch, "dataset", "finish", "p") in (1, 2)
    shutil.rmtree(tmp_path / "datasets", ignore_errors=True)


@fuzz
@given(
    field=st.sampled_from([*TrainSettings.model_fields, "options", "options.hidden", "x"]),
    value=VALUES,
    model=st.sampled_from(["regressor_mlp", "class_mlp", "autofx", "eq_autoencoder", "irmas_single"]),
)
@example(field="features", value=[], model="regressor_mlp")
def test_settings_of_a_training(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shared: Path,
    field: str,
    value: Any,
    model: str,
) -> None:
    data = str(shared / "delay")
    judged(capsys, monkeypatch, "train", model, "--data", data, "--dry-run", "--set", f"{field}={in_one_line(value)}")


@pytest.fixture(scope="module")
def trained(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    train.train(TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), max_epochs=1), name=str(folder))
    return folder


@fuzz
@given(
    file=st.sampled_from(["settings.json", "model.pt", "epochs.csv"]),
    at=st.floats(0, 1),
    junk=st.binary(max_size=40),
    cut=st.booleans(),
)
def test_files_of_a_run(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trained: Path,
    tmp_path: Path,
    file: str,
    at: float,
    junk: bytes,
    cut: bool,
) -> None:
    run = runs_home() / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(trained, run)
    content = (run / file).read_bytes()
    place = int(at * len(content))
    (run / file).write_bytes(content[:place] + junk + (b"" if cut else content[place + len(junk) :]))
    soundfile.write(tmp_path / "note.wav", np.zeros(22_050) + 0.1, 22_050)
    judged(capsys, monkeypatch, "predict", "run", str(tmp_path / "note.wav"), "--effect", "delay")


@fuzz
@given(at=st.integers(0, 43), junk=st.binary(min_size=1, max_size=8), length=st.integers(0, 3000))
@example(at=24, junk=struct.pack("<I", 1), length=3000)
def test_headers_of_sounds(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: int,
    junk: bytes,
    length: int,
) -> None:
    folder = tmp_path / "sounds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.sin(np.arange(length) / 9) * 0.3, 8000)
    content = bytearray((folder / "a.wav").read_bytes())
    content[at : at + len(junk)] = junk
    (folder / "a.wav").write_bytes(bytes(content))
    words = ["render", "--fx", "delay", "--source", "wav_folder", "--set", f"source.path={folder}", "--set", "audio.seconds=0.1", "--n", "2"]  # fmt: skip
    shutil.rmtree(os.environ["TIMBRE_DATA_HOME"], ignore_errors=True)
    judged(capsys, monkeypatch, *words, "--out", "d")


@fuzz
@given(
    importer=st.sampled_from(IMPORTERS.names()),
    which=st.integers(0, 1000),
    change=st.sampled_from(["junk", "cut", "empty", "gone", "renamed", "a folder", "a link to itself", "one more"]),
    junk=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    name=st.text(st.characters(blacklist_characters="/\0", codec="utf-8"), min_size=1, max_size=30),
    at=st.floats(0, 1),
    keep_going=st.booleans(),
)
def test_trees_of_importers(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    home: Path,
    importer: str,
    which: int,
    change: str,
    junk: bytes,
    name: str,
    at: float,
    keep_going: bool,
) -> None:
    for folder in (tmp_path / "tree", home):
        shutil.rmtree(folder, ignore_errors=True)
    (tmp_path / "tree").mkdir()
    importlib.import_module(f"tests.fixtures.{importer}").make(tmp_path / "tree")
    files = sorted(path for path in (tmp_path / "tree").rglob("*") if path.is_file())
    path = files[which % len(files)]
    content = path.read_bytes()
    place = int(at * len(content))
    if change in ("gone", "a folder", "a link to itself"):
        path.unlink()
    if change in ("junk", "cut", "empty"):
        path.write_bytes({"junk": content[:place] + junk + content[place + len(junk) :], "cut": content[:place], "empty": b""}[change])  # fmt: skip
    elif change == "a folder":
        path.mkdir()
    elif change == "a link to itself":
        path.symlink_to(path)
    elif change == "renamed" and name not in (".", ".."):
        path.rename(path.with_name(name + path.suffix))
    elif change == "one more":
        path.with_name(name + path.suffix).write_bytes(content)
    options = ["--keep-going"] if keep_going else []
    code = judged(capsys, monkeypatch, "import", importer, str(tmp_path / "tree"), "--out", "d", *options)
    data = open_if_there("d")
    if data is not None and data.version != "unfinished":
        assert code in (0, 1)
        assert data.complete()


def in_one_line(value: Any) -> str:
    """A value as it is written after `--set FIELD=`."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).replace("\n...", "").strip()


def fuzzed(folder: Path, content: Any, path: list[int], value: Any, drop: bool) -> Path:
    """A YAML file of `content` with one entry changed."""
    file = folder / "fuzzed.yaml"
    file.write_text(yaml.safe_dump(changed(content, path, value, drop), allow_unicode=True), encoding="utf-8")
    return file


def changed(node: Any, path: list[int], value: Any, drop: bool) -> Any:
    """A copy with one entry, chosen by the numbers of a path, replaced or left out."""
    if not path or not isinstance(node, dict | list) or not node:
        return value
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
    key = keys[path[0] % len(keys)]
    copy: Any = dict(node) if isinstance(node, dict) else list(node)
    if drop and len(path) == 1:
        del copy[key]
    else:
        copy[key] = changed(node[key], path[1:], value, drop)
    return copy


def test_findings_stay_found(command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Cases that once ended in a traceback."""
    assert command("render", "--fx", "delay", "--set", "chain.0={}", "--dry-run") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
