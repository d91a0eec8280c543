"""The uniform numbers of many rows at once: those of `seeding.generator`, to the bit, at a tenth of the cost.

A generator of NumPy's is made for one key; here its seeding (`SeedSequence`: O'Neill 2015, seed_seq_fe) and its steps
(PCG64: O'Neill 2014, XSL-RR 128/64) run over all rows in arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.seeding import generator

Words = NDArray[np.uint64]
POOL = 4
"""Words of 32 bits in the pool of a `SeedSequence`."""
FIRST_CONSTANT, FIRST_FACTOR = 0x43B0D7E5, 0x931E8875
SECOND_CONSTANT, SECOND_FACTOR = 0x8B51F9DD, 0x58F38DED
LEFT_FACTOR, RIGHT_FACTOR = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
STEP_HIGH, STEP_LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
"""The multiplier of PCG64's step."""
LOW_HALF, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def uniform_numbers(
    seed: int, salt: int, rows: NDArray[np.int64], key: tuple[int, ...], count: int
) -> NDArray[np.float64]:
    """`generator(seed, salt, row, *key).random(count)` of each row [shape=(n, count)]."""
    if len(rows) and rows.max() >= 2**32:
        return np.stack([generator(seed, salt, row, *key).random(count) for row in rows.tolist()])
    before = _words_of(seed)
    before += [0] * (POOL - len(before))
    entropy = [*_repeated([*before, *_words_of(salt)], len(rows)), rows.astype(np.uint32)]
    entropy += _repeated([word for number in key for word in _words_of(number)], len(rows))
    with np.errstate(over="ignore"):
        return _numbers(_state(entropy), count)


def _words_of(number: int) -> list[int]:
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


def _repeated(words: list[int], count: int) -> list[NDArray[np.uint32]]:
    return [np.full(count, word, np.uint32) for word in words]


class _Hash:
    """A hash of words whose constant moves on with each."""

    def __init__(self, constant: int, factor: int) -> None:
        self._constant, self._factor = constant, factor

    def __call__(self, word: NDArray[np.uint32]) -> NDArray[np.uint32]:
        word = word ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor & 0xFFFFFFFF
        return _folded(word * np.uint32(self._constant))


def _folded(word: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return word ^ (word >> np.uint32(16))


def _state(entropy: list[NDArray[np.uint32]]) -> list[Words]:
    """Four words of 64 bits of each row's `SeedSequence`."""
    hashed = _Hash(FIRST_CONSTANT, FIRST_FACTOR)
    pool = [hashed(word) for word in entropy[:POOL]]

    def mix(place: int, word: NDArray[np.uint32]) -> None:
        pool[place] = _folded(LEFT_FACTOR * pool[place] - RIGHT_FACTOR * hashed(word))

    for source in range(POOL):
        for place in range(POOL):
            if source != place:
                mix(place, pool[source])
    for word in entropy[POOL:]:
        for place in range(POOL):
            mix(place, word)
    hashed = _Hash(SECOND_CONSTANT, SECOND_FACTOR)
    halves = [hashed(pool[k % POOL]).astype(np.uint64) for k in range(2 * POOL)]
    return [low | (high << HALF) for low, high in zip(halves[::2], halves[1::2], strict=True)]


def _numbers(state: list[Words], count: int) -> NDArray[np.float64]:
    start_high, start_low, stream_high, stream_low = state
    one = np.uint64(1)
    step_high, step_low = (stream_high << one) | (stream_low >> np.uint64(63)), (stream_low << one) | one
    high, low = _sum(step_high, step_low, start_high, start_low)
    out = np.empty((len(high), count))
    for k in range(-1, count):
        high, low = _sum(*_multiplied(high, low), step_high, step_low)
        if k >= 0:
            turn = high >> np.uint64(58)
            word = high ^ low
            rotated = np.bitwise_or(word >> turn, word << ((np.uint64(64) - turn) & np.uint64(63)))
            out[:, k] = (rotated >> np.uint64(11)) * 2.0**-53
    return out


def _sum(high: Words, low: Words, other_high: Words, other_low: Words) -> tuple[Words, Words]:
    total = low + other_low
    return high + other_high + (total < low).astype(np.uint64), total


def _multiplied(high: Words, low: Words) -> tuple[Words, Words]:
    """Numbers of 128 bits times PCG64's multiplier."""
    a, b = STEP_LOW & LOW_HALF, STEP_LOW >> HALF
    c, d = low & LOW_HALF, low >> HALF
    cross, other = a * d, b * c
    carried = (a * c >> HALF) + (cross & LOW_HALF) + (other & LOW_HALF)
    over = b * d + (cross >> HALF) + (other >> HALF) + (carried >> HALF)
    return over + high * STEP_LOW + low * STEP_HIGH, low * STEP_LOW
