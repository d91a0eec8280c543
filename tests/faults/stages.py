"""The stages that faults strike: what each needs, its command, and what it leaves, in a form that compares."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from tests.conftest import all_columns
from tests.faults.forking import Command
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import open_repository
from timbre_data.schemas.errors import CorruptDataError

SMALL = ("--set", "audio.seconds=0.1", "--set", "source={name: noise, sounds: 512}", "--batch", "256", "--workers", "1")


@dataclass(frozen=True)
class Stage:
    """A command on what the stages of `needs` left. `clusters` says whether it can run on one, `plays` the synth's
    program, `makes` the dataset that it makes of others. Some are there for others only and are not `struck`.
    """

    name: str
    words: tuple[str, ...]
    needs: tuple[str, ...] = ()
    clusters: bool = False
    plays: str = ""
    makes: str = ""
    struck: bool = True


STAGES = {
    stage.name: stage
    for stage in (
        Stage("dry", ("render", "--fx", "delay", "--n", "512", "--out", "d", *SMALL), clusters=True),
        Stage("render", ("render", "--fx", "delay", "--n", "1024", "--out", "d", *SMALL), ("dry",), clusters=True),
        Stage("featurize", ("featurize", "d", "--features", "autofx163", "--batch", "256"), ("dry",), clusters=True),
        Stage("import", ("import", "irmas", "{irmas}", "--out", "i"), clusters=True),
        Stage("capture", ("render", "--synth", "amsynth", "--n", "512", "--out", "c", "--set", "audio.seconds=0.1", "--set", "source={name: notes, keys: [60]}", "--batch", "256", "--workers", "1"), plays="amsynth"),
        Stage("train", ("train", "regressor_mlp", "--data", "d", "--name", "r", "--set", "max_epochs=3"), ("dry", "featurize")),
        Stage("evaluate", ("evaluate", "r", "--sounds", "4"), ("dry", "featurize", "train")),
        Stage("other", ("render", "--fx", "distortion", "--n", "512", "--out", "e", *SMALL), ("dry", "featurize"), struck=False),
        Stage("half", ("render", "--fx", "delay", "--n", "1024", "--out", "d", "--part", "1/2", *SMALL), ("dry",), struck=False),
        Stage("part", ("render", "--fx", "delay", "--n", "1024", "--out", "d", "--part", "2/2", *SMALL), ("dry", "half"), clusters=True),
        Stage("select", ("dataset", "select", "d", "--where", "mix > 0.3", "--out", "s", "--workers", "1"), ("dry", "featurize"), makes="s"),
        Stage("merge", ("dataset", "merge", "d", "e", "--out", "m", "--workers", "1"), ("dry", "featurize", "other"), makes="m"),
        Stage("export_selection", ("dataset", "export", "d", "--where", "mix > 0.3", "--to", "out"), ("dry", "featurize")),
        Stage("copy", ("dataset", "copy", "d", "c"), ("dry", "featurize")),
        Stage("export_zarr", ("dataset", "export", "d", "--to", "out", "--format", "zarr"), ("dry", "featurize")),
        Stage("export_wav", ("dataset", "export", "d", "--to", "out", "--format", "wav"), ("dry", "featurize")),
        Stage("export_huggingface", ("dataset", "export", "d", "--to", "out", "--format", "huggingface"), ("dry", "featurize")),
        Stage("export_webdataset", ("dataset", "export", "d", "--to", "out", "--format", "webdataset"), ("dry", "featurize")),
        Stage("export_parquet", ("dataset", "export", "d", "--to", "out", "--format", "parquet"), ("dry", "featurize")),
        Stage("sensitivity", ("featurize", "d", "--sensitivity", "--batch", "256", "--workers", "1"), ("dry",), clusters=True),
    )
}  # fmt: skip


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command that works in a folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    ours = {
        "TIMBRE_DATA_HOME": str(folder / "datasets"),
        "TIMBRE_DATA_RUNS": str(folder / "runs"),
        "TIMBRE_DATA_COMMIT_SECONDS": "0",
        "TMPDIR": str(folder / "tmp"),
    }
    return os.environ | ours | more


def start(stage: Stage, folder: Path, irmas: Path, *extra: str, **more: str) -> Command:
    """Start a stage's command in a folder; what it prints is held back until it ends."""
    words = [word.replace("{irmas}", str(irmas)) for word in stage.words]
    return Command([*words, *extra], folder, environment(folder, **more))


def left_by(folder: Path) -> dict[str, str]:
    """A digest of everything in a folder that a user would look at: datasets and tags, runs, reports, exports."""
    found = {}
    for path in sorted((folder / "datasets").glob("*/store")):
        data = Dataset(str(path.parent))
        try:
            found[f"dataset {path.parent.name}"] = content(data)
        except CorruptDataError as error:
            found[f"dataset {path.parent.name}"] = str(error)
        found[f"tags of {path.parent.name}"] = ", ".join(tags(data))
    for path in sorted((folder / "runs").rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name == "model.pt":
            found[name] = _digest(torch.load(path, weights_only=True))
        elif path.name == "epochs.csv":
            found[name] = pd.read_csv(path).drop(columns=["seconds", "waiting"]).to_csv()
        elif path.suffix in (".csv", ".json", ".md"):
            text = path.read_text(encoding="utf-8")
            found[name] = "\n".join(line for line in text.splitlines() if "inference" not in line and " ms" not in line)
    for path in sorted((folder / "out").rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def tags(data: Dataset) -> list[str]:
    """The names of a dataset's versions."""
    return sorted(open_repository(data.location).list_tags())


def content(data: Dataset) -> str:
    """A digest of what can be read of a dataset, without where and when it was made."""
    described = {key: value for key, value in data.meta.items() if key != "provenance"}
    return _digest([all_columns(data), described, data.version])


def _digest(value: Any) -> str:
    """A digest of nested values; arrays and tensors with their bytes."""
    digest = hashlib.sha256()

    def take(one: Any) -> None:
        if isinstance(one, dict):
            for key in sorted(one, key=str):
                digest.update(str(key).encode())
                take(one[key])
        elif isinstance(one, list | tuple):
            for inner in one:
                take(inner)
        elif isinstance(one, torch.Tensor):
            take(one.numpy())
        elif hasattr(one, "dtype") and one.dtype != object:
            digest.update(str(one.dtype).encode() + repr(one.shape).encode() + one.tobytes())
        elif hasattr(one, "tolist"):
            digest.update(json.dumps(one.tolist()).encode())
        else:
            digest.update(repr(one).encode())

    take(value)
    return digest.hexdigest()
