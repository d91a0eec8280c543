"""Support vector machine."""

from __future__ import annotations

from sklearn.svm import SVC

from timbre_data.models.baselines import Baseline

BASELINE = Baseline(
    summary="Support vector machine (RBF kernel, C = 10, standardized features).",
    source="D'Hooghe 2022, SVM",
    build=lambda seed: SVC(C=10.0, random_state=seed),
)
