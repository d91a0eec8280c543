"""Training on rows of tables: batches, loss, optimizer; and models that are fitted at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import SGD, Adagrad, Adam

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.data.batches import Batches, Variation
from timbre_data.models.data.rows import Rows
from timbre_data.models.data.windows import Windows
from timbre_data.models.evaluation import epochs
from timbre_data.models.targets import TARGETS
from timbre_data.models.targets._target import Target
from timbre_data.models.training import checkpoints, loop
from timbre_data.models.training.adadelta import Adadelta
from timbre_data.models.training.checkpoints import Standardized, Trained, as_sound
from timbre_data.models.training.runs import find_run
from timbre_data.pipeline.catalogue.threads import network_threads
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings


def tensors_of(target: Target, rows: Rows, probabilities: torch.Tensor | None, multi_label: bool) -> list[Any]:
    """The tensors that batches are cut from: features, condition, targets, mask, identifiable parameters, sounds; a row
    of each for every row.
    """
    extra = torch.zeros(len(rows.features), 0) if probabilities is None else probabilities
    audio = rows.audio
    if audio is None:
        audio = torch.zeros(len(rows.features), 0)
    elif isinstance(audio, np.ndarray):
        audio = torch.from_numpy(audio)
    mask, identifiable = torch.from_numpy(rows.mask), torch.from_numpy(rows.identifiable)
    return [
        torch.from_numpy(rows.features),
        extra,
        target.training_targets(rows, multi_label),
        mask,
        identifiable,
        audio,
    ]


class _Feed(L.LightningDataModule):
    """The splits as batches; the order of an epoch depends on the seed and the epoch alone, so a resumed run sees the
    same.
    """

    def __init__(self, tensors: list[Any], train_rows: Any, validation_rows: Any, settings: TrainSettings) -> None:
        super().__init__()
        self._tensors, self._train, self._validation = tensors, train_rows, validation_rows
        self._settings = settings

    def train_dataloader(self) -> Batches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        s = self._settings
        variation = Variation(crop=s.crop_frames, gain=s.filter_range, mask=s.mask_bands)
        return Batches(self._tensors, self._train, s.batch_size or 64, s.seed, epoch, variation)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Where it is already, Lightning would look at every tensor of it all the same."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def val_dataloader(self) -> Batches:
        audio = self._tensors[-1]
        size = 8192 if not audio.shape[1] else 1024 if isinstance(audio, Windows) else 64
        return Batches(self._tensors, self._validation, size, None)


class _Mean:
    """The mean loss of the rows of an epoch, kept on the device of the losses."""

    def add(self, loss: torch.Tensor, rows: int, *, first: bool) -> None:
        """Take in the loss of a batch of so many rows; the `first` one begins anew."""
        if first:
            self._total, self._rows = torch.zeros((), device=loss.device), 0
        self._total += loss * rows
        self._rows += rows

    @property
    def mean(self) -> torch.Tensor:
        """The mean so far."""
        return self._total / self._rows


class _Module(L.LightningModule):
    """The target's loss, or the network's own, and an optimizer."""

    def __init__(
        self, network: Standardized, model: Model, target: Target, settings: TrainSettings, multi_label: bool
    ) -> None:
        super().__init__()
        self.network, self._model, self._target = network, model, target
        self._settings, self._multi_label = settings, multi_label
        kinds = (torch.nn.Conv1d, torch.nn.Conv2d)
        self._epoch_loss = _Mean()
        self._convolutions = [module.weight for module in network.modules() if isinstance(module, kinds)]

    def _loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        features, probabilities, targets, mask, identifiable, audio = batch
        predicted = self.network(
            features,
            probabilities if probabilities.shape[1] else None,
            as_sound(audio) if audio.shape[1] else None,
        )
        class_loss: Callable[..., torch.Tensor] | None = getattr(self.network.network, "class_loss", None)
        if class_loss is not None:
            return class_loss(predicted, targets)
        loss: Callable[..., torch.Tensor] | None = getattr(self.network.network, "loss", None)
        if loss is not None:
            return loss(predicted, targets, mask, identifiable)
        return self._target.loss(predicted, targets, mask, identifiable, self._multi_label)

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        loss = self._loss(batch)
        if self._model.l2_convolutions:
            loss = loss + self._model.l2_convolutions * sum(weight.square().sum() for weight in self._convolutions)
        self._epoch_loss.add(loss.detach(), len(batch[0]), first=index == 0)
        if index + 1 == self.trainer.num_training_batches:  # once: a call a step costs more than a small network
            self.log("train_loss", self._epoch_loss.mean, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        self.log("validation_loss", self._loss(batch), on_epoch=True, batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        rate, decay = self._settings.learning_rate, self._settings.learning_rate_decay
        assert rate is not None
        assert decay is not None
        classes = {"adam": Adam, "sgd": SGD, "adagrad": Adagrad, "adadelta": Adadelta}
        made: type[Any] = classes[self._settings.optimizer or "adam"]
        options = dict(self._settings.optimizer_options or {})
        if made is not Adadelta and "foreach" not in options and "differentiable" not in options:
            options.setdefault("fused", True)  # one pass over all weights, as ours has for AdaDelta
        try:
            optimizer = made(self.network.parameters(), lr=rate, **options)
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


def build(
    settings: TrainSettings, rows: Rows, probabilities: torch.Tensor | None, multi_label: bool
) -> tuple[Standardized, Trained]:
    """The network of a run, not trained yet, and what will be stored with it."""
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    L.seed_everything(settings.seed, verbose=False)
    outputs = target.outputs(rows)
    shape = Shape(rows.features.shape[1], len(outputs), 0 if probabilities is None else probabilities.shape[1])
    if model.input == "audio":
        shape = replace(shape, samples=rows.samples, rate=rows.rate, dry=settings.known_dry)
    shape = target.fitted_shape(shape, rows)
    network = Standardized(model.build(shape, model.options.model_validate(settings.options)), shape.inputs)
    trained = Trained(
        model=settings.model,
        network=network,
        shape=shape,
        options=settings.options,
        features=tuple(settings.features or ()),
        feature_names=rows.feature_names,
        outputs=tuple(outputs),
        target=settings.target or "effect",
        multi_label=multi_label,
        rate=rows.rate,
        samples=rows.samples,
        feature_settings=rows.feature_settings,
        precision=settings.precision,
        **target.describe(rows),
    )
    return network, trained


def _threads(model: Model) -> int:
    """One for a perceptron: a second gains nothing on its small matrices, and where others use the machine it spins for
    them.
    """
    return network_threads() if model.input == "audio" else 1


def seconds_per_step(
    settings: TrainSettings, rows: Rows, probabilities: torch.Tensor | None, network: Standardized, multi_label: bool
) -> float:
    """How long one batch of training takes on this machine, measured on a few rows, with an optimizer of any kind."""
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    module = _Module(network, model, target, settings, multi_label)
    index = np.arange(settings.batch_size or 64) % len(rows.row)
    tensors = tensors_of(target, rows, probabilities, multi_label)
    optimizer = Adam(network.parameters(), lr=1e-6)
    torch.set_num_threads(_threads(model))
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        (batch,) = Batches(tensors, index, len(index), None)
        optimizer.zero_grad()
        module._loss(batch).backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    return min(times)


def fit_rows(
    settings: TrainSettings,
    rows: Rows,
    probabilities: torch.Tensor | None,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    logger: str | None = None,
) -> None:
    """Train on rows that are loaded already, into a folder, by resolved settings. Leaves `model.pt` there."""
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    target.check(rows)
    train_rows, validation_rows = rows.where(0), rows.where(1)
    multi_label = target.multi_label(model, rows, np.concatenate([train_rows, validation_rows]))
    if settings.train_rows:
        train_rows = _first_of_each(rows, train_rows, settings.train_rows)
        validation_rows = _first_of_each(rows, validation_rows, settings.train_rows // 8)
    train_rows, validation_rows = train_rows[:: settings.frame_step], validation_rows[:: settings.frame_step]
    if not len(train_rows) or not len(validation_rows):
        raise UsageError("there are too few rows for a training and a validation split: render more.")
    network, trained = build(settings, rows, probabilities, multi_label)
    network.fit(torch.from_numpy(rows.features[train_rows]))
    fit_frontend: Callable[[Iterator[torch.Tensor]], None] | None = getattr(network.network, "fit_front", None)
    if fit_frontend is not None and rows.audio is not None:
        fit_frontend(
            torch.as_tensor(rows.audio[part]) for part in np.array_split(train_rows, len(train_rows) // 4096 + 1)
        )
    if settings.initial:
        _begin_with(network, settings.initial)
    fit_classes: Callable[..., None] | None = getattr(network.network, "fit_classes", None)
    if fit_classes is not None:
        begun = time.monotonic()
        parts = np.array_split(train_rows, len(train_rows) // 4096 + 1)
        fit_classes([rows.audio[part] for part in parts], rows.classes[train_rows], settings.seed)
        _record_fit(trained, rows, train_rows, validation_rows, time.monotonic() - begun, folder, say)
        checkpoints.save(trained, folder)
        return
    if settings.crop_frames:
        _check_crop(network, rows, settings)
    feed = _Feed(tensors_of(target, rows, probabilities, multi_label), train_rows, validation_rows, settings)
    module = _Module(network, model, target, settings, multi_label)
    torch.set_num_threads(_threads(model))
    patience = settings.patience or 10
    loop.fit(module, feed, settings, folder, say, epochs_to_run=settings.max_epochs, patience=patience, logger=logger)
    checkpoints.save(replace(trained, network=module.network), folder)


def _record_fit(
    trained: Trained,
    rows: Rows,
    train_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    seconds: float,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """One line of epochs.csv for a model that is fitted at once: mean negative log of the right class's probability."""
    losses = []
    for row_indices in (train_rows[:20_000], validation_rows):
        right = trained.predict(torch.from_numpy(rows.features[row_indices]), None, rows.sounds(row_indices)).numpy()
        losses.append(
            float(-np.log(np.maximum(right[np.arange(len(row_indices)), rows.classes[row_indices]], 1e-12)).mean())
        )
    losses_of_fit = dict(zip(("train_loss", "validation_loss"), losses, strict=True))
    epochs.write(folder, [{"epoch": 1, **losses_of_fit, "seconds": round(seconds, 3), "waiting": 0}])
    say(f"fitted: training loss {losses[0]:.5f}, validation {losses[1]:.5f}, {seconds:.1f} s")


def _begin_with(network: Standardized, run: str) -> None:
    """Take over the weights of another run's network. Raises `UsageError` when it is not of the same shape."""
    weights = checkpoints.load(find_run(run)).network.state_dict()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"initial {run}: its network has another shape ({str(error).splitlines()[-1].strip()})."
        ) from None


def _check_crop(network: Standardized, rows: Rows, settings: TrainSettings) -> None:
    """Refuse to cut spectrograms for a network that needs all frames."""
    spectrogram = torch.from_numpy(rows.audio[:1]).float()
    try:
        with torch.inference_mode():
            network.eval()(torch.from_numpy(rows.features[:1]), None, spectrogram[:, :, : settings.crop_frames])
    except RuntimeError:
        raise UsageError(
            f"crop_frames={settings.crop_frames}: {settings.model} needs all {spectrogram.shape[2]} frames of a spectrogram."
        ) from None
    network.train()


def _first_of_each(rows: Rows, row_indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` of the chosen rows of every dataset."""
    return np.concatenate(
        [row_indices[rows.dataset[row_indices] == number][:count] for number in np.unique(rows.dataset)]
    )
