"""Training: a run is a folder, and the same command resumes or, when the run is finished, does nothing.

RUN/settings.json     resolved settings, dataset names, snapshots and digests of what is used of them
RUN/epochs.csv        losses and scores of every epoch
RUN/last.ckpt         where training goes on (Lightning)
RUN/model.pt          the network of the best epoch, with its standardisation
RUN/evaluation/       what `evaluate` wrote
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.data.rows import Rows, contents_of, family_probabilities, load_rows
from timbre_data.models.data.windows import load_frames
from timbre_data.models.training import checkpoints, epochs, equaliser_loop, loop
from timbre_data.models.training.checkpoints import Standardised, Trained, as_sound
from timbre_data.models.training.runs import LOCK, SETTINGS, find_run, open_run, runs_home
from timbre_data.pipeline.build.machine import available_cores
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.catalogue import registry, validation
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.layout import TAGS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import LockedError, UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.settings import TrainSettings


def resolve(settings: TrainSettings) -> TrainSettings:
    """Fill in the model's own values, so that the run says exactly what it used."""
    kind: Model = registry.load("model", settings.model)
    options = validation.validate(kind.options, settings.options, f"model {settings.model}")
    filled: dict[str, Any] = {"model": settings.model.replace("_", "-"), "options": options.model_dump(mode="json")}
    if settings.optimizer is None or settings.optimizer == kind.optimizer:
        filled["optimizer"] = kind.optimizer
        filled["optimizer_options"] = dict(kind.optimizer_options) | (settings.optimizer_options or {})
    else:
        filled["optimizer_options"] = settings.optimizer_options or {}
    for field in ("features", "batch_size", "learning_rate", "learning_rate_decay", "max_epochs", "patience"):
        if getattr(settings, field) is None:
            filled[field] = getattr(kind, field)
    return settings.model_copy(update=filled)


def default_name(settings: TrainSettings, contents: list[str]) -> str:
    """A name that is the same for the same settings and data: model, data, and a short digest."""
    digest = hashlib.sha256(
        json.dumps([settings.model_dump(mode="json"), contents], sort_keys=True).encode()
    ).hexdigest()[:6]
    data = "-".join(Path(name.partition("@")[0]).name for name in settings.data)
    return f"{settings.model}-{data}-{digest}"


def train(
    settings: TrainSettings,
    *,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    dry_run: bool = False,
) -> tuple[Path, str]:
    """Train a model. Returns the run's folder and what was done: "trained", "resumed" or "finished already"."""
    datasets = [Dataset(data) for data in settings.data]
    if settings.target is None:
        settings = settings.model_copy(update={"target": usual_target(settings, datasets)})
    settings = resolve(settings)
    contents = contents_of(datasets, settings.features or ())
    folder = runs_home() / (name or default_name(settings, contents))
    if (folder / SETTINGS).is_file():
        before = open_run(folder)
        if resolve(before.settings) != settings or before.contents != contents:
            raise UsageError(f"{folder} is a run with other settings or data: choose another --name, or leave it out.")
        if before.finished:
            return folder, "finished already"
    elif folder.is_dir() and {path.name for path in folder.iterdir()} - {LOCK}:
        raise UsageError(f"{folder} is there already and is not a run: choose another --name.")
    if dry_run:
        return folder, "would train"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK).acquire(timeout=0):
            resumed = any((folder / name).is_file() for name in ("last.ckpt", equaliser_loop.STATE))
            about = {
                "settings": settings.model_dump(mode="json"),
                "snapshots": {data: dataset.snapshot for data, dataset in zip(settings.data, datasets, strict=True)},
                "contents": contents,
                "provenance": provenance(),
            }
            write_whole(folder / SETTINGS, json.dumps(about, indent=2))
            try:
                _fit(settings, datasets, folder, say)
            except UsageError:
                if not (folder / epochs.FILE).is_file():
                    shutil.rmtree(folder)  # a request that was refused leaves no run behind
                raise
    except Timeout:
        raise LockedError(f"{folder} is being trained by another process.") from None
    return folder, "resumed" if resumed else "trained"


def _fit(settings: TrainSettings, datasets: list[Dataset], folder: Path, say: Callable[[str], None]) -> None:
    """Train in a folder that nobody else trains in. Raises `UsageError` for what the model does not take."""
    kind: Model = registry.load("model", settings.model)
    varied = settings.crop_frames or settings.filter_range or settings.mask_bands
    if varied and (kind.front is None or kind.context):
        raise UsageError(
            f"crop_frames, filter_range and mask_bands are for networks that hear the spectrogram of a whole sound, {settings.model} does not."
        )
    if kind.task == "transformation":
        equaliser_loop.fit(settings, datasets, folder, say)
    else:
        rows, probabilities = prepare(settings, datasets)
        fit_rows(settings, rows, probabilities, folder, say)


