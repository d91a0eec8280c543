"""Published figures of D'Hooghe 2022, as printed, to stand beside ours.

The printed errors put the other effects' entries to zero and then average over all rows and all 15 columns, so they are
about a third of the true ones: the constant 0.5 predictor scores an MSE of .0278 there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timbre_data.pipeline.catalogue.effect import FAMILIES

COLUMNS = (
    "modulation.rate_hz",
    "modulation.depth",
    "modulation.centre_delay_ms",
    "modulation.feedback",
    "modulation.mix",
    "delay.delay_seconds",
    "delay.feedback",
    "delay.mix",
    "distortion.drive_db",
    "distortion.high_shelf_cutoff_hz",
    "distortion.high_shelf_gain_db",
    "distortion.high_shelf_q",
    "distortion.low_shelf_cutoff_hz",
    "distortion.low_shelf_gain_db",
    "distortion.low_shelf_q",
)
"""The table's columns: it lists the high shelf before the low one."""

MSE = {"AutoFX": 8.42e-3, "AutoFX + features": 6.97e-3, "163NC": 1.03e-2, "163C": 1.00e-2, "211C": 9.83e-3}

MAE: dict[str, tuple[float, ...]] = {
    "AutoFX": (0.012, 0.032, 0.036, 0.031, 0.025, 0.011, 0.050, 0.024, 0.063, 0.054, 0.033, 0.079, 0.070, 0.030, 0.053),
    "AutoFX + features": (
        0.0065,
        0.026,
        0.037,
        0.028,
        0.022,
        0.014,
        0.035,
        0.019,
        0.019,
        0.044,
        0.014,
        0.074,
        0.052,
        0.024,
        0.051,
    ),
    "163NC": (0.025, 0.040, 0.050, 0.050, 0.036, 0.033, 0.046, 0.010, 0.018, 0.090, 0.031, 0.066, 0.045, 0.030, 0.068),
    "163C": (0.024, 0.049, 0.046, 0.049, 0.027, 0.033, 0.039, 0.012, 0.0092, 0.080, 0.047, 0.072, 0.036, 0.032, 0.064),
    "211C": (0.013, 0.021, 0.030, 0.015, 0.032, 0.021, 0.063, 0.020, 0.019, 0.098, 0.041, 0.11, 0.054, 0.030, 0.081),
}

CLASSIFICATION = {11: ("11 classes, guitar mono", 0.95), 6: ("6 classes, guitar mono", 0.97)}
"""Best accuracies of the PyTorch MLP ("up to"), on IDMT-SMT-Audio-Effects, by the number of classes."""
IDMT_CLASSES = {
    "dry",
    "feedback_delay",
    "slapback_delay",
    "reverb",
    "chorus",
    "flanger",
    "phaser",
    "tremolo",
    "vibrato",
    "distortion",
    "overdrive",
}
"""The eleven classes there, by our names."""


def classification(names: Sequence[str]) -> dict[str, float]:
    """The published accuracies that belong beside a classifier of these classes; none for other classes."""
    if set(names) == IDMT_CLASSES or set(names) == set(FAMILIES):
        title, value = CLASSIFICATION[len(names)]
        return {title: value}
    return {}


@dataclass(frozen=True)
class Cost:
    """What a training cost there, as printed; None where the table says nothing."""

    row: str
    seconds: float
    watt_hours: float
    megabytes: float | None = None
    parameters: str | None = None
    inference_ms: float | None = None


