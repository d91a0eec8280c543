"""The training loop: batches, loss, optimiser and the record of epochs (Lightning)."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.optim import SGD, Adadelta, Adagrad, Adam

from timbre_data.models.architectures import Model
from timbre_data.models.data.batches import Batches, Variation
from timbre_data.models.data.rows import Rows
from timbre_data.models.data.windows import Windows
from timbre_data.models.layers.losses import masked_mse
from timbre_data.models.training import energy, epochs
from timbre_data.models.training.checkpoints import Standardised, as_sound
from timbre_data.pipeline.build.machine import available_cores
from timbre_data.schemas.errors import InterruptedBuildError, UsageError
from timbre_data.schemas.settings import TrainSettings


def tensors_of(kind: Model, rows: Rows, probabilities: torch.Tensor | None, several: bool) -> list[Any]:
    """What batches are cut from: features, condition, targets, own and identifiable parameters, sounds; a row of each for every row."""
    extra = torch.zeros(len(rows.features), 0) if probabilities is None else probabilities
    if kind.task == "regression":
        targets = torch.from_numpy(rows.labels)
    else:
        targets = torch.from_numpy(rows.present.astype(np.float32) if several else rows.classes)
    audio = rows.audio
    if audio is None:
        audio = torch.zeros(len(rows.features), 0)
    elif isinstance(audio, np.ndarray):
        audio = torch.from_numpy(audio)
    own, heard = torch.from_numpy(rows.own), torch.from_numpy(rows.heard)
    return [torch.from_numpy(rows.features), extra, targets, own, heard, audio]


class _Feed(L.LightningDataModule):
    """The splits as batches; the order of an epoch depends on the seed and the epoch alone, so a resumed run sees the same."""

    def __init__(self, tensors: list[Any], train_rows: Any, validation_rows: Any, settings: TrainSettings) -> None:
        super().__init__()
        self._tensors, self._train, self._validation = tensors, train_rows, validation_rows
        self._settings = settings

    def train_dataloader(self) -> Batches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        s = self._settings
        variation = Variation(crop=s.crop_frames, gain=s.filter_range, mask=s.mask_bands)
        return Batches(self._tensors, self._train, s.batch_size or 64, s.seed, epoch, variation)

    def val_dataloader(self) -> Batches:
        audio = self._tensors[-1]
        size = 8192 if not audio.shape[1] else 1024 if isinstance(audio, Windows) else 64
        return Batches(self._tensors, self._validation, size, None)


class _Module(L.LightningModule):
    """Loss and optimiser: NLL of the soft-max, binary cross-entropy of several labels, or MSE over a row's own parameters; Adam (.9, .999)."""

    def __init__(self, network: Standardised, kind: Model, settings: TrainSettings, several: bool) -> None:
        super().__init__()
        self.network, self._kind, self._settings, self._several = network, kind, settings, several
        self.hears_sounds = kind.input == "audio"
        kinds = (torch.nn.Conv1d, torch.nn.Conv2d)
        self._convolutions = [module.weight for module in network.modules() if isinstance(module, kinds)]

    def _loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        features, probabilities, targets, own, heard, audio = batch
        predicted = self.network(
            features,
            probabilities if probabilities.shape[1] else None,
            as_sound(audio) if audio.shape[1] else None,
        )
        class_loss: Callable[..., torch.Tensor] | None = getattr(self.network.network, "class_loss", None)
        if class_loss is not None:
            return class_loss(predicted, targets)
        if self._kind.task == "classification" and self._several:
            return F.binary_cross_entropy_with_logits(predicted, targets)
        if self._kind.task == "classification":
            return F.cross_entropy(predicted, targets)
        loss: Callable[..., torch.Tensor] | None = getattr(self.network.network, "loss", None)
        if loss is not None:
            return loss(predicted, targets, own, heard)
        return masked_mse(predicted, targets, own)

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        loss = self._loss(batch)
        if self._kind.l2_convolutions:
            loss = loss + self._kind.l2_convolutions * sum(weight.square().sum() for weight in self._convolutions)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        self.log("validation_loss", self._loss(batch), on_epoch=True, batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        rate, decay = self._settings.learning_rate, self._settings.learning_rate_decay
        assert rate is not None
        assert decay is not None
        classes = {"adam": Adam, "sgd": SGD, "adagrad": Adagrad, "adadelta": Adadelta}
        made: type[Any] = classes[self._settings.optimizer or "adam"]
        try:
            optimizer = made(self.network.parameters(), lr=rate, **(self._settings.optimizer_options or {}))
        except (TypeError, ValueError) as error:
            raise UsageError(f"optimizer_options do not fit {self._settings.optimizer}: {error}.") from None
        if self._settings.schedule == "cosine":
            steps = int(self.trainer.estimated_stepping_batches)
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}
        if decay == 1:
            return optimizer
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=decay, patience=0, threshold=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "validation_loss"}}


