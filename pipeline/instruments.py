"""The synths that are open: one for every worker thread and chain, closed when the build ends."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from timbre_data.pipeline.kinds import Instrument
from timbre_data.schemas.recipe import AudioFormat, Chain

if TYPE_CHECKING:  # chains load effects, and hosted effects are opened here
    from timbre_data.pipeline.chain import EffectChain

_lock = threading.Lock()
_opened: dict[tuple[int, str], Instrument] = {}


def instrument(chain: Chain, ready: EffectChain, audio: AudioFormat) -> Instrument:
    """The calling thread's instrument for the synth of a chain, opened when first asked for."""
    step = chain.synth
    assert step is not None
    assert ready.synth is not None
    synth, settings = ready.synth, ready.synth_settings
    return opened(
        f"{step.model_dump_json()} {audio.rate} {audio.channels}",
        lambda: synth.open(settings, audio.rate, audio.channels, step.isolation),
    )


def opened(what: str, make: Callable[[], Instrument]) -> Instrument:
    """The calling thread's instrument of that description, made when first asked for."""
    key = (threading.get_ident(), what)
    with _lock:
        found = _opened.get(key)
    if found is None:
        found = make()
        with _lock:
            _opened[key] = found
    return found


def close_instruments(*_: Any) -> None:
    """Close every instrument of this process."""
    with _lock:
        instruments = list(_opened.values())
        _opened.clear()
    for each in instruments:
        each.close()


atexit.register(close_instruments)
