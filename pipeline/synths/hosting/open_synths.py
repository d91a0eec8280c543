"""The synths that are open: one for every worker thread and chain, closed when the build ends."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any

from timbre_data.pipeline.catalogue.synth import Instrument

_lock = threading.Lock()


_opened: dict[tuple[int, str], Instrument] = {}


def opened(what: str, make: Callable[[], Instrument]) -> Instrument:
    """The calling thread's instrument of that description, made when first asked for."""
    key = (threading.get_ident(), what)
    with _lock:
        player = _opened.get(key)
    if player is None:
        player = make()
        with _lock:
            _opened[key] = player
    return player


def close_instruments(*_: Any) -> None:
    """Close every instrument of this process."""
    with _lock:
        instruments = list(_opened.values())
        _opened.clear()
    for each in instruments:
        each.close()


atexit.register(close_instruments)
