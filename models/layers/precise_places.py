"""The places that the equaliser's pooling keeps, the same in every library that computes them."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from timbre_data.models.layers.sparse_filters import (
    analyse_kernel,
    each_part,
    kernels_fit,
    padding,
    smooth_pool_kernel,
)

Weights = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Filters and their bias, what smooths each channel and its bias."""
GRID = 2.0**36
"""Parts of 1 that are told apart where places are to be the same in every library."""


def precise_pool(frames: torch.Tensor, weights: Weights, pool: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`smooth_pool` of `analyse`, the same places in every library that computes it; without gradients.

    Which of two neighbours is the largest often turns on the last bit of a convolution in single precision, and another
    place is another sound. So the sums are made in double precision, and values that agree to `GRID` count as equal:
    the first of them is taken.
    """
    filters, _, smoothing, _ = weights
    if kernels_fit(frames, filters) and kernels_fit(frames, smoothing):
        w, b, sw, sb = (one.detach().double().numpy() for one in weights)
        padded = F.pad(frames.double(), padding(filters.shape[1])).numpy()
        out = np.empty((len(frames), len(w), frames.shape[1] // pool), np.float64)
        positions = np.empty(out.shape, np.int64)
        before, _ = padding(smoothing.shape[1])

        def work(part: slice) -> None:
            values = np.empty((len(padded[part]), len(w), frames.shape[1]), np.float64)
            analyse_kernel(padded[part], w, b, values)
            smooth_pool_kernel(values, sw, sb, before, out[part], positions[part], GRID)

        each_part(len(frames), work)
        return torch.from_numpy(out).float(), torch.from_numpy(positions)
    return precise_pool_plainly(frames, weights, pool)


def precise_pool_plainly(frames: torch.Tensor, weights: Weights, pool: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`precise_pool` by matrix products, which runtimes have in double precision, as they do not have convolutions."""
    filters, bias, smoothing, smoothing_bias = weights
    count, length, channels = frames.shape[0], frames.shape[1], filters.shape[0]
    windows = F.pad(frames.double(), padding(filters.shape[1])).unfold(1, filters.shape[1], 1)
    values = (windows @ filters.double().T + bias.double()).abs().permute(2, 0, 1)  # c, n, t
    before, _ = padding(smoothing.shape[1])
    blocks = F.pad(values, (before, 2 * BLOCK - before)).reshape(channels, count, length // BLOCK + 2, BLOCK)
    bands = _bands(smoothing.double())
    smooth = smoothing_bias.double()[:, None, None] + sum(
        blocks[:, :, k : k + length // BLOCK].reshape(channels, -1, BLOCK) @ bands[:, k] for k in range(3)
    )
    rounded = (smooth * GRID).round() / GRID
    pools = rounded.reshape(channels, count, length // pool, pool).permute(1, 0, 2, 3)
    largest, places = pools.max(dim=3)
    return largest.float(), places + pool * torch.arange(length // pool, device=frames.device)


BLOCK = 64
"""Values that a matrix product smooths at once: as long as half a smoothing filter."""


def _bands(smoothing: torch.Tensor) -> torch.Tensor:
    """Filters of two blocks' length [shape=(c, 2 * BLOCK)] as what three blocks of input add to one of output
    [shape=(c, 3, BLOCK, BLOCK)].
    """
    padded = F.pad(smoothing, (BLOCK, BLOCK))
    place = torch.arange(3 * BLOCK)[:, None] - torch.arange(BLOCK) + BLOCK  # input minus output, into the padded filter
    return padded[:, place].reshape(len(smoothing), 3, BLOCK, BLOCK)
