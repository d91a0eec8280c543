"""Which labels can be heard, as `featurize --sensitivity` has measured it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.pipeline.build.sensing import NAME, PATH
from timbre_data.pipeline.store.columns import feature_hash
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


def sensitivity(data: Dataset, rows: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.float32] | None:
    """How much each parameter changes the sound of some rows, in dB [shape=(n, p)]; 0 for those that a dataset does not
    have. None where not all of the rows are measured.
    """
    if NAME not in data.feature_sets() or not (data.read(feature_hash(NAME))[rows] != 0).all():
        return None
    stored, columns = data.read(PATH)[rows], list(data.names(PATH))
    out = np.zeros((len(rows), len(names)), np.float32)
    for place, name in enumerate(names):
        if name in columns:
            out[:, place] = stored[:, columns.index(name)]
    return out


def only_heard(rows: Rows, datasets: Sequence[Dataset], audible_db: float) -> Rows:
    """Rows whose labels count as identifiable only where they are heard by so much. Raises `UsageError` for datasets
    that are not measured.
    """
    heard = np.zeros(rows.mask.shape, bool)
    for number, data in enumerate(datasets):
        here = np.flatnonzero(rows.dataset == number)
        measured = sensitivity(data, rows.row[here], rows.parameter_names)
        if measured is None:
            raise UsageError(
                f"audible_db: {data.name} is not measured; run timbre-data featurize {data.name} --sensitivity first."
            )
        heard[here] = measured >= audible_db
    return replace(rows, identifiable=rows.identifiable & heard)
