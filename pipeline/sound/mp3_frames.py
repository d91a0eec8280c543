"""Whether the frames of an MP3 follow one another: decoders pass over what was overwritten and say nothing."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_BITRATES = np.array(
    [
        [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],  # version 1, layer I
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],  # version 1, layer II
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],  # version 1, layer III
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],  # version 2, layer I
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],  # version 2, layers II and III
    ],
    np.int64,
)
"""kbit/s by the number in a header (ISO 11172-3 and 13818-3); 0 is a rate that the header does not tell."""
_RATES = np.array([44_100, 48_000, 32_000], np.int64)
_LOST, _FREE = -1, -2
LONGEST = 8192
"""A gap in which no frame begins for so many bytes is the end of the frames."""


@njit(cache=True, nogil=True)
def _frame_length(content: Bytes, at: int) -> int:
    """Bytes of the frame that begins at a place; _LOST where none does, _FREE where its header does not tell."""
    if at + 4 > len(content) or content[at] != 0xFF or (content[at + 1] & 0xE0) != 0xE0:
        return _LOST
    version, layer = (
        (content[at + 1] >> 3) & 3,
        (content[at + 1] >> 1) & 3,
    )  # 3 is version 1; 3, 2, 1 are layers I, II, III
    rate_index, bitrate_index = (content[at + 2] >> 2) & 3, content[at + 2] >> 4
    if version == 1 or layer == 0 or rate_index == 3 or bitrate_index == 15:
        return _LOST
    row = 3 - layer if version == 3 else 3 if layer == 3 else 4
    bitrate = _BITRATES[row, bitrate_index] * 1000
    rate = _RATES[rate_index] // (1 if version == 3 else 2 if version == 2 else 4)
    padding = (content[at + 2] >> 1) & 1
    if bitrate == 0:
        return _FREE
    if layer == 3:
        return (12 * bitrate // rate + padding) * 4
    return (72 if layer == 1 and version != 3 else 144) * bitrate // rate + padding


@njit(cache=True, nogil=True)
def _alike(content: Bytes, one: int, other: int) -> bool:
    """Whether two headers have version, layer and sampling rate in common."""
    return bool(
        (content[one + 1] & 0xFE) == (content[other + 1] & 0xFE)
        and (content[one + 2] & 0x0C) == (content[other + 2] & 0x0C)
    )


@njit(cache=True, nogil=True)
def _next_frame(content: Bytes, at: int, like: int) -> int:
    """Where the next frame begins that another follows; the end of the content where there is none. `like` is the place
    of a frame to be like, or negative.
    """
    stop = min(len(content), at + LONGEST) if like >= 0 else len(content)
    while at + 4 <= stop:
        length = _frame_length(content, at)
        if length > 0 and (like < 0 or _alike(content, like, at)):
            after = at + length
            if after + 4 <= len(content) and _frame_length(content, after) > 0 and _alike(content, at, after):
                return at
        at += 1
    return len(content)


@njit(cache=True, nogil=True)
def _tag_length(content: Bytes, at: int) -> int:
    """Bytes of the ID3v2 tag that begins at a place, 0 where none does."""
    if at + 10 > len(content) or content[at] != 0x49 or content[at + 1] != 0x44 or content[at + 2] != 0x33:
        return 0
    size = 0
    for byte in content[at + 6 : at + 10]:
        size = size * 128 + (byte & 0x7F)
    return size + 10


@njit(cache=True, nogil=True)
def _gap(content: Bytes) -> tuple[int, int]:
    """The first place inside the frames where none begins, and where they go on; both 0 where one follows another."""
    at = _tag_length(content, 0)
    at = _next_frame(content, at, -1)
    last = at
    while at + 4 <= len(content):
        length = _frame_length(content, at)
        if length == _FREE:
            return 0, 0
        if length > 0 and _alike(content, last, at):
            last, at = at, at + length
            continue
        tag = _tag_length(content, at)
        if tag:
            at += tag
            continue
        on = _next_frame(content, at, last)
        return (0, 0) if on >= len(content) else (at, on)
    return 0, 0


def overwritten(content: Bytes) -> str:
    """Describe the first place where the frames of an MP3 [shape=(bytes,)] are interrupted; empty where they follow one
    another to the end. Tags and whatever stands behind the last frame are no interruption.
    """
    start, stop = _gap(content)
    return f"damaged: bytes {start:,} to {stop:,} are no MPEG audio" if stop else ""
