"""Which knobs can be heard in a row: measured, by turning each and listening to the change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.heard import sensitivity
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.resynthesis import sounds_of
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.sensing import log_mel_changes
from timbre_data.pipeline.store.columns import PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments

MOVED = 0.25
"""By how much of its range a knob is turned to find out whether it can be heard."""
AUDIBLE_DB = 1.0
"""The change of a twentieth of the log-mel spectrogram's cells from which a knob counts as audible."""
MEASURE = f"changes a twentieth of the log-mel spectrogram by {AUDIBLE_DB:g} dB or more"
MOST_ROWS = 400


def audible_of_effects(
    datasets: Sequence[Dataset], rows: Rows, row_indices: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which parameters of effects can be heard in some of the rows: their places among `row_indices` [shape=(m,)], and
    the parameters [shape=(m, p)]. All rows where their sensitivity is stored, else at most 400 that are played now.
    """
    stored = _stored(datasets, rows, row_indices)
    if stored is not None:
        return np.arange(len(row_indices)), stored & rows.mask[row_indices]
    rng = np.random.default_rng([seed, MOST_ROWS])
    places = np.sort(rng.choice(len(row_indices), min(MOST_ROWS, len(row_indices)), replace=False))
    audible = np.zeros((len(places), len(rows.parameter_names)), bool)
    for number, data in enumerate(datasets):
        if data.meta.get("kind") == "imported":
            continue
        here = rows.dataset[row_indices[places]] == number
        audible[here] = audible_knobs(data, rows.row[row_indices[places[here]]], rows.parameter_names)
    return places, audible & rows.mask[row_indices[places]]


def _stored(datasets: Sequence[Dataset], rows: Rows, row_indices: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """What is heard by the sensitivity that datasets store; None where one does not."""
    heard = np.zeros((len(row_indices), len(rows.parameter_names)), bool)
    for number, data in enumerate(datasets):
        here = rows.dataset[row_indices] == number
        measured = sensitivity(data, rows.row[row_indices[here]], rows.parameter_names)
        if measured is None:
            return None
        heard[here] = measured >= AUDIBLE_DB
    return heard


def audible_knobs(data: Dataset, row_indices: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.bool_]:
    """Find the knobs that can be heard in each row [shape=(rows, p)]: each is turned by a quarter of its range (a
    choice to another position), and played.

    What counts as a change, `log_mel_changes` says.
    """
    chain = Chain(data.recipe.chain)
    place_of = {name: i for i, name in enumerate(names)}
    turned = [(k, place_of[name]) for k, name in enumerate(data.space.names) if name in place_of]
    steps = [1 / (p.steps - 1) if p.steps else MOVED for p in data.space.parameters]
    out = np.zeros((len(row_indices), len(names)), bool)
    try:
        for k, row in enumerate(row_indices.tolist()):
            labels = data.read(PARAMS, row)
            variants = np.tile(labels, (len(turned) + 1, 1))
            for i, (column, _) in enumerate(turned, start=1):
                step = steps[column]
                variants[i, column] += step if labels[column] + step <= 1 else -step
            played = sounds_of(data, chain, row, variants)[0].mean(axis=1)
            changes = log_mel_changes(played, data.recipe.audio.rate)
            out[k, [place for _, place in turned]] = changes >= AUDIBLE_DB
    finally:
        close_instruments()
    return out
