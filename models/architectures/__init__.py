"""Networks, one file each; what a model's module exposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import nn

Task = Literal["classification", "regression", "transformation"]


@dataclass(frozen=True)
class Shape:
    """The shape of a network: it maps `inputs` features, `conditioning` class probabilities and, for some, sounds to
    `outputs` numbers.

    `positions` of each output: how many positions a choice, switch or integer has, 0 for a continuous one. `groups`:
    the number of the effect that each output is a parameter of. `interchangeable`: groups of parts that may be
    exchanged, as the outputs of each part. With `dry`, the dry sound of each sound is given, too.
    """

    inputs: int
    outputs: int
    conditioning: int = 0
    samples: int = 0
    rate: int = 0
    positions: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    interchangeable: tuple[tuple[tuple[int, ...], ...], ...] = ()
    dry: bool = False


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network and the training that its paper gives it.

    `build(shape, options)` makes the network: `forward(features[, probabilities])` gives logits (classification) or
    values in [0, 1] (regression). With `input` "audio" it is `forward(features[, probabilities], audio=sounds)`, and
    features may be none. `front(shape, options)` makes its front end without weights (a spectrogram), if it has one:
    training computes that once for all rows, while it reads them, and `forward` takes its output too. A network with
    `context` names the middle one of so many frames of a recording. A network with `fit_front(spectrograms)` takes its
    standardisation from the training rows' spectrograms, given in parts. One with `fit_classes(windows, classes, seed)`
    is fitted by that instead of by descent; one with `class_loss(scores, present)` has a loss of its own for several
    labels. A regressor may have a `loss(output, labels, mask, identifiable)` of its own, a `decode(output)` to values
    in [0, 1], and, where its `recognises` says how many effects it tells, a `recognise(output)` to their probabilities.
    A regressor that knows more than a point has a `draw(output, rows, count, seed)`. A classifier with `multi_label`
    has a sigmoid for each class even where every training row has one label; others have a soft-max then. A
    `conditioned` network may be given a classifier's probabilities. `l2_convolutions` times the squared weights of all
    convolutions is added to the loss (a kernel regulariser, as Keras has it). A front end that gives more than one
    spectrogram is not `varied` in training. A network that `takes_dry` has a front end and is built for `Shape.dry`,
    too: its sounds are then [shape=(n, 2 samples)], each followed by its dry sound, or what the front end makes of both
    [shape=(n, 2, ...)]. `published` holds parameter counts: variant -> (shape, count), with the
    running statistics of batch norms where `counts_statistics`; the tests compare.
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
    optimizer: Literal["adam", "sgd", "adagrad", "adadelta"] = "adam"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    input: Literal["features", "audio"] = "features"
    frontend: Callable[[Shape, Any], nn.Module] | None = None
    varied: bool = True
    context: int = 0
    multi_label: bool = False
    conditioned: bool = False
    takes_dry: bool = False
    l2_convolutions: float = 0.0
    counts_statistics: bool = False
    published: Mapping[str, tuple[Shape, int]] = field(default_factory=dict)

    @property
    def target_name(self) -> str:
        """The default task of a model of this kind."""
        if self.context:
            return "frames"
        return {"classification": "effect", "regression": "parameters", "transformation": "transformation"}[self.task]


MODELS: Registry[Model] = Registry(__name__, kind="model", attribute="MODEL")
