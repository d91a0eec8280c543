"""Uniform numbers of many rows at once are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from timbre_data.pipeline.catalogue.seeding import generator
from timbre_data.pipeline.catalogue.uniform_numbers import uniform_numbers


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**70 + 3, 2**200 + 1])
@pytest.mark.parametrize("salt", [0, 12_345_678, 2**32 - 1])
@pytest.mark.parametrize("key", [(0, 0), (0, 3), (1, 2**33)])
def test_they_are_those_of_a_generator_for_each_row(seed: int, salt: int, key: tuple[int, ...]) -> None:
    rows = np.array([0, 1, 2, 63, 64, 37_439, 10**6, 2**31 - 1, 2**31, 2**32 - 1])
    expected = np.stack([generator(seed, salt, row, *key).random(9) for row in rows.tolist()])
    assert np.array_equal(uniform_numbers(seed, salt, rows, key, 9), expected)


def test_rows_beyond_one_word_and_none_at_all() -> None:
    rows = np.array([5, 2**32, 2**40 + 7])
    expected = np.stack([generator(3, 9, row, 0, 0).random(4) for row in rows.tolist()])
    assert np.array_equal(uniform_numbers(3, 9, rows, (0, 0), 4), expected)
    assert uniform_numbers(3, 9, rows[:0], (0, 0), 4).shape == (0, 4)
    assert uniform_numbers(3, 9, rows[:1], (0, 0), 0).shape == (1, 0)