def usual_target(settings: TrainSettings, datasets: list[Dataset]) -> str:
    """What is to be learned where nobody says: the frames, for a network that names those; tags where there are some; else the effect."""
    kind: Model = registry.load("model", settings.model)
    if kind.context:
        return "frames"
    if kind.task == "transformation":
        return "transformation"
    return "tags" if all(data.has(TAGS) for data in datasets) else "effect"


def prepare(settings: TrainSettings, datasets: list[Dataset]) -> tuple[Rows, torch.Tensor | None]:
    """Load the rows of a run, and the class probabilities where it is conditioned [shape=(n, 6)]."""
    assert settings.features is not None
    kind: Model = registry.load("model", settings.model)
    if bool(kind.context) != (settings.target == "frames"):
        raise UsageError(
            f"{settings.model} {'names frames' if kind.context else 'names whole sounds'}: --target {settings.target} is not for it."
        )
    if kind.context:
        whole = hearing_whole(kind, settings.options, datasets[0].recipe.audio.rate)
        return load_frames(datasets, kind, whole, settings.split, settings.limit), None
    rows = load_rows(
        datasets,
        settings.features,
        settings.split,
        settings.limit,
        target=settings.target or "effect",
        audio=kind.input == "audio",
        hear=_hearing(kind, settings, datasets[0]),
    )
    if not settings.conditioning:
        return rows, None
    classifier = _classifier_for(settings, kind)
    features = load_rows(
        datasets, classifier.features, settings.split, settings.limit, target=settings.target or "effect"
    )
    if features.feature_settings != classifier.feature_settings:
        raise UsageError(
            f"--conditioning {settings.conditioning} was trained on features with other settings than these datasets have."
        )
    probabilities = classifier.predict(torch.from_numpy(features.features))
    return rows, family_probabilities(probabilities, classifier.families, classifier.target)


def _classifier_for(settings: TrainSettings, kind: Model) -> Trained:
    """The classifier that conditions a run. Raises `UsageError` for what cannot: a regressor, one that hears sounds or knows the notes kept for testing."""
    run = find_run(settings.conditioning or "")
    classifier = checkpoints.load(run)
    if not kind.conditioned:
        raise UsageError(f"{settings.model} takes no --conditioning; regressor-mlp and autofx do.")
    if classifier.task != "classification" or not classifier.features or classifier.shape.samples:
        raise UsageError(f"--conditioning {run}: a classifier over features is needed, such as class-mlp.")
    if classifier.target not in ("effect", "effects", "family"):
        raise UsageError(
            f"--conditioning {run}: a classifier of effects is needed, this one learned {classifier.target}."
        )
    split = open_run(run).settings.split
    if split != settings.split:
        raise UsageError(
            f"--conditioning {run} was trained with --split {split}: it needs the same split as this run, {settings.split}."
        )
    return classifier


