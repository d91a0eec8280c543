"""What a model's module exposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from torch import nn

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Shape:
    """What a network maps: `inputs` features, `conditioning` class probabilities and, for some, sounds to `outputs` numbers."""

    inputs: int
    outputs: int
    conditioning: int = 0
    samples: int = 0
    rate: int = 0


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network and the training that its paper gives it.

    `build(shape, options)` makes the network: `forward(features[, probabilities])` gives logits (classification) or values in [0, 1]
    (regression). With `input` "audio" it is `forward(features[, probabilities], audio=sounds)`, and features may be none.
    `published` holds parameter counts: variant -> (shape, count); the tests compare.
    """

    summary: str
    source: str
    task: Task
    features: tuple[str, ...]
    build: Callable[[Shape, Any], nn.Module]
    options: type[BaseModel]
    batch_size: int
    learning_rate: float
    max_epochs: int
    patience: int
    learning_rate_decay: float = 1.0
    input: Literal["features", "audio"] = "features"
    published: Mapping[str, tuple[Shape, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A classical classifier: `build(seed)` gives a scikit-learn estimator that takes standardised features.

    `published` maps a data set of the paper to what it reports: accuracy, fit_seconds, inference_ms, megabytes.
    """

    summary: str
    source: str
    build: Callable[[int], Any]
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def parameter_count(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
