"""Loggers of training curves, each an optional package: chosen by name, none by default."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from timbre_data.schemas.errors import MissingDependencyError, UnknownNameError
from timbre_data.schemas.settings import TrainSettings


def _tensorboard(folder: Path, settings: TrainSettings) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="")


def _mlflow(folder: Path, settings: TrainSettings) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    experiment = "timbre-data"
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    client = importlib.import_module("mlflow").MlflowClient(uri)
    known = client.get_experiment_by_name(experiment)
    begun = client.search_runs([known.experiment_id], f"attributes.run_name = '{folder.name}'") if known else []
    return MLFlowLogger(
        experiment_name=experiment,
        run_name=folder.name,
        run_id=begun[0].info.run_id if begun else None,
        tracking_uri=uri,
        artifact_location=(folder / "mlruns").resolve().as_uri(),
    )


def _wandb(folder: Path, settings: TrainSettings) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(name=folder.name, id=folder.name, save_dir=folder, project="timbre-data", resume="allow")


def _trackio(folder: Path, settings: TrainSettings) -> Logger:
    return _Trackio(folder.name)


class _Trackio(Logger):
    """Trackio, which has the calls of Weights & Biases and keeps everything on this machine."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._run: Any = None

    @property
    def name(self) -> str:
        return "timbre-data"

    @property
    def version(self) -> str:
        return self._name

    @property
    def _opened(self) -> Any:
        if self._run is None:
            trackio: Any = importlib.import_module("trackio")
            self._run = trackio.init(project=self.name, name=self._name, resume="allow")
        return self._run

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._opened.log({**metrics, "step": step})

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._opened.config.update(dict(params))

    def finalize(self, status: str) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None


_MAKERS: dict[str, tuple[tuple[str, ...], Callable[[Path, TrainSettings], Logger]]] = {
    "tensorboard": (("tensorboard", "tensorboardX"), _tensorboard),
    "mlflow": (("mlflow",), _mlflow),
    "wandb": (("wandb",), _wandb),
    "trackio": (("trackio",), _trackio),
}
NAMES = tuple(_MAKERS)


def check_logger(name: str | None) -> None:
    """Raise `UnknownNameError` for an unknown logger, `MissingDependencyError` for one that is not installed."""
    if name is None:
        return
    if name not in _MAKERS:
        raise UnknownNameError("logger", name, NAMES)
    packages, _ = _MAKERS[name]
    if not any(importlib.util.find_spec(package) for package in packages):
        raise MissingDependencyError(f"--logger {name} needs a package: pip install {packages[0]}.")


def open_logger(name: str | None, folder: Path, settings: TrainSettings) -> Logger | None:
    """The logger of a run, or None. TensorBoard's goes on where it was when the run is resumed."""
    if name is None:
        return None
    logger = _MAKERS[name][1](folder, settings)
    logger.log_hyperparams({key: str(value) for key, value in settings.model_dump(mode="json").items()})
    return logger
