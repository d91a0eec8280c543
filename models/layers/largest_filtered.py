"""Filters over a spectrogram of which only the largest output of each pool goes on, in training on a CPU.

A gradient reaches a pool's largest output alone, so that of the weights is a sum over a few places, where PyTorch
correlates whole planes of zeros; and the batch norm between filter and pool needs the mean and variance of all outputs,
which follow from the moments of the input's patches. Neither needs gradients of all outputs.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from numba import njit
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from timbre_data.models.layers.sparse_filters import each_part


@njit(cache=True, nogil=True)
def _gather(
    sums: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    x: NDArray[Any],
    pooled: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    scale: NDArray[Any],
    gradients: NDArray[Any],
    frames: int,
    part: tuple[int, int],
) -> None:  # pragma: no cover  # compiled
    """Add up the gradients of filters [shape=(filters, width, height)], scales and shifts [shape=(filters,) both], of
    a part of the filters: from one to before another.

    `x` [shape=(n, frames, bins)]; `pooled` are the largest outputs, where they are in what was pooled over frequency,
    and where that is among all outputs, `frames` wide [shape=(n, filters, places in frequency, places in time) each].
    """
    of_filters, of_scale, of_shift = sums
    largest, columns, rows = pooled
    _, width, height = of_filters.shape
    for n in range(len(x)):
        for high in range(gradients.shape[2]):
            for wide in range(gradients.shape[3]):
                for f in range(part[0], part[1]):
                    gradient = gradients[n, f, high, wide]
                    of_scale[f] += gradient * largest[n, f, high, wide]
                    of_shift[f] += gradient
                    band, frame = divmod(columns[n, f, high, wide], frames)
                    if rows.shape[0] > 0:
                        band, frame = divmod(rows[n, f, band, frame], frames)
                    share = gradient * scale[f]
                    for w in range(width):
                        for h in range(height):
                            of_filters[f, w, h] += share * x[n, frame + w, band + h]


class _Largest(torch.autograd.Function):
    """The largest output of each pool, scaled and shifted; `x` gets no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        scale: torch.Tensor,
        shift: torch.Tensor,
        y: torch.Tensor,
        pool: tuple[int, int],
    ) -> torch.Tensor:
        # one axis after the other, PyTorch pools several times faster
        tall, rows = y, torch.empty(0, 0, 0, 0, dtype=torch.int64)
        if pool[0] > 1:
            tall, rows = F.max_pool2d(y, (pool[0], 1), return_indices=True)
        largest, columns = F.max_pool2d(tall, (1, pool[1]), return_indices=True)
        ctx.save_for_backward(x, scale, largest, columns, rows)
        ctx.frames, ctx.shape = y.shape[3], weight.shape
        return torch.addcmul(shift[:, None, None], largest, scale[:, None, None])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        x, scale, largest, columns, rows = ctx.saved_tensors
        filters, _, height, width = ctx.shape
        of_filters = x.new_zeros(filters, width, height)
        of_scale, of_shift = x.new_zeros(2, filters, dtype=torch.float64)
        given = (
            (of_filters.numpy(), of_scale.numpy(), of_shift.numpy()),
            x[:, 0].transpose(1, 2).contiguous().numpy(),
            (largest.numpy(), columns.numpy(), rows.numpy()),
            scale.detach().numpy(),
            gradients[0].numpy(),
            ctx.frames,
        )
        # each filter's sum has one order, however many threads there are
        each_part(filters, lambda part: _gather(*given, (part.start, part.stop)))
        of_weight = of_filters.transpose(1, 2)[:, None]
        return None, of_weight, of_scale.to(x.dtype), of_shift.to(x.dtype), None, None


def largest_filtered(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    norm: nn.Module,
    pool: tuple[int, int],
) -> torch.Tensor:
    """What `max_pool2d(norm(conv2d(x, weight, bias)), pool)` gives, to rounding, with gradients for the weights and for
    the norm, whose running statistics go on.

    `x` [shape=(n, 1, bins, frames)] is padded already; `y` [shape=(n, filters, bins, frames)] is `x` filtered without
    bias, each filter times the `signs` of the norm.
    """
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    if not isinstance(norm, nn.BatchNorm2d):
        return cast(torch.Tensor, _Largest.apply(x, weight, torch.ones_like(bias), bias, y, pool))
    signs = signs_of(norm)
    mean, variance = _statistics(x, weight)
    _follow(norm, mean + bias, variance, len(x) * y.shape[2] * y.shape[3])
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    assert norm.bias is not None
    # the bias of the filters is in their mean, too, and cancels: its gradient is zero
    shift = norm.bias - mean * scale + 0 * bias
    return cast(torch.Tensor, _Largest.apply(x, weight * signs[:, None, None, None], signs * scale, shift, y, pool))


def signs_of(norm: nn.Module) -> torch.Tensor:
    """Of each filter -1 if the norm turns its outputs round, so that their smallest comes to be the largest, else 1."""
    if not isinstance(norm, nn.BatchNorm2d):
        return torch.ones(())
    return torch.where(norm.weight.detach() < 0, -1.0, 1.0)


def _statistics(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each filter's outputs [shape=(filters,) both] without the outputs: over patches of mean m
    and covariance C, a filter w has the mean w m and the variance w C w.
    """
    filters, _, height, width = weight.shape
    n, _, bins, frames = x.shape
    high, wide = bins - height + 1, frames - width + 1
    columns = x[:, 0].transpose(0, 1)  # bins first: one product sums over sounds and frames
    parts = [columns[:, :, k : k + wide].reshape(bins, -1) for k in range(width)]
    products = x.new_empty(width, height, width, height, dtype=torch.float64)
    for first in range(width):
        for second in range(first, width):
            product = parts[first] @ parts[second].T
            # summed over all places in frequency, for every two bins of a patch
            moments = product.as_strided((high, height, height), (bins + 1, bins, 1)).sum(0, dtype=torch.float64)
            products[first, :, second] = moments
            products[second, :, first] = moments.T
    count = n * high * wide
    sums = torch.stack([part.sum(1, dtype=torch.float64) for part in parts])
    mean = sums.unfold(1, high, 1).sum(2).flatten() / count
    covariance = products.view(len(mean), len(mean)) / count - torch.outer(mean, mean)
    flat = weight[:, 0].transpose(1, 2).reshape(filters, -1).double()
    variance = ((flat @ covariance) * flat).sum(1)
    return (flat @ mean).to(x.dtype), variance.clamp(min=0).to(x.dtype)


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
    """Move the running statistics of a batch norm as it does itself."""
    assert norm.momentum is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
