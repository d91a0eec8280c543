"""Runs on disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from timbre_data.models.architectures import MODELS
from timbre_data.pipeline.catalogue import validation
from timbre_data.schemas.errors import CorruptDataError, NotFoundError, RecipeError
from timbre_data.schemas.recipe import AudioFormat
from timbre_data.schemas.settings import TrainSettings

SETTINGS, LOCK, MODEL_FILE = "settings.json", "run.lock", "model.pt"
CLASSIFIER = "conditioning"
"""In a run's folder: its copy of the run that it is conditioned on."""
EXAMPLE = "example"
"""In a run's folder, where a synth played: one row of its dataset, as plain Zarr."""


@dataclass(frozen=True)
class Run:
    """A training run on disk. `audio` is the format of the sounds it was trained on, `synth` whether a synth made them
    (None in older runs), `always` the steps that every row of them went through.
    """

    folder: Path
    settings: TrainSettings
    snapshots: dict[str, str]
    contents: list[str]
    finished: bool
    audio: AudioFormat | None = None
    synth: bool | None = None
    always: tuple[str, ...] = ()


def runs_home() -> Path:
    """The folder of runs: `$TIMBRE_DATA_RUNS`, else `runs/` in the current folder."""
    return Path(os.environ.get("TIMBRE_DATA_RUNS", "runs"))


def find_run(name: str) -> Path:
    """A run's folder by path or bare name. Raises `NotFoundError` naming the runs there are."""
    for candidate in (Path(name), runs_home() / name):
        if (candidate / SETTINGS).is_file():
            return candidate
    known = sorted(path.parent.name for path in runs_home().glob(f"*/{MODEL_FILE}"))
    raise NotFoundError(
        f"there is no run {name}. Known: {', '.join(known) or 'none'}. Make one with timbre-data train."
    )


def classifier_of(folder: Path, settings: TrainSettings) -> Path:
    """The run that a run is conditioned on: the copy in its folder; for older runs the one that its settings name."""
    copied = folder / CLASSIFIER
    return copied if (copied / MODEL_FILE).is_file() else find_run(settings.conditioning or "")


def open_run(folder: Path) -> Run:
    """Read the settings of a run. Raises `CorruptDataError`."""
    path = folder / SETTINGS
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        settings = validation.validate(TrainSettings, data["settings"], str(folder))
        snapshots = {str(name): str(snapshot) for name, snapshot in data["snapshots"].items()}
        always = tuple(map(str, data.get("always", ())))
        audio = AudioFormat.model_validate(data["audio"]) if "audio" in data else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecipeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CorruptDataError(
            f"{path} is damaged ({reason.rstrip('.')}): restore it from a copy, or delete the run and train again."
        ) from None
    if settings.target != "parameters" and MODELS.load(settings.model).task == "regression":
        settings = settings.model_copy(update={"target": "parameters"})  # before regressors had a target of their own
    finished = (folder / MODEL_FILE).is_file()
    return Run(folder, settings, snapshots, data.get("contents", []), finished, audio, data.get("synth"), always)
