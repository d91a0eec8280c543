"""From settings to what a run learns from: resolved settings, the default target, the rows of its datasets, and its
name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from timbre_data.models.architectures import MODELS, Model
from timbre_data.models.data.classes import family_probabilities
from timbre_data.models.data.heard import only_heard
from timbre_data.models.data.rows import Rows, load_rows
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Trained
from timbre_data.models.training.frontends import sound_frontend, stored_frontend
from timbre_data.models.training.runs import classifier_of, find_run, open_run
from timbre_data.pipeline.catalogue import validation
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

ADDED = ("audible_db", "hold_out", "known_dry")
"""Settings that came later: names of runs that do not use them stay as they were."""


def resolve(settings: TrainSettings) -> TrainSettings:
    """Fill in the model's own values, so that the run says exactly what it used."""
    model = MODELS.load(settings.model)
    options = validation.validate(model.options, settings.options, f"model {settings.model}")
    filled: dict[str, Any] = {"options": options.model_dump(mode="json")}
    if settings.optimizer is None or settings.optimizer == model.optimizer:
        filled["optimizer"] = model.optimizer
        filled["optimizer_options"] = dict(model.optimizer_options) | (settings.optimizer_options or {})
    else:
        filled["optimizer_options"] = settings.optimizer_options or {}
    for field in ("features", "batch_size", "learning_rate", "learning_rate_decay", "max_epochs", "patience"):
        if getattr(settings, field) is None:
            filled[field] = getattr(model, field)
    return settings.model_copy(update=filled)


def complete(settings: TrainSettings, datasets: list[Dataset]) -> TrainSettings:
    """The settings with the default target on these datasets and the model's own values."""
    if settings.target is None:
        settings = settings.model_copy(update={"target": default_target(settings, datasets)})
    return resolve(settings)


def default_target(settings: TrainSettings, datasets: list[Dataset]) -> str:
    """The target that a model learns on these datasets by default."""
    model = MODELS.load(settings.model)
    suitable = [name for name in TARGETS.names() if TARGETS.load(name).is_default(model, datasets)]
    return min(suitable, key=lambda name: TARGETS.load(name).rank)


def check_target(settings: TrainSettings) -> None:
    """Raise `UsageError` for a target that the model cannot learn, and for no features where it has nothing else."""
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "")
    if not target.suits(model):
        fitting = [name for name in TARGETS.names() if TARGETS.load(name).suits(model)]
        raise UsageError(f"{settings.model} cannot learn --target {settings.target}; it learns {', '.join(fitting)}.")
    if settings.known_dry and not model.takes_dry:
        raise UsageError(f"known_dry: {settings.model} does not take dry sounds; regressor_cnn and inverse_flow do.")
    if model.features and not settings.features:
        raise UsageError(
            f"features = []: {settings.model} learns from feature sets, such as {', '.join(model.features)}."
        )


def default_name(settings: TrainSettings, contents: list[str]) -> str:
    """A name that is the same for the same settings and data: model, data, and a short digest."""
    added = {name for name in ADDED if not getattr(settings, name)}
    text = json.dumps([settings.model_dump(mode="json", exclude=added), contents], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    data = "-".join(Path(name.partition("@")[0]).name for name in settings.data)
    return f"{settings.model}-{data}-{digest}"


def prepare(
    settings: TrainSettings,
    datasets: list[Dataset],
    run: Path | None = None,
    needed: Sequence[int] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Rows, torch.Tensor | None]:
    """Load the rows of a run, and the class probabilities where it is conditioned [shape=(n, 6)], by the classifier
    that lies in the folder `run` or, without one, that the settings name. Where a model has a front end, it is computed
    for the rows of the splits that are `needed`; that takes minutes, and is said.
    """
    assert settings.features is not None
    model, target = MODELS.load(settings.model), TARGETS.load(settings.target or "effect")
    check_target(settings)
    frontend: Any = stored_frontend(model, settings.options, datasets[0].recipe.audio, say)
    if target.windows:
        frontend = sound_frontend(model, settings.options, datasets[0].recipe.audio.rate)
    rows = target.load(settings, datasets, model, settings.features, frontend, needed)
    if settings.audible_db is not None:
        rows = only_heard(rows, datasets, settings.audible_db)
    if not settings.conditioning:
        return rows, None
    classifier = _classifier_for(settings, model, run)
    inputs = load_rows(datasets, classifier.features, settings.split, settings.limit)
    if inputs.feature_settings != classifier.feature_settings:
        raise UsageError(
            f"--conditioning {settings.conditioning} was trained on features with other settings than these datasets have."
        )
    probabilities = classifier.predict(torch.from_numpy(inputs.features))
    multi_label = TARGETS.load(classifier.target).always_multi_label
    return rows, family_probabilities(probabilities, classifier.families, multi_label=multi_label)


def _classifier_for(settings: TrainSettings, model: Model, of: Path | None) -> Trained:
    """The classifier that conditions a run. Raises `UsageError` for what cannot: a regressor, one that takes sounds or
    knows the notes kept for testing.
    """
    run = find_run(settings.conditioning or "") if of is None else classifier_of(of, settings)
    classifier = checkpoints.load(run)
    if not model.conditioned:
        raise UsageError(f"{settings.model} takes no --conditioning; regressor_mlp and autofx do.")
    if classifier.task != "classification" or not classifier.features or classifier.shape.samples:
        raise UsageError(f"--conditioning {run}: a classifier over features is needed, such as class_mlp.")
    if not TARGETS.load(classifier.target).names_effects:
        raise UsageError(
            f"--conditioning {run}: a classifier of effects is needed, this one learned {classifier.target}."
        )
    made = open_run(run).settings
    if made.split != settings.split:
        raise UsageError(
            f"--conditioning {run} was trained with --split {made.split}: it needs the same split as this run, {settings.split}."
        )
    if made.hold_out != settings.hold_out:
        raise UsageError(
            f"--conditioning {run} held out {', '.join(made.hold_out) or 'nothing'}: it needs the same hold_out as this run."
        )
    return classifier
