"""Front ends without weights: what a network makes of sounds first, computed once for all rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.training.checkpoints import as_sound
from timbre_data.pipeline.catalogue.threads import network_threads
from timbre_data.schemas.recipe import AudioFormat

SAID_EVERY = 30.0
"""Seconds between two words of how far the front end has come."""


def stored_frontend(
    model: Model, options: dict[str, Any], audio: AudioFormat, say: Callable[[str], None] = lambda line: None
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """A function that computes a model's front end of stored sounds [shape=(k, samples)] in half precision, and says
    now and then how many it has done; None for a model without one.
    """
    if model.frontend is None or model.context:
        return None
    shape = Shape(0, 0, samples=audio.samples, rate=audio.rate)
    frontend = model.frontend(shape, model.options.model_validate(options))
    torch.set_num_threads(network_threads())
    begun = said = time.monotonic()
    done = 0

    def transform(sounds: NDArray[Any]) -> NDArray[Any]:
        nonlocal done, said
        with torch.inference_mode():
            parts = torch.from_numpy(np.ascontiguousarray(sounds)).split(128)
            made = torch.cat([frontend(as_sound(part)).half() for part in parts]).numpy()
        done += len(sounds)
        if time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            say(f"spectrograms of {done} sounds, {done / (said - begun):.0f} a second")
        return made

    return transform


def sound_frontend(model: Model, options: dict[str, Any], rate: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """All frames of one sound, as the front end of a network of frames gives them; computed in double precision: the
    logarithm of a quiet band shows the last bits of a loud one.
    """
    assert model.frontend is not None
    frontend: Any = model.frontend(Shape(0, 0, rate=rate), model.options.model_validate(options)).double()

    def whole(sound: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            spectrogram: torch.Tensor = frontend.whole(sound)
        return spectrogram.float()

    return whole
