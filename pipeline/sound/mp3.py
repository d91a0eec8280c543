"""MP3 files, decoded from memory.

libsndfile takes an MP3 in frames of a hundred bytes, two system calls each, which is a sixth of the time that decoding
takes. Here it takes them from a file that was read at once, through compiled callbacks that need no interpreter; the
samples are the same.

`pedalboard.io.AudioFile`, which has a public interface, is no replacement: it gives half a file, or one that was
overwritten in the middle, at its full length and reports nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numba import cfunc, types
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from timbre_data.pipeline.sound.mp3_frames import overwritten
from timbre_data.schemas.errors import UnusableSoundError

_FROM_SET, _FROM_HERE = 0, 1
_HEAD = 16
"""Bytes before those of the file: how many there are and which is the next, as 64-bit integers."""


@cfunc(types.int64(types.voidptr), cache=True)
def _length(memory: Any) -> int:
    return carray(memory, 2, np.int64)[0]


@cfunc(types.int64(types.voidptr), cache=True)
def _tell(memory: Any) -> int:
    return carray(memory, 2, np.int64)[1]


@cfunc(types.int64(types.int64, types.int32, types.voidptr), cache=True)
def _seek(offset: int, whence: int, memory: Any) -> int:
    head = carray(memory, 2, np.int64)
    head[1] = offset + (0 if whence == _FROM_SET else head[1] if whence == _FROM_HERE else head[0])
    return head[1]


@cfunc(types.int64(types.voidptr, types.int64, types.voidptr), cache=True)
def _read(target: Any, count: int, memory: Any) -> int:
    head = carray(memory, 2, np.int64)
    count = max(0, min(count, head[0] - head[1]))
    start = _HEAD + head[1]
    carray(target, count, np.uint8)[:] = carray(memory, start + count, np.uint8)[start:]
    head[1] += count
    return count


def _callbacks() -> Any:
    """Callbacks that libsndfile uses instead of the operating system's files."""
    ffi = soundfile._ffi
    callbacks = ffi.new("SF_VIRTUAL_IO*")
    callbacks.get_filelen = ffi.cast("sf_vio_get_filelen", _length.address)
    callbacks.seek = ffi.cast("sf_vio_seek", _seek.address)
    callbacks.read = ffi.cast("sf_vio_read", _read.address)
    callbacks.tell = ffi.cast("sf_vio_tell", _tell.address)
    return callbacks


_CALLBACKS = _callbacks() if hasattr(soundfile, "_ffi") and hasattr(soundfile, "_snd") else None
"""None where a release of soundfile keeps libsndfile elsewhere."""


def read_mp3(path: Path) -> tuple[NDArray[np.float32], int] | None:
    """All samples of an MP3 [shape=(samples, channels)] and its rate. None where it takes soundfile itself to tell what
    is wrong. Raises `UnusableSoundError` for one that was overwritten in the middle.
    """
    if _CALLBACKS is None:
        return None
    ffi, library = soundfile._ffi, soundfile._snd
    memory = np.empty(_HEAD + path.stat().st_size, np.uint8)
    with path.open("rb") as file:
        length = file.readinto(memory[_HEAD:].data)
    memory[:_HEAD].view(np.int64)[:] = length, 0
    if damage := overwritten(memory[_HEAD : _HEAD + length]):
        raise UnusableSoundError(damage)
    about = ffi.new("SF_INFO*")
    opened = library.sf_open_virtual(_CALLBACKS, library.SFM_READ, about, ffi.cast("void*", memory.ctypes.data))
    if opened == ffi.NULL:
        return None
    try:
        sound = np.empty((about.frames, about.channels), np.float32)
        frames = library.sf_readf_float(opened, ffi.cast("float*", sound.ctypes.data), about.frames)
        broken = library.sf_error(opened) != 0
    finally:
        library.sf_close(opened)
    return None if broken else (sound[:frames], int(about.samplerate))
