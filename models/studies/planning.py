"""What a training would do: its rows, classes and parameters, the size of its network, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import MODELS, Shape
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder, EqOptions
from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import learned_parameters, some_rows
from timbre_data.models.data.splitting import split_of
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.pair_training import rounds_of, stage_losses
from timbre_data.models.training.preparing import complete, prepare
from timbre_data.models.training.row_training import build, seconds_per_step
from timbre_data.pipeline.catalogue.journal import duration
from timbre_data.pipeline.store.columns import FRAMES, SPLITS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

SAMPLE_ROWS = 64
"""Rows of each dataset by which the time is measured."""


@dataclass(frozen=True)
class TrainingPlan:
    """Rows (or frames) of each split, rows of each class, the parameters to learn, the parameters of the network, and
    the time: of an epoch, and of as many as there may be; None where it is not trained by descent.
    """

    run: str
    model: str
    target: str
    rows: dict[str, int]
    classes: dict[str, int]
    parameters: tuple[str, ...]
    network_parameters: int
    epochs: int
    seconds_per_epoch: float | None

    def data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self) | {"done": "would train"}

    def text(self) -> str:
        """For people."""
        lines = [f"{self.run}: would train {self.model} on {self.target}"]
        lines.append("  rows        " + ", ".join(f"{split} {count}" for split, count in self.rows.items()))
        if self.classes:
            shown = [f"{name} {count}" for name, count in self.classes.items()]
            lines.append(f"  classes     {len(shown)}: {', '.join(shown[:12])}{', ...' if len(shown) > 12 else ''}")
        if self.parameters:
            lines.append(f"  learns      {len(self.parameters)} parameters: {', '.join(self.parameters)}")
        lines.append(f"  network     {self.network_parameters} parameters")
        if self.seconds_per_epoch is None:
            lines.append("  time        not estimated: it is fitted at once")
        else:
            lines.append(
                f"  time        {duration(self.seconds_per_epoch)} an epoch, {duration(self.epochs * self.seconds_per_epoch)} for all {self.epochs} (it may stop earlier), on this machine as it is busy now"
            )
        return "\n".join(lines)


def plan(settings: TrainSettings, folder: Path) -> TrainingPlan:
    """Say what a training would do, without doing it. Raises `UsageError` for what it could not do."""
    datasets = [open_named(data) for data in settings.data]
    settings = complete(settings, datasets)
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    counts = [_splits(settings, data, number, frames=target.windows) for number, data in enumerate(datasets)]
    rows = {name: sum(int((split == k).sum()) for split in counts) for k, name in enumerate(SPLITS)}
    if not rows["train"] or not rows["validation"]:
        raise UsageError("there are too few rows for a training and a validation split: render more.")
    seconds: float | None
    if target.learns_from == "pairs":
        network, steps, seconds = _pairs(settings, datasets[0])
        epochs, per_epoch = len(rounds_of(EqOptions.model_validate(settings.options))), steps * seconds
        return TrainingPlan(
            str(folder), settings.model, settings.target or "", rows, {}, (), network, epochs, per_epoch
        )
    few = settings.model_copy(update={"limit": min(SAMPLE_ROWS, settings.limit or SAMPLE_ROWS), "train_rows": None})
    sample, probabilities = prepare(few, datasets)
    multi_label = target.multi_label(model, sample, np.arange(len(sample.row)))
    try:
        built, _ = build(settings, sample, probabilities, multi_label)
    except (RuntimeError, MemoryError, OverflowError) as error:  # PyTorch's, of options without measure
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UsageError(f"{settings.model} cannot be built with these options ({reason}).") from None
    train_rows = min(rows["train"], (settings.train_rows or rows["train"]) * len(datasets)) // settings.frame_step
    batches = -(-train_rows // (settings.batch_size or 64))
    seconds = None
    if not hasattr(built.network, "fit_classes"):
        seconds = batches * seconds_per_step(settings, sample, probabilities, built, multi_label)
    return TrainingPlan(
        run=str(folder),
        model=settings.model,
        target=settings.target or "",
        rows=rows,
        classes=_classes(settings, datasets) if model.task == "classification" else {},
        parameters=tuple(learned_parameters(datasets)) if model.task == "regression" else (),
        network_parameters=parameter_count(built.network),
        epochs=settings.max_epochs or model.max_epochs,
        seconds_per_epoch=seconds,
    )


def _splits(settings: TrainSettings, data: Dataset, number: int, *, frames: bool) -> NDArray[np.uint8]:
    """The split of every row in use, or of every labelled frame."""
    usable = some_rows(data, settings.limit)
    split = split_of(data, number, usable, settings.split, settings.hold_out)
    return np.repeat(split, (data.read(FRAMES)[usable] >= 0).sum(axis=1)) if frames else split


def _classes(settings: TrainSettings, datasets: Sequence[Dataset]) -> dict[str, int]:
    """Rows, or frames, of each class."""
    target = TARGETS.load(settings.target or "effect")
    counted: dict[str, int] = {}
    if target.windows:
        for data in datasets:
            labels = data.read(FRAMES)[some_rows(data, settings.limit)]
            for code, name in enumerate(data.names(FRAMES)):
                counted[name] = counted.get(name, 0) + int((labels == code).sum())
        return counted
    classes = target.classes(datasets)
    for data in datasets:
        usable = some_rows(data, settings.limit)
        present = classes.present(data, slice(0, int(usable.max(initial=-1)) + 1))[usable].sum(axis=0)
        for name, count in zip(classes.names, present.tolist(), strict=True):
            counted[name] = counted.get(name, 0) + int(count)
    return counted


def _pairs(settings: TrainSettings, data: Dataset) -> tuple[int, int, float]:
    """Parameters of the network, iterations of an epoch, and seconds of one, measured on noise."""
    model = MODELS.load(settings.model)
    options = EqOptions.model_validate(settings.options)
    network = cast(EqAutoencoder, model.build(Shape(0, 0, samples=FRAME, rate=data.recipe.audio.rate), options))
    frames = max(1, (settings.batch_size or model.batch_size) * data.recipe.audio.samples // HOP // settings.frame_step)
    noise = 0.1 * torch.randn(frames, FRAME)
    optimizer = torch.optim.Adam(network.groups())
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        optimizer.zero_grad()
        for loss in stage_losses(network, noise, noise, None, 1):
            loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    rounds = rounds_of(options)
    iterations = sum(len(iterations) for _, iterations in rounds) // len(rounds)
    return parameter_count(network), iterations, min(times)
