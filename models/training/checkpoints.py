"""A trained network in a file: weights, standardization and everything needed to build and use it again."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.runs import MODEL_FILE
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.schemas.errors import CorruptDataError, NotFoundError

SOUNDS_AT_ONCE = 4
"""Sounds that go through a network together where no gradient is needed: what its layers hold of more than a few does
not stay in the processor's cache (AutoFX is a quarter slower with 64).
"""


class Standardized(nn.Module):
    """A network behind the standardization of its training set: (x - mean) / deviation, kept with the weights."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: nn.Module, inputs: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def fit(self, features: torch.Tensor) -> None:
        """Take mean and deviation of the training features [shape=(n, inputs)]; a constant feature stays as it is."""
        if not features.shape[1]:
            return
        features = features.double()
        self.mean.copy_(features.mean(dim=0))
        deviation = features.std(dim=0, unbiased=False)
        self.deviation.copy_(
            torch.where(
                deviation > 1e-12 * features.abs().amax(dim=0).clamp(min=1e-30), deviation, torch.ones_like(deviation)
            )
        )

    def forward(
        self, features: torch.Tensor, probabilities: torch.Tensor | None = None, audio: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Standardize the features, then apply the network."""
        given = {} if audio is None else {"audio": audio}
        scaled = (features - self.mean) / self.deviation
        result = (
            self.network(scaled, **given) if probabilities is None else self.network(scaled, probabilities, **given)
        )
        return cast(torch.Tensor, result)


def as_sound(audio: torch.Tensor) -> torch.Tensor:
    """Stored samples as float32 in [-1, 1] (int16 or float32) [shape=(n, samples)]."""
    return audio.float() / 32767 if audio.dtype == torch.int16 else audio


@dataclass(frozen=True)
class Trained:
    """A network ready to use, with what its inputs and outputs are called.

    `rate`, `samples` and `feature_settings` say how a sound becomes its input; `parameters` describes the outputs of a
    regressor (kind, range, unit) and `effects` the effect of each; `families` the family of each class. It predicts in
    the `precision` in which it was trained. `multi_label`: it gives each class a probability of its own (any number may
    be there); otherwise they add up to 1.
    """

    model: str
    network: Standardized
    shape: Shape
    options: dict[str, Any]
    features: tuple[str, ...]
    feature_names: tuple[str, ...]
    outputs: tuple[str, ...]
    families: tuple[str, ...] = ()
    target: str = "effect"
    rate: int = 0
    samples: int = 0
    feature_settings: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[dict[str, Any], ...] = ()
    effects: tuple[str, ...] = ()
    precision: str = "32-true"
    multi_label: bool = False

    def predict(
        self, features: torch.Tensor, probabilities: torch.Tensor | None = None, audio: Any = None
    ) -> torch.Tensor:
        """Class probabilities or normalized parameters of raw (not standardized) features, and sounds (or windows of
        frames) where the network takes them.
        """
        return self.decoded(self.raw(features, probabilities, audio))

    def raw(self, features: torch.Tensor, probabilities: torch.Tensor | None = None, audio: Any = None) -> torch.Tensor:
        """What the network itself gives for them [shape=(n, width)], of which `decoded` and `recognised` are made."""
        self.network.eval()
        size = 8192 if audio is None else SOUNDS_AT_ONCE if isinstance(audio, torch.Tensor) else 1024

        @torch.inference_mode()
        def part(i: int) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16-mixed"):
                return cast(
                    torch.Tensor,
                    self.network(
                        features[i : i + size],
                        None if probabilities is None else probabilities[i : i + size],
                        None if audio is None else as_sound(audio[i : i + size]),
                    ),
                )

        starts = range(0, len(features), size)
        with torch.inference_mode():
            parts = _side_by_side(part, starts) if isinstance(audio, torch.Tensor) else map(part, starts)
            return torch.cat(list(parts)).float()

    def decoded(self, outputs: torch.Tensor) -> torch.Tensor:
        """Class probabilities or normalized parameters [shape=(n, outputs)]."""
        decode: Callable[[torch.Tensor], torch.Tensor] | None = getattr(self.network.network, "decode", None)
        with torch.inference_mode():
            if decode is not None:
                return decode(outputs)
            return TARGETS.load(self.target).decode(outputs, self.multi_label)

    @property
    def recognises(self) -> tuple[str, ...]:
        """The effects that a regressor recognises by itself; none for others."""
        return tuple(dict.fromkeys(self.effects)) if getattr(self.network.network, "recognises", 0) else ()

    def recognised(self, outputs: torch.Tensor) -> torch.Tensor | None:
        """The probability of each effect that it `recognises` [shape=(n, effects)]; None where there are none."""
        if not self.recognises:
            return None
        with torch.inference_mode():
            return cast(torch.Tensor, cast(Any, self.network.network).recognise(outputs))

    @property
    def draws(self) -> bool:
        """Whether a regressor knows more than a point: it can `draw`."""
        return hasattr(self.network.network, "draw")

    def draw(self, outputs: torch.Tensor, rows: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.float32]:
        """So many normalized settings that each of some sounds may have been made with [shape=(n, count, p)]; the same
        for a row number [shape=(n,)] and seed with any rows beside it.
        """
        network = cast(Any, self.network.network)
        with torch.inference_mode():
            drawn: torch.Tensor = network.draw(outputs, rows, count, seed)
        return drawn.numpy()

    def for_inference(self) -> Trained:
        """This network, prepared where it has a `for_inference` of its own: it cannot be trained or saved any more."""
        self.network.eval()
        prepare: Callable[[], None] | None = getattr(self.network.network, "for_inference", None)
        if prepare is not None:
            prepare()
        return self

    @property
    def task(self) -> str:
        """Classification or regression."""
        kind: Model = MODELS.load(self.model)
        return kind.task


def _side_by_side(part: Callable[[int], torch.Tensor], starts: range) -> list[torch.Tensor]:
    """Several parts at once, on one core each: to share the cores out within a layer of few sounds costs a tenth."""
    threads = torch.get_num_threads()
    if threads == 1 or len(starts) < 2 * threads:
        return list(map(part, starts))
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        results = list(pool.map(part, starts))
    torch.set_num_threads(threads)
    return results


def save(trained: Trained, folder: Path) -> None:
    """Write `model.pt` into a run folder, whole or not at all."""
    fields = {name: value for name, value in vars(trained).items() if name not in ("network", "shape")}
    content = {"format": 1, "shape": asdict(trained.shape), "state": trained.network.state_dict(), **fields}
    with whole(folder / MODEL_FILE) as partial:
        torch.save(content, partial)


DAMAGED = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What is raised for a saved file that is cut or changed, holds more than data, or data of another form."""


def read_saved(path: Path) -> dict[str, Any]:
    """Read a file that PyTorch saved, weights only. Raises `CorruptDataError` for one that is damaged or holds code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGED, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights" in reason.lower():  # PyTorch goes on to say how to load it with code
            reason = "it holds more than data"
        raise CorruptDataError(f"{path} is damaged ({reason.rstrip('.')[:120]})") from None
    if not isinstance(content, dict):
        raise CorruptDataError(f"{path} is damaged (it holds no fields)")
    return content


def load(folder: Path) -> Trained:
    """Read `model.pt` of a run folder. Raises `NotFoundError` or `CorruptDataError`."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise NotFoundError(f"{folder} holds no finished training: train it to the end first.")
    try:
        return _built(read_saved(path))
    except CorruptDataError as error:
        raise CorruptDataError(f"{error}: restore it from a copy, or delete it and train again.") from None
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CorruptDataError(
            f"{path} holds no network of this version ({reason}): restore it from a copy, or delete it and train again."
        ) from None


def _built(data: dict[str, Any]) -> Trained:
    """The network in the content of a file."""
    if "several" in data:  # its name in older runs
        data["multi_label"] = data.pop("several")
    data["model"] = data["model"].replace("-", "_")
    kind: Model = MODELS.load(data["model"])
    shape = Shape(**data.pop("shape"))
    network = Standardized(kind.build(shape, kind.options.model_validate(data["options"])), shape.inputs)
    network.load_state_dict(data.pop("state"))
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise ValueError("it holds weights that are not finite")
    data.pop("format")
    if (
        kind.task == "regression"
    ):  # before regressors had a target of their own, they were saved with that of a classifier
        data["target"] = "parameters"
    return Trained(network=network, shape=shape, **data)
