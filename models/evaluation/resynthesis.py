"""Sounds of stored rows, rendered with other parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.rerendering import play_settings, runtime_recipe, stored_input
from timbre_data.pipeline.sound.audio import decode, encode, levels, storing_gains
from timbre_data.pipeline.store.columns import ORDER, PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.arrays import Audio


def sounds_of(data: Dataset, chain: Chain, row: int, labels: NDArray[np.float32]) -> tuple[Audio, Audio]:
    """Re-render a row with other (normalized) parameters [shape=(k, p)]: its sound after the chain, and before it, as
    float32 [shape=(k, channels, samples)].

    Before the chain there is its dry sound, or what its synth plays of its notes.
    """
    order, recipe = np.asarray(data.read(ORDER, row)), runtime_recipe(data.recipe, data.meta)
    given = stored_input(data, row) if chain.synth else data.dry(row)[None]
    return play_settings(recipe, chain, given, order, labels)


def rerender(data: Dataset, chain: Chain, row: int, labels: NDArray[np.float32]) -> Audio:
    """Make a row's sound again with other (normalized) parameters: its dry sound through its chain, or its notes on its
    synth (the same one).

    Stored as the dataset stores [shape=(channels, samples)].
    """
    audio = data.recipe.audio
    wet, source = sounds_of(data, chain, row, labels[None])
    peaks, _ = levels(wet, source)
    stored = np.empty(wet.shape, audio.dtype)
    encode(wet, storing_gains(np.maximum(peaks, 1e-4), audio.peak), stored)
    return decode(stored)[0]


def with_constants(
    data: Dataset, rows: NDArray[np.int64], names: Sequence[str], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Normalised parameters of the dataset's whole space [shape=(rows, p)]: those that were predicted, and as stored
    those that never move.
    """
    whole = np.asarray(data.read(PARAMS, rows), np.float32).copy()
    for column, name in enumerate(data.space.names):
        if name in names:
            whole[:, column] = values[:, list(names).index(name)]
    return whole
