"""Dynamic time warping: two series of frames laid along each other."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def warped_cost(costs: NDArray[np.float64]) -> tuple[float, int]:
    """The least sum of costs [shape=(n, m)] on a path from the first pair of frames to the last, by steps of one frame
    in either series or in both, and the number of pairs on it (Sakoe & Chiba 1978, without a window).
    """
    n, m = costs.shape
    total = np.empty((n, m))
    length = np.empty((n, m), np.int64)
    for i in range(n):
        for j in range(m):
            if i == 0 and j == 0:
                total[i, j], length[i, j] = costs[i, j], 1
                continue
            best, steps = np.inf, 0
            if i > 0 and j > 0:
                best, steps = total[i - 1, j - 1], length[i - 1, j - 1]
            if i > 0 and total[i - 1, j] < best:
                best, steps = total[i - 1, j], length[i - 1, j]
            if j > 0 and total[i, j - 1] < best:
                best, steps = total[i, j - 1], length[i, j - 1]
            total[i, j], length[i, j] = best + costs[i, j], steps + 1
    return total[n - 1, m - 1], length[n - 1, m - 1]
