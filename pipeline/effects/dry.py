"""No effect: the dry sound as its own class."""

from __future__ import annotations

from collections.abc import Mapping

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    return audio.copy()


EFFECT = Effect(
    summary="No effect: the dry sound as a class of its own.", family="dry", space=ParameterSpace.of(), render=_render
)
