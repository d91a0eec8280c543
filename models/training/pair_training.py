"""Training on pairs of sounds before and after a transformation: the end-to-end equaliser, in two stages.

An epoch is `ROUND` iterations of one stage, an iteration some frames of one note. The first stage reconstructs inputs
and targets, the second maps inputs to targets; the best epoch of the second is the result. RUN/first-stage.pt holds the
autoencoder after the first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder, EqOptions
from timbre_data.models.data.pairs import Pairs
from timbre_data.models.evaluation.equaliser_losses import FIRST_STAGE, Losses, frame_loss, validate, warped_frame_loss
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints, loop
from timbre_data.models.training.checkpoints import Standardized, Trained
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.catalogue.threads import network_threads
from timbre_data.pipeline.store.columns import DRY_AUDIO
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

PAIRS = "pairs"
"""The importer of pairs; others bring clean recordings that are not the sounds that were processed."""
ROUND = 50
"""Iterations between two validations."""


def rounds_of(options: EqOptions) -> list[tuple[int, range]]:
    """Stage and iterations of every epoch."""
    return [
        (stage, range(first, min(first + ROUND, count)))
        for stage, count in enumerate((options.first_stage, options.second_stage))
        for first in range(0, count, ROUND)
    ]


def stage_losses(
    network: EqAutoencoder,
    before: torch.Tensor,
    after: torch.Tensor,
    condition: torch.Tensor | None,
    stage: int,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = frame_loss,
) -> Iterator[torch.Tensor]:
    """Losses of one iteration on frames before and after [shape=(n, 1024) both], to be propagated back one after the
    other.
    """
    for source, target in ((before, before), (after, after)) if stage == 0 else ((before, after),):
        output = network.reconstruct(source) if stage == 0 else network(source, condition)
        yield loss(output, target) / (2 if stage == 0 else 1)


class _Round:
    """The iterations of one epoch: frames before and after, and their condition; random from (seed, stage, iteration)
    alone.
    """

    def __init__(self, feed: _PairFeed, stage: int, iterations: range) -> None:
        self._feed, self._stage, self._iterations = feed, stage, iterations
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._iterations)

    def __iter__(self) -> Iterator[tuple[int, int, torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        settings, feed = self._feed.settings, self._feed
        for iteration in self._iterations:
            begun = time.perf_counter()
            rng = np.random.default_rng([settings.seed, self._stage, iteration])
            indices = rng.choice(feed.train_rows, settings.batch_size or feed.model.batch_size)
            frames = feed.pairs.frames(indices.tolist(), settings.frame_step)
            self.seconds += time.perf_counter() - begun
            yield self._stage, iteration, *frames


class _PairFeed(L.LightningDataModule):
    """Epochs of iterations; validation happens in the module, over whole notes."""

    def __init__(
        self, pairs: Pairs, train_rows: NDArray[np.int64], settings: TrainSettings, model: Model, options: EqOptions
    ) -> None:
        super().__init__()
        self.pairs, self.train_rows, self.settings, self.model = pairs, train_rows, settings, model
        self._rounds = rounds_of(options)

    def train_dataloader(self) -> _Round:
        assert self.trainer is not None
        return _Round(self, *self._rounds[self.trainer.current_epoch])

    def val_dataloader(self) -> list[int]:
        return [0]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # pairs are on the device already


class _PairModule(L.LightningModule):
    """Both stages, by hand: the gradients of reconstructing inputs and targets are added up one after the other."""

    def __init__(
        self,
        network: EqAutoencoder,
        pairs: Pairs,
        notes: NDArray[np.int64],
        settings: TrainSettings,
        options: EqOptions,
        rate: float,
        folder: Path,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self._pairs, self._notes = network, pairs, notes
        self._settings, self._options, self._rate, self._folder = settings, options, rate, folder
        self._target = TARGETS.load(settings.target or "transformation")
        self._rounds = rounds_of(options)
        self._found = Losses(math.nan, math.nan, math.nan)

    @property
    def _stage(self) -> int:
        return self._rounds[self.current_epoch][0]

    def on_fit_start(self) -> None:
        self._pairs.to(self.device)

    def training_step(self, batch: tuple[Any, ...], index: int) -> None:
        stage, iteration, before, after, condition = batch
        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self._rate_at(stage, iteration) * group["share"]
        optimizer.zero_grad()
        total = 0.0
        for part in stage_losses(self.network, before, after, condition, stage, self._loss):
            self.manual_backward(part)
            total += part.item()
        optimizer.step()
        self.log("train_loss", total, on_step=False, on_epoch=True, batch_size=1)

    def _loss(self, output: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        if self._options.warped_loss:
            return warped_frame_loss(output, frames, self._pairs.data.recipe.audio.rate)
        everywhere = torch.ones_like(frames)
        return self._target.loss(output, frames, everywhere, everywhere)

    def _rate_at(self, stage: int, iteration: int) -> float:
        """The learning rate of an iteration: constant, or along half a cosine over the stage."""
        if self._settings.schedule != "cosine":
            return self._rate
        count = (self._options.first_stage, self._options.second_stage)[stage]
        return self._rate * 0.5 * (1 + math.cos(math.pi * iteration / count))

    def validation_step(self, batch: Any, index: int) -> None:
        self._found = validate(self.network, self._pairs, self._notes, self._stage, 4 * HOP)
        if not math.isfinite(self._found.total):
            raise UsageError(
                "the loss is not finite any more: train with a lower --set learning_rate under another --name."
            )
        self.log("validation_loss", self._found.total, batch_size=1)
        self.log(loop.SELECTION, self._found.total if self._stage == 1 else math.inf, batch_size=1)

    def on_train_epoch_end(self) -> None:
        stage, iterations = self._rounds[self.current_epoch]
        if stage == 0 and iterations.stop == self._options.first_stage:
            with whole(self._folder / FIRST_STAGE) as partial:
                torch.save(self.network.state_dict(), partial)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.groups(), lr=self._rate)

    def columns_of_epoch(self) -> dict[str, Any]:
        """Further columns of epochs.csv."""
        return {"stage": self._stage + 1}

    def title_of_epoch(self) -> str:
        """The first columns of an epoch's line."""
        stage, iterations = self._rounds[self.current_epoch]
        return f"stage {stage + 1}, iteration {iterations.stop}"

    def detail_of_epoch(self) -> str:
        """The parts of the loss."""
        losses_of_epoch = self._found
        return f" (kl {losses_of_epoch.kl:.5f}, mse {losses_of_epoch.mse:.5f}, mae {losses_of_epoch.mae:.5f})"


