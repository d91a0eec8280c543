"""Phonemes of jingju singing by a multi-layer perceptron over five frames (the comparison of Pons et al. 2017)."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import SungOptions, jingju_frontend, timbre_model


class JingjuMlpOptions(SungOptions):
    """The width: 511 for dan (young female roles), 475 for laosheng (old male ones)."""

    hidden: int = Field(511, ge=1, description="units per hidden layer")


def _body(shape: Shape, options: JingjuMlpOptions) -> nn.Module:
    h = options.hidden
    layers = (nn.Linear(400, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, shape.outputs))
    return nn.Sequential(nn.Flatten(), *layers)


MODEL = timbre_model(
    lambda rate, options: jingju_frontend(rate, 5, padded=options.padded),
    _body,
    summary="Phonemes of singing: a perceptron of two hidden layers over five frames of log-mel.",
    source="Pons et al. 2017, timbre CNNs, Table I (MLP)",
    options=JingjuMlpOptions,
    batch_size=128,
    context=5,
    standardised="cell",
    published={"dan": (Shape(0, 29, samples=2205, rate=44_100), 481_391)},
)
