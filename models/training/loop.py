"""The training loop, of every target: Lightning with checkpoints, early stopping and the record of epochs."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from timbre_data.models.evaluation import epochs
from timbre_data.models.training import energy
from timbre_data.models.training.checkpoint_io import SafeCheckpointIO, load_checkpoint, newest_checkpoint, writing
from timbre_data.models.training.loggers import open_logger
from timbre_data.pipeline.catalogue.journal import Sparing
from timbre_data.pipeline.catalogue.memory import reused_memory
from timbre_data.schemas.errors import InterruptedBuildError
from timbre_data.schemas.settings import TrainSettings

LAST = "last.ckpt"
"""In a run: where training resumes."""
SELECTION = "selection_loss"
"""The logged quantity whose lowest epoch is the result, where that is not the validation loss."""


class Record(Callback):
    """Writes epochs.csv and prints a line per epoch; `seconds` counts over resumptions."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say, self._began = folder, say, 0.0
        self._sparing = Sparing(say)
        self._rows: list[dict[str, Any]] = []
        self._random: torch.Tensor | None = None

    @property
    def state_key(self) -> str:
        """The name under which checkpoints keep it."""
        return "_Record"

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, and the random numbers of dropout."""
        return {"rows": self._rows, "random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the epochs."""
        self._rows = list(state_dict["rows"])
        self._random = state_dict.get("random")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """On resuming: what the state was saved too early to know, and the random numbers of dropout."""
        if not self._rows:
            return
        self._say(f"going on from epoch {self._rows[-1]['epoch'] + 1}")
        for config in trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                config.scheduler.step(self._rows[-1]["validation_loss"])
        if self._random is not None:
            torch.set_rng_state(self._random)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the epoch's line."""
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {
            "epoch": trainer.current_epoch + 1,
            "train_loss": values["train_loss"],
            "validation_loss": values["validation_loss"],
            "seconds": round(time.monotonic() - self._began, 3),
            "waiting": round(float(getattr(trainer.train_dataloader, "seconds", 0.0)), 3),
            **getattr(module, "columns_of_epoch", dict)(),
        }
        self._rows = [*[r for r in self._rows if r["epoch"] < row["epoch"]], row]
        epochs.write(self._folder, self._rows)
        title = getattr(module, "title_of_epoch", lambda: f"epoch {row['epoch']}")()
        detail = getattr(module, "detail_of_epoch", str)()
        line = f"{title}: training loss {row['train_loss']:.5f}, validation {row['validation_loss']:.5f}{detail}, {row['seconds']:.1f} s"
        self._sparing(line)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Say the last epoch."""
        self._sparing.flush()


def _interrupted(folder: Path) -> InterruptedBuildError:
    return InterruptedBuildError(
        f"interrupted: epochs up to the last whole one are kept in {folder}; the same command resumes."
    )


def fit(
    module: L.LightningModule,
    data: L.LightningDataModule,
    settings: TrainSettings,
    folder: Path,
    say: Callable[[str], None],
    *,
    epochs_to_run: int | None,
    patience: int | None,
    select: str = "validation_loss",
    logger: str | None = None,
) -> None:
    """Train a module in a run's folder; resumes where it stopped. Leaves it with the weights of the epoch whose
    `select` is lowest.

    `patience` epochs without improvement end it, None never. Raises `InterruptedBuildError` on Ctrl-C; the folder keeps
    the epochs up to the last whole one.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    best = ModelCheckpoint(folder, filename="best", monitor=select, save_top_k=1, enable_version_counter=False)
    last = ModelCheckpoint(
        folder, filename="last", save_top_k=1, monitor=None, every_n_epochs=1, enable_version_counter=False
    )
    stop = [] if patience is None else [EarlyStopping("validation_loss", patience=patience)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        trainer = L.Trainer(
            max_epochs=epochs_to_run,
            callbacks=[Record(folder, say), best, *stop, last],
            logger=open_logger(logger, folder, settings) or False,
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            deterministic=True,
            accelerator="auto",
            precision=settings.precision,
            devices=1,
            plugins=[SafeCheckpointIO()],
        )
        resume = newest_checkpoint(folder / LAST)
        meter = energy.EnergyMeter(folder) if settings.measure_energy else contextlib.nullcontext()
        try:
            with meter, writing(folder), reused_memory():
                trainer.fit(module, data, ckpt_path=resume and str(resume), weights_only=True)
        except (KeyboardInterrupt, SystemExit):  # Lightning answers Ctrl-C by leaving the program
            raise _interrupted(folder) from None
        except RuntimeError as error:  # PyTorch's own, where Ctrl-C came while it saved
            if isinstance(error.__context__, KeyboardInterrupt):
                raise _interrupted(folder) from None
            raise
    if stop and stop[0].stopped_epoch:
        say(f"stopped: no better for {patience} epochs")
    module.load_state_dict(load_checkpoint(folder / "best.ckpt")["state_dict"])
