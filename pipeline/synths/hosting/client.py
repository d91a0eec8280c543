"""A synth in a process of its own, seen from the worker that plays it: watched, restarted, and in the end given up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import SynthError, TimbreDataError

TRIES = 3
OPEN_SECONDS = 60.0


LOOK_SECONDS, STOPPED_SECONDS = 1.0, 4.0
"""How often a host that does not answer is looked at, and how long it may stand still."""


def stopped_program(root: int) -> str | None:
    """The name of a process, `root` or one below it, that is stopped by a signal; None where all run."""
    with suppress(psutil.Error):
        host = psutil.Process(root)
        for process in (host, *host.children(recursive=True)):
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_STOPPED:
                    return "its host process" if process.pid == root else str(process.name())
    return None


class _TroubleError(Exception):
    """The host is gone, hung or said that something went wrong."""


class Hosted:
    """An instrument whose synth lives in a host process.

    `factory` ("module", "function") with picklable `arguments` makes the synth there. A batch that fails, hangs
    (`slowest` times real time with what each row needs besides, and ten seconds) or kills the host is played again by a
    new host; after three times `SynthError`.
    """

    def __init__(
        self,
        name: str,
        factory: tuple[str, str],
        arguments: tuple[Any, ...],
        isolation: str,
        rate: int,
        slowest: float,
        overhead_seconds: float = 0.0,
    ) -> None:
        self._name, self._factory, self._arguments = name, factory, arguments
        self._isolation = "reuse" if isolation == "auto" else isolation
        self._rate, self._slowest, self._overhead_seconds = rate, slowest, overhead_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._closed = False
        self.restarts = 0

    def play(self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int) -> Audio:
        """Play each performance with its own patch: float32 (n, channels, samples)."""
        if self._isolation == "process":
            rows = []
            for performance, patch in zip(performances, values, strict=True):
                self._end()
                rows.append(self._play("reuse", [performance], [patch], samples)[0])
            return np.stack(rows)
        return self._play(self._isolation, performances, values, samples)

    def process(self, audio: Audio, values: Mapping[str, float]) -> Audio:
        """Send one sound through a hosted effect: float32 (channels, samples)."""
        return self._play("reuse", [audio], [values], audio.shape[1])[0]

    def close(self) -> None:
        """End the host and everything it started. A thread that is playing gets `SynthError`; no new host is
        started.
        """
        with self._lock:
            self._closed = True
        self._end()

    @property
    def process_id(self) -> int | None:
        """The host's process, while there is one."""
        return self._process.pid if self._process else None

    def _play(
        self,
        mode: str,
        performances: Sequence[Performance | Audio],
        values: Sequence[Mapping[str, float]],
        samples: int,
    ) -> Audio:
        causes: list[str] = []
        rows = [dict(patch) for patch in values]
        allowed = (
            10.0
            + self._slowest * len(rows) * (samples / self._rate + self._overhead_seconds)
            + (OPEN_SECONDS if mode == "fresh" else 0)
        )
        while len(causes) < TRIES:
            try:
                self._ensure_host()
                self._requests.send((mode, list(performances), rows, samples))
                sounds = self._answer("played", allowed)
                assert isinstance(sounds, np.ndarray)
                return sounds
            except (_TroubleError, OSError) as error:
                causes.append(str(error))
                self.restarts += 1
                self._end()
            except BaseException:
                self._end()
                raise
        raise SynthError(self._name, causes)

    def _ensure_host(self) -> None:
        if self._process is None:
            self._start()
            self._answer("ready", OPEN_SECONDS)

    def _start(self) -> None:
        with self._lock:  # `close` comes before, and nothing starts, or after, and ends what was started
            if self._closed:
                raise SynthError(self._name, ["it was closed"])
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
            process = subprocess.Popen(
                [sys.executable, "-m", "timbre_data.pipeline.synths.hosting.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            self._requests = Connection(os.dup(process.stdin.fileno()), readable=False)
            self._answers = Connection(os.dup(process.stdout.fileno()), writable=False)
            self._process = process
        self._requests.send((*self._factory, self._arguments))

    def _answer(self, expected: str, seconds: float) -> Any:
        self._wait(seconds)
        try:
            kind, content = self._answers.recv()
        except EOFError:
            raise _TroubleError(f"its process ended{self._last_words()}") from None
        if kind == "refused":
            assert isinstance(content, TimbreDataError)
            raise content
        if kind == "failed":
            raise _TroubleError(str(content))
        assert kind == expected
        return content

    def _wait(self, seconds: float) -> None:
        """Wait for an answer. Raises `_TroubleError` when time is up, or when the host, or a program that it started,
        was stopped by a signal.
        """
        deadline = time.monotonic() + seconds
        since = None
        while not self._answers.poll(min(LOOK_SECONDS, max(deadline - time.monotonic(), 0))):
            now = time.monotonic()
            name = stopped_program(self._process.pid) if self._process else None
            since = (since or now) if name else None
            if name and since is not None and now - since > STOPPED_SECONDS:
                raise _TroubleError(f"{name} was stopped by a signal")
            if now >= deadline:
                raise _TroubleError(f"it hung: no answer within {seconds:.0f} s")

    def _last_words(self) -> str:
        try:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
        except ValueError:  # closed meanwhile by another thread
            return ""
        return f" ({lines[-1][:200]})" if lines else ""

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        self._requests.close()
        with suppress(OSError):
            process.stdin.close()  # the host takes its synth down and leaves
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        self._answers.close()
        process.stdout.close()
        self._log.close()
