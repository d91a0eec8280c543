"""Training: a run is a folder. The same command resumes it, or does nothing when the run is finished.

RUN/settings.json     resolved settings, dataset names, snapshots and digests of what is used of them, own files
RUN/epochs.csv        losses of every epoch
RUN/log.txt           what was said, with the time
RUN/last.ckpt         where training resumes (Lightning)
RUN/model.pt          the network of the best epoch, with its standardization
RUN/learned.npz       which sounds it has learned, and what they are like
RUN/conditioning/     the classifier that it is conditioned on, where it is
RUN/example/          one row, where a synth played
RUN/evaluation/       what `evaluate` wrote
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from timbre_data.models.architectures import MODELS
from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import contents_of
from timbre_data.models.evaluation import epochs
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.keeping import take_classifier, take_example, take_learned
from timbre_data.models.training.loggers import check_logger
from timbre_data.models.training.precision import multiplies_in_bfloat16
from timbre_data.models.training.preparing import check_target, complete, default_name, prepare, resolve
from timbre_data.models.training.runs import LOCK, SETTINGS, open_run, runs_home
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.catalogue.journal import note
from timbre_data.pipeline.catalogue.registry import MemberFile
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import LockedError, UsageError
from timbre_data.schemas.settings import TrainSettings

FINISHED = "finished already"


def train(
    settings: TrainSettings,
    *,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    dry_run: bool = False,
    logger: str | None = None,
) -> tuple[Path, str]:
    """Train a model. Returns the run's folder and what was done: "trained", "resumed" or "finished already".

    `logger` is one of `loggers.NAMES`, or None. What is said stands in RUN/log.txt, too.
    """
    check_logger(logger)
    datasets = [open_named(data) for data in settings.data]
    settings = complete(settings, datasets)
    check_target(settings)
    contents = contents_of(datasets, settings.features or ())
    folder = runs_home() / (name or default_name(settings, contents))
    if (folder / SETTINGS).is_file():
        before = open_run(folder)
        if resolve(before.settings) != settings or before.contents != contents:
            raise UsageError(f"{folder} is a run with other settings or data: choose another --name, or leave it out.")
        if before.finished:
            return folder, FINISHED
    elif folder.is_dir() and {path.name for path in folder.iterdir()} - {LOCK}:
        raise UsageError(f"{folder} exists already and is not a run: choose another --name.")
    if dry_run:
        return folder, "would train"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK).acquire(timeout=0):
            resumed = (folder / "last.ckpt").is_file()
            about = {
                "settings": settings.model_dump(mode="json"),
                "snapshots": {data: dataset.snapshot for data, dataset in zip(settings.data, datasets, strict=True)},
                "contents": contents,
                "audio": datasets[0].recipe.audio.model_dump(mode="json"),
                "synth": datasets[0].recipe.chain.synth is not None,
                "always": _always_used(datasets),
                "provenance": provenance(),
                "files": [asdict(file) for file in _files_of(settings)],
            }
            write_whole(folder / SETTINGS, json.dumps(about, indent=2))

            def say_and_note(line: str) -> None:
                note(folder, line)
                say(line)

            note(
                folder,
                f"training {settings.model} on {', '.join(settings.data)}, timbre-data {metadata.version('timbre-data')}",
            )
            try:
                _fit(settings, datasets, folder, say_and_note, logger)
            except UsageError:
                if not (folder / epochs.FILE).is_file():
                    shutil.rmtree(folder)  # a request that was refused leaves no run behind
                raise
            except BaseException as error:
                note(folder, f"stopped: {error or type(error).__name__}")
                raise
            note(folder, "finished")
    except Timeout:
        raise LockedError(f"{folder} is being trained by another process.") from None
    return folder, "resumed" if resumed else "trained"


def _always_used(datasets: list[Dataset]) -> list[str]:
    """The steps that every row went through, of one chain."""
    chain = datasets[0].recipe.chain
    if len(datasets) > 1 or chain.choose:
        return []
    return [step.label for step in chain.steps if step.probability == 1]


def _files_of(settings: TrainSettings) -> list[MemberFile]:
    """The files of the user's own that a run was made with: kept as data, never run again by themselves."""
    files = [MODELS.file_of(settings.model), TARGETS.file_of(settings.target or "")]
    files += [FEATURE_SETS.file_of(name) for name in settings.features or ()]
    return [file for file in files if file is not None]


def _fit(
    settings: TrainSettings, datasets: list[Dataset], folder: Path, say: Callable[[str], None], logger: str | None
) -> None:
    """Train in a folder that nobody else trains in. Raises `UsageError` for what the model does not take."""
    model = MODELS.load(settings.model)
    augmented = settings.crop_frames or settings.filter_range or settings.mask_bands
    if augmented and (model.frontend is None or model.context or not model.varied):
        raise UsageError(
            f"crop_frames, filter_range and mask_bands are for networks over the spectrogram of a whole sound; {settings.model} is none."
        )
    if TARGETS.load(settings.target or "").learns_from == "pairs":
        from timbre_data.models.training.pair_training import fit_pairs

        take_learned(folder, datasets, settings)
        fit_pairs(settings, datasets, folder, say, logger)
        return
    from timbre_data.models.training.row_training import fit_rows

    if settings.conditioning:
        take_classifier(folder, settings)
    if settings.precision == "bf16-mixed" and not multiplies_in_bfloat16():
        say("this processor does not multiply in bfloat16: bf16-mixed is slower here than leaving precision out")
    rows, probabilities = prepare(settings, datasets, folder if settings.conditioning else None, say=say)
    take_example(folder, datasets[0], settings)
    take_learned(folder, datasets, settings, rows)
    fit_rows(settings, rows, probabilities, folder, say, logger)