def fit_rows(
    settings: TrainSettings,
    rows: Rows,
    probabilities: torch.Tensor | None,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train on rows that are loaded already, into a folder, by resolved settings. Leaves `model.pt` there."""
    kind: Model = registry.load("model", settings.model)
    target = settings.target or "effect"
    train_rows, validation_rows = rows.where(0), rows.where(1)
    several = target == "effects"
    if kind.task == "classification" and target == "tags":
        seen = np.concatenate([train_rows, validation_rows])
        several = kind.several_labels or bool((rows.classes[seen] < 0).any())
    elif kind.task == "classification":
        check_classes(rows, target)
    if settings.train_rows:
        train_rows = _first_of_each(rows, train_rows, settings.train_rows)
        validation_rows = _first_of_each(rows, validation_rows, settings.train_rows // 8)
    train_rows, validation_rows = train_rows[:: settings.frame_step], validation_rows[:: settings.frame_step]
    if not len(train_rows) or not len(validation_rows):
        raise UsageError("there are too few rows for a training and a validation split: render more.")
    L.seed_everything(settings.seed, verbose=False)
    outputs = rows.class_names if kind.task == "classification" else rows.parameter_names
    if not outputs:
        raise UsageError("these datasets have no parameters to learn: choose one with an effect that has some.")
    conditioning = 0 if probabilities is None else probabilities.shape[1]
    shape = Shape(rows.features.shape[1], len(outputs), conditioning)
    if kind.input == "audio":
        shape = replace(shape, samples=rows.samples, rate=rows.rate)
    if kind.task == "regression":
        shape = replace(shape, positions=tuple(Parameter.model_validate(p).steps for p in rows.parameters))
    network = Standardised(kind.build(shape, kind.options.model_validate(settings.options)), shape.inputs)
    network.fit(torch.from_numpy(rows.features[train_rows]))
    fit_front: Callable[[Iterator[torch.Tensor]], None] | None = getattr(network.network, "fit_front", None)
    if fit_front is not None and rows.audio is not None:
        fit_front(torch.as_tensor(rows.audio[part]) for part in np.array_split(train_rows, len(train_rows) // 4096 + 1))
    if settings.initial:
        _begin_with(network, settings.initial)
    fit_classes: Callable[..., None] | None = getattr(network.network, "fit_classes", None)
    trained = Trained(
        model=settings.model,
        network=network,
        shape=shape,
        options=settings.options,
        features=tuple(settings.features or ()),
        feature_names=rows.feature_names,
        outputs=tuple(outputs),
        families=rows.class_families if kind.task == "classification" else (),
        target=target,
        several=several,
        rate=rows.rate,
        samples=rows.samples,
        feature_settings=rows.feature_settings,
        precision=settings.precision,
        parameters=rows.parameters if kind.task == "regression" else (),
        effects=rows.effects if kind.task == "regression" else (),
    )
    if fit_classes is not None:
        begun = time.monotonic()
        parts = np.array_split(train_rows, len(train_rows) // 4096 + 1)
        fit_classes([rows.audio[part] for part in parts], rows.classes[train_rows], settings.seed)
        _record_fit(trained, rows, train_rows, validation_rows, time.monotonic() - begun, folder, say)
        checkpoints.save(trained, folder)
        return
    if settings.crop_frames:
        _check_crop(network, rows, settings)
    tensors = loop.tensors_of(kind, rows, probabilities, several)
    splits = train_rows, validation_rows
    best = loop.fit(network, kind, tensors, splits, settings, several, folder, say)
    checkpoints.save(replace(trained, network=best), folder)


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
    for chosen in (train_rows[:20_000], validation_rows):
        right = trained.predict(torch.from_numpy(rows.features[chosen]), None, rows.sounds(chosen)).numpy()
        losses.append(float(-np.log(np.maximum(right[np.arange(len(chosen)), rows.classes[chosen]], 1e-12)).mean()))
    found = dict(zip(("train_loss", "validation_loss"), losses, strict=True))
    epochs.write(folder, [{"epoch": 1, **found, "seconds": round(seconds, 3), "waiting": 0}])
    say(f"fitted: training loss {losses[0]:.5f}, validation {losses[1]:.5f}, {seconds:.1f} s")


def _hearing(kind: Model, settings: TrainSettings, data: Dataset) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """What a model's front makes of sounds as stored [shape=(k, samples)], in half precision; None for a model without."""
    if kind.front is None:
        return None
    shape = Shape(0, 0, samples=data.recipe.audio.samples, rate=data.recipe.audio.rate)
    front = kind.front(shape, kind.options.model_validate(settings.options))
    torch.set_num_threads(available_cores())

    def hear(sounds: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            parts = torch.from_numpy(np.ascontiguousarray(sounds)).split(128)
            return torch.cat([front(as_sound(part)).half() for part in parts]).numpy()

    return hear


def hearing_whole(kind: Model, options: dict[str, Any], rate: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """All frames of one sound, as the front of a network of frames gives them."""
    assert kind.front is not None
    front: Any = kind.front(Shape(0, 0, rate=rate), kind.options.model_validate(options))

    def whole(sound: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            heard: torch.Tensor = front.whole(sound)
        return heard.clone()

    return whole


def _begin_with(network: Standardised, run: str) -> None:
    """Take over the weights of another run's network. Raises `UsageError` when it is not of the same shape."""
    weights = checkpoints.load(find_run(run)).network.state_dict()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"initial {run}: its network has another shape ({str(error).splitlines()[-1].strip()})."
        ) from None


def _check_crop(network: Standardised, rows: Rows, settings: TrainSettings) -> None:
    """Refuse to cut spectrograms for a network that needs all frames."""
    heard = torch.from_numpy(rows.audio[:1]).float()
    try:
        with torch.inference_mode():
            network.eval()(torch.from_numpy(rows.features[:1]), None, heard[:, :, : settings.crop_frames])
    except RuntimeError:
        raise UsageError(
            f"crop_frames={settings.crop_frames}: {settings.model} needs all {heard.shape[2]} frames of a spectrogram."
        ) from None
    network.train()


def _first_of_each(rows: Rows, chosen: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` of the chosen rows of every dataset."""
    return np.concatenate([chosen[rows.dataset[chosen] == number][:count] for number in np.unique(rows.dataset)])


def check_classes(rows: Rows, target: str) -> None:
    """Refuse rows that have several effects where one class is to name them."""
    several = int((rows.classes < 0).sum())
    if several and target != "effects":
        raise UsageError(
            f"{several} rows have no effect or several: one class cannot name them; learn all of them with --target effects."
        )
    if len(rows.class_names) < 2:
        raise UsageError(f"there is only the class {rows.class_names[0]}: give more datasets with --data a,b.")