class _Record(Callback):
    """Writes epochs.csv and says how it goes; `seconds` counts over resumptions."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say, self._began = folder, say, 0.0
        self._rows: list[dict[str, Any]] = []
        self._random: torch.Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows, "random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = list(state_dict["rows"])
        self._random = state_dict.get("random")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Where training goes on: what the state was saved too early to know, and the random numbers of dropout."""
        if not self._rows:
            return
        for config in trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                config.scheduler.step(self._rows[-1]["validation_loss"])
        if self._random is not None:
            torch.set_rng_state(self._random)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {
            "epoch": trainer.current_epoch + 1,
            "train_loss": values["train_loss"],
            "validation_loss": values["validation_loss"],
            "seconds": round(time.monotonic() - self._began, 3),
            "waiting": round(float(getattr(trainer.train_dataloader, "seconds", 0.0)), 3),
        }
        self._rows = [*[r for r in self._rows if r["epoch"] < row["epoch"]], row]
        epochs.write(self._folder, self._rows)
        self._say(
            f"epoch {row['epoch']}: training loss {row['train_loss']:.5f}, validation {row['validation_loss']:.5f}, {row['seconds']:.1f} s"
        )


def fit(
    network: Standardised,
    kind: Model,
    tensors: list[Any],
    splits: tuple[NDArray[np.int64], NDArray[np.int64]],
    settings: TrainSettings,
    several: bool,
    folder: Path,
    say: Callable[[str], None],
) -> Standardised:
    """Train a network on rows of `tensors` (places of the training and validation rows), into a folder; goes on where it stopped.

    Returns it with the weights of the best epoch. Raises `InterruptedBuildError` on Ctrl-C; the folder keeps the epochs up to the last whole one.
    """
    module, feed = _Module(network, kind, settings, several), _Feed(tensors, *splits, settings)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    best = ModelCheckpoint(
        folder, filename="best", monitor="validation_loss", save_top_k=1, enable_version_counter=False
    )
    last = ModelCheckpoint(
        folder, filename="last", save_top_k=1, monitor=None, every_n_epochs=1, enable_version_counter=False
    )
    stop = EarlyStopping("validation_loss", patience=settings.patience or 10)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        trainer = L.Trainer(
            max_epochs=settings.max_epochs,
            callbacks=[_Record(folder, say), best, stop, last],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            deterministic=True,
            accelerator="auto",
            precision=settings.precision,
            devices=1,
        )
        resume = folder / "last.ckpt"
        torch.set_num_threads(available_cores() if module.hears_sounds else min(2, available_cores()))
        meter = energy.Meter(folder) if settings.measure_energy else contextlib.nullcontext()
        try:
            with meter:
                trainer.fit(module, feed, ckpt_path=str(resume) if resume.is_file() else None, weights_only=False)
        except (KeyboardInterrupt, SystemExit):  # Lightning answers Ctrl-C by leaving the program
            raise InterruptedBuildError(
                f"interrupted: epochs up to the last whole one are kept in {folder}; the same command goes on from there."
            ) from None
    module.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True)["state_dict"])
    return module.network
