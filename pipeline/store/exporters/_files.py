"""Files of exports that are hashed, and reach the disk, while more of them is made."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

Piece = bytes | memoryview
"""What is written, one after the other, without being joined first."""
FLUSH_BYTES = 32_000_000
"""After so much, what was written is sent to the disk in the background."""
MOST_PIECES = 512
"""Pieces of one call of the system; Linux takes 1,024."""
_write_out = getattr(os, "fdatasync", os.fsync)  # which macOS and Windows have not


def write_pieces(descriptor: int, pieces: Sequence[Piece]) -> int:
    """Write all of some pieces to a file. Returns how many bytes they have."""
    total = 0
    for first in range(0, len(pieces), MOST_PIECES):
        some = pieces[first : first + MOST_PIECES]
        size = sum(map(len, some))
        written = os.writev(descriptor, some) if hasattr(os, "writev") else 0
        while written < size:  # a signal, or a disk that is nearly full, which the next call says
            written += os.write(descriptor, b"".join(some)[written:])
        total += size
    return total


class HashedFile(io.RawIOBase):
    """A new file, written from its beginning to its end. Its SHA-256 is computed in a thread of its own, which also has
    the system write it out: the disk works while the next rows are made.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._digest = hashlib.sha256()
        self._background = ThreadPoolExecutor(2)
        self._hashing: Future[None] | None = None
        self._flushing: Future[None] | None = None
        self._flushed = self.size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Append bytes, which must not change any more. Returns how many they are."""
        return self.append([content if isinstance(content, bytes) else memoryview(bytes(content))])

    def append(self, pieces: Sequence[Piece]) -> int:
        """Append pieces, which must not change any more. Returns how many bytes they are."""
        if self._hashing is not None:
            self._hashing.result()
        count = write_pieces(self._descriptor, pieces)
        self.size += count
        self._hashing = self._background.submit(self._hash, pieces)
        if self.size - self._flushed >= FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            self._flushed = self.size
            self._flushing = self._background.submit(_write_out, self._descriptor)
        return count

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def _hash(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._digest.update(piece)

    def close(self) -> None:
        """Close the file as it is."""
        if not self.closed:
            try:
                self._background.shutdown()
            finally:
                os.close(self._descriptor)
                super().close()

    def digest(self) -> str:
        """Close the file. Returns its SHA-256 in hexadecimal digits. Raises `OSError` where writing it out failed."""
        self.close()
        for done in (self._hashing, self._flushing):
            if done is not None:
                done.result()
        return self._digest.hexdigest()