def fit_pairs(
    settings: TrainSettings,
    datasets: Sequence[Dataset],
    folder: Path,
    say: Callable[[str], None],
    logger: str | None = None,
) -> None:
    """Train on the pairs of a dataset, into a folder, by resolved settings; resumes where it stopped. Leaves `model.pt`
    there.

    Raises `UsageError` for settings that such a training does not have, and for datasets without pairs.
    """
    model = MODELS.load(settings.model)
    options = EqOptions.model_validate(settings.options)
    _refuse_other_settings(settings, datasets, model)
    data = datasets[0]
    pairs = Pairs(data, options.level_db)
    train_rows, validation = pairs.where(0), pairs.where(1)
    if not len(train_rows) or not len(validation):
        raise UsageError("there are too few rows for a training and a validation split: render more.")
    notes = validation[np.linspace(0, len(validation) - 1, min(options.validation_notes, len(validation))).astype(int)]
    torch.set_num_threads(network_threads())
    torch.manual_seed(settings.seed)
    shape = Shape(0, 0, conditioning=pairs.condition.shape[1], samples=FRAME, rate=data.recipe.audio.rate)
    network = cast(EqAutoencoder, model.build(shape, options))
    rate = settings.learning_rate or model.learning_rate
    module = _PairModule(network, pairs, notes, settings, options, rate, folder)
    loop.fit(
        module,
        _PairFeed(pairs, train_rows, settings, model, options),
        settings,
        folder,
        say,
        epochs_to_run=len(rounds_of(options)),
        patience=None,
        select=loop.SELECTION,
        logger=logger,
    )
    trained = Trained(
        model=settings.model,
        network=Standardized(network.cpu(), 0),
        shape=shape,
        options=settings.options,
        features=(),
        feature_names=(),
        outputs=(),
        target=settings.target or "transformation",
        rate=data.recipe.audio.rate,
        samples=data.recipe.audio.samples,
        parameters=tuple(one for one in data.parameters if one["name"] in pairs.names),
        effects=tuple(pairs.steps),
    )
    checkpoints.save(trained, folder)


def _refuse_other_settings(settings: TrainSettings, datasets: Sequence[Dataset], model: Model) -> None:
    """Raise `UsageError` for what has no meaning here."""
    if len(datasets) != 1:
        raise UsageError(f"{settings.model} learns one transformation: give one dataset.")
    for name in ("initial", "conditioning", "limit", "train_rows", "features", "optimizer_options"):
        if getattr(settings, name):
            raise UsageError(f"{settings.model} does not use {name}: leave it out.")
    for name in ("optimizer", "learning_rate_decay", "max_epochs", "patience"):
        if getattr(settings, name) != getattr(model, name):
            raise UsageError(
                f"{settings.model} is trained with {name} {getattr(model, name)}: leave it out (its budget is options.first_stage and options.second_stage)."
            )
    if settings.precision != "32-true":
        raise UsageError(f"{settings.model} is trained in float32: leave out precision.")
    if settings.hold_out:
        raise UsageError(f"{settings.model} is split by note: leave out hold_out.")
    if settings.split != "note":
        raise UsageError(f"{settings.model} is split by note: leave out --split {settings.split}.")
    data = datasets[0]
    imported = data.meta.get("kind") == "imported" and data.recipe.source.name != PAIRS
    if data.recipe.chain.synth or imported or not data.has(DRY_AUDIO):
        raise UsageError(
            f"{data.name} has no pairs of sounds before and after effects: render some with --eq or --fx, or import your own (timbre-data import pairs)."
        )
