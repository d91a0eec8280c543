"""Reading a dataset from a forked process: a process of its own, started anew, reads and hands over the arrays.

Started as `python -m timbre_data.pipeline.store.remote_reading ADDRESS SNAPSHOT`; it ends with the one that asks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.schemas.errors import CorruptDataError

MODULE = "timbre_data.pipeline.store.remote_reading"


class RemoteReader:
    """Asks a reading process, which it starts."""

    def __init__(self, address: str, snapshot: str) -> None:
        asked, ask = os.pipe()
        answer, answered = os.pipe()
        words = [sys.executable, "-m", MODULE, address, snapshot, str(asked), str(answered)]
        self._process = subprocess.Popen(words, pass_fds=(asked, answered), stdin=subprocess.DEVNULL)
        os.close(asked)
        os.close(answered)
        self._ask, self._answer = Connection(ask, readable=False), Connection(answer, writable=False)
        self._address = address

    def read(self, path: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of one array, as `Dataset.read` gives them. Raises `CorruptDataError`."""
        try:
            self._ask.send((path, rows))
            kind, about = self._answer.recv()
            if kind == "error":
                raise CorruptDataError(about)
            if kind == "texts":
                return np.array(about, object)
            dtype, shape = about
            values = np.empty(shape, dtype)
            if values.nbytes:
                self._answer.recv_bytes_into(values.view(np.uint8).reshape(-1).data)
        except (EOFError, BrokenPipeError):
            raise CorruptDataError(f"{self._address}: the process that reads it for a forked one has ended.") from None
        return values


def serve(address: str, snapshot: str, asked: int, answered: int) -> None:
    """Answer until nobody asks any more."""
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.schemas.errors import TimbreDataError

    questions, answers = Connection(asked, writable=False), Connection(answered, readable=False)
    data: Dataset | None = None
    while True:
        try:
            path, rows = questions.recv()
        except EOFError:
            return
        try:
            data = data or Dataset(address, snapshot)
            values = data.read(path, rows)
        except TimbreDataError as error:
            answers.send(("error", str(error)))
            continue
        if values.dtype.kind in "OTU":
            answers.send(("texts", values.tolist()))
            continue
        answers.send(("numbers", (values.dtype.str, values.shape)))
        if values.nbytes:
            answers.send_bytes(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data)


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks, which then ends this one
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
