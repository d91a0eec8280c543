"""Commands in processes that are forked from one that has imported everything: they start in a tenth of the time, and
there are hundreds of them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PRELOADED = (
    "timbre_data.cli",
    "timbre_data.pipeline.build.rendering",
    "timbre_data.pipeline.build.featurizing",
    "timbre_data.pipeline.build.importing",
    "timbre_data.pipeline.store.exporting",
    "timbre_data.models.training.train",
    "timbre_data.models.studies.evaluate",
    "distributed",
    "matplotlib.pyplot",
    "pyarrow.parquet",
)
_context = multiprocessing.get_context("forkserver")


class Command:
    """A command of the command line in a process of its own, with the interface of `subprocess.Popen`."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._out, self._err = (folder.with_name(f"{folder.name}.{name}") for name in ("stdout", "stderr"))
        for path in (self._out, self._err):
            path.write_bytes(b"")
        self._process = _context.Process(target=_run, args=(words, str(folder), environment, self._out, self._err))
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int:
        """Exit code, negative for a signal. It has ended."""
        assert self._process.exitcode is not None
        return self._process.exitcode

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for its end. Returns what it printed on stdout and stderr."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired("timbre-data", timeout)
        return self._out.read_text(errors="replace"), self._err.read_text(errors="replace")


def preload(disk: Path) -> None:
    """Have the disk that fails in every process that is forked from now on; call once, before the first command."""
    os.environ |= {"LD_PRELOAD": str(disk), "OPENBLAS_NUM_THREADS": "1"}  # whose threads would not survive the fork
    try:
        _context.set_forkserver_preload(list(PRELOADED))
        warm = _context.Process(target=int)
        warm.start()
        warm.join()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["OPENBLAS_NUM_THREADS"]


def _run(words: list[str], folder: str, environment: dict[str, str], out: Path, err: Path) -> Any:
    """In the new process: become the command."""
    os.chdir(folder)
    disk = os.environ["LD_PRELOAD"]
    os.environ.clear()
    os.environ |= environment
    tempfile.tempdir = None
    for path, number in ((Path(os.devnull), 0), (out, 1), (err, 2)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    ctypes.CDLL(disk).begin_faults()
    sys.argv = ["timbre-data", *words]
    from timbre_data.cli import main

    main()
