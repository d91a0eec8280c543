"""The command line as its user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.fixtures.idmt_smt_audio_effects import make
from timbre_data.cli import main
from timbre_data.commands._kinds import KINDS

MAIN = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
HEAVY = {"torch", "zarr", "icechunk", "dask", "distributed", "numba", "scipy", "pedalboard", "lightning", "matplotlib"}


def run(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    return warm.run(*arguments, env=options)


WRONG = {
    "a fixed value between positions": ["render", "--fx", "tremolo", "--set", "chain.0.parameters.square=0.4"],
    "effect": ["render", "--fx", "distorsion"],
    "neither effect nor recipe": ["render"],
    "recipe": ["render", "--recipe", "nowhere.yaml"],
    "recipe field": ["render", "--fx", "delay", "--set", "audio.sample_rate=3"],
    "recipe value": ["render", "--fx", "delay", "--set", "chain.0.parameters.mix=7"],
    "rate": ["render", "--fx", "delay", "--rate", "-1"],
    "n": ["render", "--fx", "delay", "--n", "0"],
    "n is no number": ["render", "--fx", "delay", "--n", "many"],
    "seed": ["render", "--fx", "delay", "--seed", "-3"],
    "workers": ["render", "--fx", "delay", "--workers", "0"],
    "batch": ["render", "--fx", "delay", "--batch", "100"],
    "name": ["render", "--fx", "delay", "--out", "a b"],
    "name that is too long": ["render", "--fx", "delay", "--out", "x" * 300],
    "user that is not there": ["render", "--fx", "delay", "--out", "~nouser/x"],
    "patience": ["render", "--fx", "delay", "--patience", "-1"],
    "sound without samples": ["render", "--fx", "delay", "--set", "audio.seconds=1e-9"],
    "pattern outside of its folder": [
        "render",
        "--fx",
        "delay",
        "--source",
        "wav_folder",
        "--set",
        "source.path=.",
        "--set",
        "source.pattern=/etc/*",
    ],
    "pattern that climbs": [
        "render",
        "--fx",
        "delay",
        "--source",
        "wav_folder",
        "--set",
        "source.path=.",
        "--set",
        "source.pattern=../*",
    ],
    "age of garbage": ["dataset", "gc", "nowhere", "--older-than", "inf"],
    "address": ["render", "--fx", "delay", "--out", "ftp://x/y"],
    "source": ["render", "--fx", "delay", "--source", "banjo"],
    "source path": ["render", "--fx", "delay", "--source", "wav_folder", "--set", "source.path=/nowhere"],
    "source without its path": ["render", "--fx", "delay", "--source", "wav_folder"],
    "scheduler": ["render", "--fx", "delay", "--n", "10", "--scheduler", "tcp://127.0.0.1:1"],
    "dataset": ["featurize", "nowhere"],
    "dataset to verify": ["dataset", "verify", "nowhere"],
    "dataset to tag": ["dataset", "tag", "nowhere", "first"],
    "dataset to clean": ["dataset", "gc", "nowhere"],
    "feature": ["featurize", "nowhere", "--features", "mffc"],
    "model": ["train", "regresor-mlp", "--data", "nowhere"],
    "data": ["train", "regressor-mlp", "--data", "nowhere"],
    "split": ["train", "regressor-mlp", "--data", "nowhere", "--split", "column"],
    "run": ["evaluate", "nowhere"],
    "run to use": ["predict", "nowhere", "a.wav"],
    "run to tune": ["finetune", "nowhere", "--data", "nowhere"],
    "run to export": ["export-model", "nowhere", "--out", "a.pt2"],
    "importer": ["import", "idmt", "/nowhere"],
    "folder to import": ["import", "idmt-smt-audio-effects", "/nowhere"],
    "setting of an import": ["import", "idmt-smt-audio-effects", "/nowhere", "--set", "parts=[banjo]"],
    "classifier": ["compare", "nowhere", "--models", "forest"],
    "data to compare": ["compare", "nowhere"],
    "target": ["compare", "nowhere", "--target", "colour"],
    "pipeline recipe": ["run", "nowhere.yaml"],
    "pipeline recipe that is a dataset's": ["run", "distortion"],
    "kind": ["list", "efects"],
    "member": ["show", "effect", "korus"],
    "command": ["rendr"],
    "option": ["render", "--fxx", "delay"],
}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(one, id=what, marks=[pytest.mark.slow] if what == "scheduler" else [])
        for what, one in WRONG.items()
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["timbre-data", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 2, said.err
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert said.err.startswith("timbre-data: ")
    assert not list(home.glob("*/store/chunks/*"))
    assert not (home / "nowhere").exists()


def test_an_unexpected_error_is_one_line_with_its_traceback_in_a_file(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*ignored: object) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr("timbre_data.pipeline.store.shelf.known_datasets", fail)
    assert command("dataset", "list") == 1
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    file = Path(said.rsplit(" ", 1)[1].strip().rstrip("."))
    assert "ZeroDivisionError: of the test" in file.read_text()
    file.unlink()
    monkeypatch.setenv("TIMBRE_DATA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        command("dataset", "list")


def test_seconds_between_commits_are_a_number(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("abc", "nan", "-1", "inf"):
        monkeypatch.setenv("TIMBRE_DATA_COMMIT_SECONDS", text)
        assert command("render", "--fx", "delay", "--n", "4", "--set", "audio.seconds=0.1") == 2
        assert "TIMBRE_DATA_COMMIT_SECONDS" in capsys.readouterr().err


def test_help_does_not_wait_for_heavy_imports() -> None:
    script = f"import sys; import timbre_data.cli; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_importers_are_listed_without_numba_and_other_formats_read_without_callbacks_for_mp3() -> None:
    listed = "[IMPORTERS.load(name) for name in IMPORTERS.names()]; print('numba' in sys.modules)"
    read = "import timbre_data.pipeline.sound.audio; print('timbre_data.pipeline.sound.mp3' in sys.modules)"
    script = f"import sys; from timbre_data.pipeline.importers import IMPORTERS; {listed}; {read}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


UNKNOWN = {
    "effect": ("render", "--fx", "nosuch"),
    "source": ("render", "--fx", "delay", "--source", "nosuch"),
    "synth": ("synth", "play", "nosuch", "--out", "a.wav"),
    "importer": ("import", "nosuch", "nowhere"),
    "feature": ("featurize", "nowhere", "--features", "nosuch"),
    "model": ("train", "nosuch", "--data", "nowhere"),
    "model of a search": ("search", "nosuch", "--data", "nowhere", "--grid", "seed=[1]"),
    "target": ("train", "regressor_mlp", "--data", "nowhere", "--target", "nosuch"),
    "distance": ("evaluate", "nowhere", "--distances", "nosuch"),
    "format": ("dataset", "export", "nowhere", "--to", "out", "--format", "nosuch"),
    "run": ("predict", "nosuch", "a.wav"),
    "run to tune": ("finetune", "nosuch", "--data", "nowhere"),
    "run to evaluate": ("evaluate", "nosuch"),
    "split": ("evaluate", "nosuch", "--split", "nosuch"),
    "dataset to train on": ("train", "regressor_mlp", "--data", "nosuch"),
    "dataset to search on": ("search", "regressor_mlp", "--data", "nosuch", "--grid", "learning_rate=[1]"),
    "dataset to compare": ("compare", "nosuch"),
    "classifier": ("compare", "nowhere", "--models", "nosuch"),
    "dataset to measure": ("design-filters", "nosuch"),
    "member": ("show", "effect", "nosuch"),
}


def test_unknown_names_are_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """All in one process, which never imports what they would need: each would show."""
    script = f"""
