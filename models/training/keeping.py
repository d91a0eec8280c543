"""What is put into a run's folder so that it can be used anywhere: on a machine without its datasets and the runs that
it builds on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from timbre_data.models.architectures import MODELS
from timbre_data.models.data import learned
from timbre_data.models.data.rows import Rows
from timbre_data.models.training.runs import CLASSIFIER, EXAMPLE, MODEL_FILE, SETTINGS, find_run
from timbre_data.pipeline.build.deriving import selected
from timbre_data.pipeline.catalogue.files import OwnFolder
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.selecting import Selection
from timbre_data.schemas.settings import TrainSettings


def take_classifier(folder: Path, settings: TrainSettings) -> None:
    """Copy the run that a run is conditioned on, unless it is there: later changes of that do not reach this one."""
    if (folder / CLASSIFIER).is_dir() or not settings.conditioning:
        return
    source = find_run(settings.conditioning)
    ours = OwnFolder(folder, f"{CLASSIFIER}.partial-")
    try:
        copied = ours.path / CLASSIFIER
        copied.mkdir()
        for name in (SETTINGS, MODEL_FILE):
            if (source / name).is_file():
                shutil.copyfile(source / name, copied / name)
        copied.rename(folder / CLASSIFIER)
    finally:
        ours.close()


def take_example(folder: Path, data: Dataset, settings: TrainSettings) -> None:
    """Keep one row of a synth's dataset, unless it is there: its chain, what it plays, the knobs that never move."""
    if data.recipe.chain.synth is None or not data.complete() or MODELS.load(settings.model).task != "regression":
        return
    if (folder / EXAMPLE).is_dir():
        return
    row = int(data.usable()[0])
    with selected(data, Selection(where=f"row == {row}"), folder / EXAMPLE) as one:
        export(one, folder / EXAMPLE, "zarr", leave_out_unfinished=True)


def take_learned(folder: Path, datasets: Sequence[Dataset], settings: TrainSettings, rows: Rows | None = None) -> None:
    """Keep which sounds the run learns, and what they are like, unless it is there."""
    if (folder / learned.FILE).is_file():
        return
    seen = []
    for number, data in enumerate(datasets):
        if rows is None:
            usable = data.usable()
            seen.append(usable[data.split()[usable] < 2])
        else:
            seen.append(np.unique(rows.row[(rows.dataset == number) & (rows.split < 2)]))
    learned.learned_from(datasets, seen, settings.seed).save(folder)
