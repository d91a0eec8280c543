"""k nearest neighbours."""

from __future__ import annotations

from sklearn.neighbors import KNeighborsClassifier

from timbre_data.models.baselines import Baseline

BASELINE = Baseline(
    summary="k nearest neighbours (k = 5, Euclidean, standardized features).",
    source="D'Hooghe 2022, k-NN",
    build=lambda seed: KNeighborsClassifier(n_neighbors=5),
)
