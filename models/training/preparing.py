"""From settings to what a run learns from: resolved settings, the default target, the rows of its datasets, and its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.data.rows import Rows, family_probabilities, load_rows
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Trained, as_sound
from timbre_data.models.training.runs import find_run, open_run
from timbre_data.pipeline.build.machine import available_cores
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings


def resolve(settings: TrainSettings) -> TrainSettings:
    """Fill in the model's own values, so that the run says exactly what it used."""
    model = MODELS.load(settings.model)
    options = validation.validate(model.options, settings.options, f"model {settings.model}")
    filled: dict[str, Any] = {"model": settings.model.replace("_", "-"), "options": options.model_dump(mode="json")}
    if settings.optimizer is None or settings.optimizer == model.optimizer:
        filled["optimizer"] = model.optimizer
        filled["optimizer_options"] = dict(model.optimizer_options) | (settings.optimizer_options or {})
    else:
        filled["optimizer_options"] = settings.optimizer_options or {}
    for field in ("features", "batch_size", "learning_rate", "learning_rate_decay", "max_epochs", "patience"):
        if getattr(settings, field) is None:
            filled[field] = getattr(model, field)
    return settings.model_copy(update=filled)


def default_target(settings: TrainSettings, datasets: list[Dataset]) -> str:
    """What a model learns on these datasets where nobody says otherwise."""
    model = MODELS.load(settings.model)
    found = [name for name in TARGETS.names() if TARGETS.load(name).is_default(model, datasets)]
    return min(found, key=lambda name: TARGETS.load(name).rank)


def check_target(settings: TrainSettings) -> None:
    """Raise `UsageError` for a target that the model cannot learn."""
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "")
    if not target.suits(model):
        fitting = [name for name in TARGETS.names() if TARGETS.load(name).suits(model)]
        raise UsageError(f"{settings.model} cannot learn --target {settings.target}; it learns {', '.join(fitting)}.")


def default_name(settings: TrainSettings, contents: list[str]) -> str:
    """A name that is the same for the same settings and data: model, data, and a short digest."""
    digest = hashlib.sha256(
        json.dumps([settings.model_dump(mode="json"), contents], sort_keys=True).encode()
    ).hexdigest()[:6]
    data = "-".join(Path(name.partition("@")[0]).name for name in settings.data)
    return f"{settings.model}-{data}-{digest}"


def prepare(settings: TrainSettings, datasets: list[Dataset]) -> tuple[Rows, torch.Tensor | None]:
    """Load the rows of a run, and the class probabilities where it is conditioned [shape=(n, 6)]."""
    assert settings.features is not None
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    check_target(settings)
    front: Any = _front(model, settings, datasets[0])
    if target.windows:
        front = whole_front(model, settings.options, datasets[0].recipe.audio.rate)
    rows = target.load(settings, datasets, model, settings.features, front)
    if not settings.conditioning:
        return rows, None
    classifier = _classifier_for(settings, model)
    inputs = load_rows(datasets, classifier.features, settings.split, settings.limit)
    if inputs.feature_settings != classifier.feature_settings:
        raise UsageError(
            f"--conditioning {settings.conditioning} was trained on features with other settings than these datasets have."
        )
    probabilities = classifier.predict(torch.from_numpy(inputs.features))
    several = TARGETS.load(classifier.target).several_classes
    return rows, family_probabilities(probabilities, classifier.families, several=several)


def _classifier_for(settings: TrainSettings, model: Model) -> Trained:
    """The classifier that conditions a run. Raises `UsageError` for what cannot: a regressor, one that takes sounds or knows the notes kept for testing."""
    run = find_run(settings.conditioning or "")
    classifier = checkpoints.load(run)
    if not model.conditioned:
        raise UsageError(f"{settings.model} takes no --conditioning; regressor-mlp and autofx do.")
    if classifier.task != "classification" or not classifier.features or classifier.shape.samples:
        raise UsageError(f"--conditioning {run}: a classifier over features is needed, such as class-mlp.")
    if not TARGETS.load(classifier.target).names_effects:
        raise UsageError(
            f"--conditioning {run}: a classifier of effects is needed, this one learned {classifier.target}."
        )
    split = open_run(run).settings.split
    if split != settings.split:
        raise UsageError(
            f"--conditioning {run} was trained with --split {split}: it needs the same split as this run, {settings.split}."
        )
    return classifier


def _front(model: Model, settings: TrainSettings, data: Dataset) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """What a model's front end makes of sounds as stored [shape=(k, samples)], in half precision; None for a model without."""
    if model.front is None or model.context:
        return None
    shape = Shape(0, 0, samples=data.recipe.audio.samples, rate=data.recipe.audio.rate)
    front = model.front(shape, model.options.model_validate(settings.options))
    torch.set_num_threads(available_cores())

    def transform(sounds: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            parts = torch.from_numpy(np.ascontiguousarray(sounds)).split(128)
            return torch.cat([front(as_sound(part)).half() for part in parts]).numpy()

    return transform


def whole_front(model: Model, options: dict[str, Any], rate: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """All frames of one sound, as the front end of a network of frames gives them."""
    assert model.front is not None
    front: Any = model.front(Shape(0, 0, rate=rate), model.options.model_validate(options))

    def whole(sound: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            spectrogram: torch.Tensor = front.whole(sound)
        return spectrogram.clone()

    return whole
