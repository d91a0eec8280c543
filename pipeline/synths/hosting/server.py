"""A process of its own for a synth: what it crashes, hangs or leaves behind stays there.

The parent (`client`) talks to it over stdin and stdout, by `multiprocessing.connection`. Whatever it started (audio
servers, synths) goes down with it: children are asked to end, the kernel kills them where this process is killed
(Linux), and when the parent is gone the next look notices within a second.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import TimbreDataError

WATCH_SECONDS = 0.5
GRACE_SECONDS = 3.0
PR_SET_PDEATHSIG = 1
SUSPICIOUS_ROWS, SILENCE = 4, 1e-5


class Hostable(Protocol):
    """The synth served by a host: it plays one row after the other, and can be brought to rest and opened anew."""

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples); `settle` waits a fixed pause before each."""
        ...

    def reopen(self) -> None:
        """Load or start the synth anew."""
        ...

    def close(self) -> None:
        """Take everything down."""
        ...


def die_with_parent() -> None:
    """For a child about to run a program: have the kernel kill it when this process ends (Linux; elsewhere `close` must
    do).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def forked(synth: Hostable, performance: Performance, values: Mapping[str, float], samples: int) -> Audio:
    """Play one row in a child that is forked for it, so that the loaded synth stays as it was: float32 (channels,
    samples).
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            sound = np.ascontiguousarray(synth.play([performance], [values], samples, settle=False)[0], np.float32)
            with os.fdopen(writer, "wb") as stream:
                stream.write(len(sound).to_bytes(2, "little") + sound.tobytes())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    if len(data) < 2:
        raise RuntimeError("the forked child died")
    return np.frombuffer(data[2:], np.float32).reshape(int.from_bytes(data[:2], "little"), samples)


def play(
    synth: Hostable, mode: str, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int
) -> Audio:
    """Play rows with an isolation mode."""
    if mode == "fork":
        return np.stack([forked(synth, p, v, samples) for p, v in zip(performances, values, strict=True)])
    if mode == "fresh":
        rows = []
        for p, v in zip(performances, values, strict=True):
            synth.reopen()
            rows.append(synth.play([p], [v], samples, settle=False)[0])
        return np.stack(rows)
    sounds = synth.play(performances, values, samples, settle=mode == "settle")
    if (
        len(sounds) >= SUSPICIOUS_ROWS and np.abs(sounds).max() < SILENCE
    ):  # a broken synth, or silent patches: a fresh start tells
        synth.reopen()
        sounds = synth.play(performances, values, samples, settle=mode == "settle")
    return sounds


def serve(requests: Connection, answers: Connection) -> None:
    """Open the synth that is asked for and play until told to stop, or until the parent is gone."""
    module, function, arguments = requests.recv()
    factory: Callable[..., Hostable] = getattr(importlib.import_module(module), function)
    synth: Hostable | None = None
    try:
        try:
            synth = factory(*arguments)
        except TimbreDataError as error:  # nothing that a second try would mend
            answers.send(("refused", error))
            return
        except Exception as error:
            answers.send(("failed", f"{type(error).__name__}: {error}"))
            return
        answers.send(("ready", None))
        while True:
            try:
                request = requests.recv()
            except EOFError:
                return
            try:
                answers.send(("played", play(synth, *request)))
            except TimbreDataError as error:
                answers.send(("refused", error))
            except BrokenPipeError:
                return
            except Exception as error:
                answers.send(("failed", f"{type(error).__name__}: {error}"))
    finally:
        if synth is not None:
            synth.close()


def _watch(parent: int) -> None:
    """End this process, and by that its children, when the parent is gone though a synth keeps us busy."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    time.sleep(GRACE_SECONDS)  # normally the end of stdin has been seen by now, and everything taken down in order
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # the host leads a group of its own
    os._exit(1)


def main() -> None:
    """Serve on stdin and stdout; what a synth prints goes to stderr."""
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    try:
        serve(Connection(os.dup(0), writable=False), answers)
    finally:
        os._exit(0)  # without waiting for threads of audio libraries


if __name__ == "__main__":
    main()