REGRESSOR_COSTS = {
    "AutoFX": Cost("Table 5.1, AutoFX", 6000, 560, 44.1, "3.7M", 21.4),
    "163C": Cost("Table 5.1, MLP-163", 1140, 64.9, 0.852, "58.9k", 0.18),
    "211C": Cost("Table 5.1, MLP-211", 720, 40.1, 0.911, "63.7k", 0.18),
}
"""Regressors: on a GeForce GTX 1080 Ti, inference on an Intel i7. The two perceptrons are those with conditioning."""
CLASSIFIER_COSTS = {
    11: (Cost("Table 4.3, Complete GM", 120, 5.2), Cost("Table 4.3, Complete Full", 255, 13)),
    6: (Cost("Table 4.3, Simplified GM", 96, 3.8), Cost("Table 4.3, Simplified Full", 208, 10)),
}
"""The PyTorch classifier, by its number of classes: on the monophonic guitar and on all of IDMT-SMT-Audio-Effects."""


def costs(name: str | None, model: str, classes: Sequence[str]) -> tuple[Cost, ...]:
    """The published costs that belong beside a network: of the regressor that is called `name` there (`variant`), or of
    the classifier of the same classes; none for others.
    """
    if name in REGRESSOR_COSTS:
        return (REGRESSOR_COSTS[name],)
    return CLASSIFIER_COSTS[len(classes)] if model == "class_mlp" and classification(classes) else ()


def variant(model: str, features: Sequence[str], conditioning: int, options: Mapping[str, Any]) -> str | None:
    """The published regressor with these features, probabilities of so many classes and options, if there is one."""
    if model == "autofx":
        ours = {"spectrogram": "power", "n_fft": 1024, "hop_length": 256}
        same = conditioning == 6 and all(options.get(key, value) == value for key, value in ours.items())
        return {(): "AutoFX", ("autofx48",): "AutoFX + features"}.get(tuple(features)) if same else None
    theirs = {"hidden": 100, "layers": 5, "first_activation": False}
    if model != "regressor_mlp" or any(options.get(key, value) != value for key, value in theirs.items()):
        return None
    known = {(("autofx163",), 0): "163NC", (("autofx163",), 6): "163C", (("autofx163", "autofx48"), 6): "211C"}
    return known.get((tuple(sorted(features)), conditioning))


IRMAS_F1 = {
    "Bosch et al.": (0.503, 0.432),
    "Han et al.": (0.602, 0.503),
    "Single-layer": (0.559, 0.484),
    "Multi-layer": (0.589, 0.516),
}
"""Micro and macro F1 on the test files of IRMAS (Pons et al. 2017, Table II)."""
MAGNATAGATUNE_AUC = {
    "Proposed": 0.889,
    "Proposed x 2": 0.893,
    "Proposed x 4": 0.887,
    "Dieleman": 0.881,
    "Small-rectangular": 0.865,
    "Choi et al.": 0.894,
}
"""Mean ROC-AUC over 50 tags of MagnaTagATune (Pons et al., Table III)."""
EQUALISERS = {
    "shelving": (0.021845, 0.007764, 0.002474, 0.032083),
    "peaking": (0.022038, 0.007847, 0.002521, 0.032406),
    "low-pass": (0.025365, 0.005345, 0.002710, 0.033420),
    "high-pass": (0.021463, 0.000951, 0.001293, 0.023708),
}
"""KL, MSE, MAE and their sum on held-out piano notes (Martinez Ramirez & Reiss 2018, Table 2)."""
EQ_IDENTITY, EQ_AUTOENCODER = 1.21, 0.104
"""The loss between input and target (shelving), and that of reconstruction, there."""
EQ_RELATIVE = EQUALISERS["shelving"][3] / EQ_IDENTITY
"""The loss of the shelf relative to that of its input."""
FRAME_ACCURACY = {
    "dan": {"Proposed": 0.484, "Small-rectangular": 0.374, "GMM": 0.290, "MLP": 0.284},
    "laosheng": {"Proposed": 0.432, "Small-rectangular": 0.359, "GMM": 0.322, "MLP": 0.282},
}
"""Frame accuracy on jingju a cappella, young female (dan) and old male roles (Pons et al. 2017, Table I)."""
TAG_ACCURACY = {"instrument_cnn": (0.7847,)}
"""Accuracy on excerpts of IRMAS, divided by excerpt, not by song (Sivalingam et al.)."""
