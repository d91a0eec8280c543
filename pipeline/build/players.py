"""The calling thread's instrument for the synth of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.synth import Instrument
from timbre_data.schemas.recipe import AudioFormat, ChainSpec

if TYPE_CHECKING:  # chains load effects, and hosted effects are opened here
    from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.synths.hosting.open_synths import opened


def instrument(chain: ChainSpec, ready: Chain, audio: AudioFormat) -> Instrument:
    """The calling thread's instrument for the synth of a chain, opened when first asked for."""
    step = chain.synth
    assert step is not None
    assert ready.synth is not None
    synth, settings = ready.synth, ready.synth_settings
    return opened(
        f"{step.model_dump_json()} {audio.rate} {audio.channels}",
        lambda: synth.open(settings, audio.rate, audio.channels, step.isolation),
    )
