"""A map of a dataset's sounds by their features: two dimensions, nearest neighbours, near-duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.store.columns import feature_hash
from timbre_data.pipeline.store.reader import Dataset

PREFERRED = ("autofx163", "autofx163_sound", "bag_of_frames", "autofx48")
"""Feature sets in which distances say something, the best first."""
FITTED_ROWS = 8_000
"""Rows at most by which the map is made, and among which neighbours are looked for."""
DIMENSIONS = 16
"""Principal components in which sounds are compared."""
NEIGHBOURS, PAIRS = 5, 12
FEWEST = 3
"""Rows without which there is no map."""
WILD = 8.0
"""Standard deviations at which features are clipped: a few wild values would be the whole map."""


class SoundMap:
    """Places of rows on a map, and the rows that lie near.

    `features` is the feature set it was made from, `explained` the share of the variance along both axes; `places`
    [shape=(n, 2)] are NaN for rows without features. Neighbours and pairs are looked for among `compared` rows;
    distances are in units of the median distance of two rows.
    """

    def __init__(self, data: Dataset, features: str, rows: NDArray[np.int64], seed: int = 0) -> None:
        from sklearn.decomposition import PCA
        from sklearn.neighbors import NearestNeighbors

        self.features, self._rows = features, rows
        values = np.nan_to_num(data.read(data.feature_sets()[features]["path"])[rows].astype(np.float64))
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
        values = np.clip(values, -WILD, WILD)
        rng = np.random.default_rng(seed)
        fitted = np.sort(rng.permutation(len(rows))[:FITTED_ROWS])
        components = min(DIMENSIONS, values.shape[1], len(fitted))
        pca = PCA(components, svd_solver="covariance_eigh").fit(values[fitted])
        self._points = pca.transform(values)
        self._fitted = fitted
        self.compared = len(fitted)
        self.explained = [*pca.explained_variance_ratio_.tolist(), 0.0][:2]
        self.places = np.full((data.n, 2), np.nan, np.float32)
        self.places[rows] = np.pad(self._points, ((0, 0), (0, 1)))[:, :2]
        one, other = (self._points[rng.integers(0, len(rows), 2000)] for _ in range(2))
        self._scale = float(np.median(np.linalg.norm(one - other, axis=1))) or 1.0
        self._search: Any = NearestNeighbors().fit(self._points[fitted])

    def neighbours(self, rows: NDArray[np.int64]) -> dict[int, list[tuple[int, float]]]:
        """The nearest rows of each of `rows` that has features, with their distances."""
        asked = np.flatnonzero(np.isin(self._rows, rows))
        if not len(asked):
            return {}
        count = min(NEIGHBOURS + 1, self.compared)
        distances, found = self._search.kneighbors(self._points[asked], n_neighbors=count)
        return {
            int(self._rows[one]): [
                (int(self._rows[k]), float(distance / self._scale))
                for distance, k in zip(distances_of, self._fitted[found_of].tolist(), strict=True)
                if k != one
            ][:NEIGHBOURS]
            for one, distances_of, found_of in zip(asked.tolist(), distances, found, strict=True)
        }

    def closest_pairs(self) -> list[tuple[int, int, float]]:
        """The closest pairs of different rows, with their distances."""
        nearest = self.neighbours(self._rows[self._fitted])
        pairs = {
            (min(row, other), max(row, other)): distance
            for row, near in nearest.items()
            for other, distance in near[:1]
        }
        closest = sorted(pairs.items(), key=lambda pair: pair[1])[:PAIRS]
        return [(one, two, distance) for (one, two), distance in closest]


def features_for_map(data: Dataset) -> str | None:
    """The stored feature set that a map is made from; None without one."""
    sets = data.feature_sets()
    vectors = [name for name in sets if len(sets[name]["shape"]) == 1]
    return next((name for name in (*PREFERRED, *vectors) if name in vectors), None)


def sound_map(data: Dataset) -> SoundMap | None:
    """The map of a dataset; None without features of three rows."""
    name = features_for_map(data)
    if name is None:
        return None
    rows = np.intersect1d(np.flatnonzero(data.read(feature_hash(name)) != 0), data.usable())
    return SoundMap(data, name, rows) if len(rows) >= FEWEST else None