import sys
from timbre_data.cli import main
for what, words in {UNKNOWN!r}.items():
    sys.argv = ["timbre-data", *words]
    try:
        main()
    except SystemExit as left:
        print(what, left.code, sorted({{"torch", "lightning", "distributed", "matplotlib"}} & set(sys.modules)), sep="|")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [f"{what}|2|[]" for what in UNKNOWN], done.stderr
    assert len(done.stderr.strip().splitlines()) == len(UNKNOWN)


LIGHT = {
    "list": (("list", "models"), "torch"),
    "list of effects": (("list", "effects"), "numpy"),
    "show": (("show", "effect", "delay"), "torch"),
    "dataset list": (("dataset", "list"), "torch"),
    "help": (("train", "--help"), "numpy"),
}


@pytest.mark.parametrize(("arguments", "without"), LIGHT.values(), ids=LIGHT)
def test_lists_and_help_import_little(arguments: tuple[str, ...], without: str, tmp_path: Path) -> None:
    script = f"import sys; from timbre_data.cli import main\ntry: main()\nfinally: print(sorted({{'lightning', 'torch._dynamo', {without!r}}} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_a_baseline_is_not_trained_but_compared(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", "knn", "--data", "nowhere") == 2
    assert "timbre-data compare DATA --models knn" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_with_summaries(
    kind: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("list", f"{kind}s", "--json") == 0
    members = json.loads(capsys.readouterr().out)
    assert members
    for member in members:
        assert member["summary"], member["name"]
    assert command("show", kind, members[0]["name"]) == 0


@pytest.mark.slow
def test_the_chain_of_the_readme(home: Path, tmp_path: Path) -> None:
    small = ["--n", "500", "--set", "audio.seconds=0.4"]
    would = run("render", "--fx", "delay", *small, "--dry-run")
    assert "would make 500 of 500 rows (new dataset)" in would.stdout
    assert not home.exists()
    rendered = json.loads(run("render", "--fx", "delay", *small, "--json").stdout)
    assert (rendered["rows"], rendered["version"]) == (500, "1.0.0")
    assert "finished already" in run("render", "--fx", "delay", *small).stdout
    features = json.loads(
        run("featurize", "delay", "--features", "autofx163,logmel", "--set", "logmel.n_mels=40", "--json").stdout
    )
    assert [report["rows"] for report in features] == [500, 500]
    trained = run("train", "regressor-mlp", "--data", "delay", "--set", "max_epochs=2")
    evaluated = json.loads(run("evaluate", trained.stdout.strip(), "--sounds", "4", "--json").stdout)
    assert evaluated["parameters"] > 50_000
    assert [row["name"] for row in json.loads(run("dataset", "list", "--json").stdout)] == ["delay"]
    shown = json.loads(run("dataset", "show", "delay", "--json").stdout)
    assert shown["present"] == 500
    assert shown["recipe"]["audio"]["seconds"] == 0.4
    assert run("dataset", "tag", "delay", "first").returncode == 0
    assert run("dataset", "tag", "delay", "first").returncode == 2
    log = json.loads(run("dataset", "log", "delay", "--json").stdout)
    assert "first" in log[0]["tags"]
    verified = json.loads(run("dataset", "verify", "delay@first", "--rerender", "20", "--json").stdout)
    assert verified["whole"]
    assert verified["rerender"]["equal"] == 20
    assert run("dataset", "export", "delay", "--to", str(tmp_path / "out"), "--format", "wav").returncode == 0
    assert run("dataset", "export", "delay", "--to", str(tmp_path / "out"), "--format", "wav").returncode == 2


def test_verify_of_a_damaged_dataset_exits_with_3(
    home: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("render", "--fx", "delay", "--n", "100", "--set", "audio.seconds=0.2") == 0
    biggest = max((home / "delay" / "store" / "chunks").iterdir(), key=lambda path: path.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[:-9])
    capsys.readouterr()
    assert command("dataset", "verify", "delay") == 3
    said = capsys.readouterr()
    assert "NOT WHOLE" in said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("list", "sources"), "plucked_string"),
        (("list", "features", "--json"), '"autofx163"'),
        (("show", "effect", "distortion"), "drive_db"),
        (("show", "model", "regressor-mlp"), "58315"),
        (("doctor",), "plucked_string: 1872 notes"),
        (("doctor",), "synth monark: started by hand"),
    ],
)
def test_lists_show_every_kind(
    arguments: tuple[str, ...], shown: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 0
    said = capsys.readouterr().out
    assert shown in said
    if "--json" in arguments:
        json.loads(said)


def test_an_import_that_leaves_recordings_out_exits_with_1(
    home: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    next(tmp_path.rglob("*.wav")).write_bytes(b"RIFFxxxx")
    assert command("import", "idmt-smt-audio-effects", str(tmp_path)) == 1
    assert command("import", "idmt-smt-audio-effects", str(tmp_path), "--keep-going") == 1
    assert "2 recordings left out" in capsys.readouterr().err
    assert (home / "idmt-smt-audio-effects").is_dir()


def test_dry_sounds_that_cannot_be_used_stop_the_build(
    home: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timbre_data.pipeline.build.dry_sounds.SILENCE_PEAK", 9.0)
    assert command("render", "--fx", "compressor", "--n", "20", "--set", "audio.seconds=0.2", "--out", "bad") == 1
    assert "cannot be used" in capsys.readouterr().err
