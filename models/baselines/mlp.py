"""scikit-learn's multi-layer perceptron."""

from __future__ import annotations

from sklearn.neural_network import MLPClassifier

from timbre_data.models.baselines import Baseline

BASELINE = Baseline(
    summary="Multi-layer perceptron of scikit-learn (100 sigmoid units, Adam, early stopping).",
    source="D'Hooghe 2022, MLP (scikit-learn)",
    build=lambda seed: MLPClassifier(
        hidden_layer_sizes=(100,), activation="logistic", solver="adam", early_stopping=True, random_state=seed
    ),
)
