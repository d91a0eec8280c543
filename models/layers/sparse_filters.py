"""The filters of the end-to-end equaliser on a CPU: convolution with many filters at once, channel by channel, and only
where something is kept.

The front end keeps one of every sixteen values of each channel (max-pooling), so nearly all of what a framework's
convolutions compute backwards, and of the synthesis forwards, is zeros. These kernels skip it; elsewhere than on a CPU
the same is done by the framework's own convolutions, which is also what the tests compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch.nn import functional as F

Floats = NDArray[Any]
"""Single precision; double where places are to be precise."""


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _add_taps(x: Floats, w: Floats, out: Floats) -> None:
    """Eight taps of a filter at once: the sum stays in registers."""
    a0, a1, a2, a3, a4, a5, a6, a7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    for t in range(len(out)):
        out[t] += (a0 * x[t] + a1 * x[t + 1] + a2 * x[t + 2] + a3 * x[t + 3]
                   + a4 * x[t + 4] + a5 * x[t + 5] + a6 * x[t + 6] + a7 * x[t + 7])  # fmt: skip


@njit(cache=True, nogil=True, fastmath=True)
def analyse_kernel(padded: Floats, filters: Floats, bias: Floats, out: Floats) -> None:
    """All filters on each frame: out (n, c, t) of padded (n, t + k - 1)."""
    channels, length = filters.shape
    for n in range(out.shape[0]):
        for c in range(channels):
            o = out[n, c]
            for t in range(len(o)):
                o[t] = bias[c]
            for k in range(0, length, 8):
                _add_taps(padded[n, k:], filters[c, k : k + 8], o)


@njit(cache=True, nogil=True, fastmath=True)
def _analyse_back(padded: Floats, gradient: Floats, out: Floats) -> None:
    """Gradient of the filters of `analyse_kernel`, added to out (c, k)."""
    for n in range(gradient.shape[0]):
        for c in range(gradient.shape[1]):
            g = gradient[n, c]
            for k in range(0, out.shape[1], 4):
                x = padded[n, k:]
                s0 = s1 = s2 = s3 = np.float32(0)
                for t in range(len(g)):
                    v = g[t]
                    s0 += x[t] * v
                    s1 += x[t + 1] * v
                    s2 += x[t + 2] * v
                    s3 += x[t + 3] * v
                out[c, k] += s0
                out[c, k + 1] += s1
                out[c, k + 2] += s2
                out[c, k + 3] += s3


@njit(cache=True, nogil=True, fastmath=True)
def smooth_pool_kernel(
    values: Floats, filters: Floats, bias: Floats, before: int, out: Floats, positions: NDArray[np.int64], grid: float
) -> None:
    """Each channel's absolute values (n, c, t) through its own filter, then the largest of every t // p values, rounded
    to `grid` parts of 1 unless that is 0, and where it is; a row at a time stays in the cache.
    """
    length, taps, count = values.shape[2], filters.shape[1], out.shape[2]
    pool = length // count
    padded = np.zeros(length + taps - 1, values.dtype)
    smooth = np.empty(length, values.dtype)
    for n in range(values.shape[0]):
        for c in range(values.shape[1]):
            for t in range(length):
                padded[before + t] = abs(values[n, c, t])
            for t in range(length):
                smooth[t] = bias[c]
            for k in range(0, taps, 8):
                _add_taps(padded[k:], filters[c, k : k + 8], smooth)
            if grid > 0:
                for t in range(length):
                    smooth[t] = np.rint(smooth[t] * grid) / grid
            for p in range(count):
                best = p * pool
                for t in range(p * pool + 1, (p + 1) * pool):
                    if smooth[t] > smooth[best]:
                        best = t
                out[n, c, p], positions[n, c, p] = smooth[best], best


@njit(cache=True, nogil=True, fastmath=True)
def _smooth_pool_back(
    values: Floats,
    filters: Floats,
    before: int,
    positions: NDArray[np.int64],
    gradient: Floats,
    inner: Floats,
    out: Floats,
) -> None:
    """Gradients of `smooth_pool_kernel`: of its values (`inner`) and, added, of its filters."""
    length, taps = values.shape[2], filters.shape[1]
    padded, wide = np.zeros(length + taps - 1, np.float32), np.empty(length + taps - 1, np.float32)
    for n in range(values.shape[0]):
        for c in range(values.shape[1]):
            for t in range(length):
                padded[before + t] = abs(values[n, c, t])
            wide[:] = 0
            w, o = filters[c], out[c]
            for p in range(positions.shape[2]):
                g, t = gradient[n, c, p], positions[n, c, p]
                x, i = padded[t:], wide[t:]
                for k in range(taps):
                    i[k] += g * w[k]
                    o[k] += g * x[k]
            for t in range(length):
                v = values[n, c, t]
                inner[n, c, t] = wide[before + t] if v > 0 else -wide[before + t] if v < 0 else np.float32(0)


@njit(cache=True, nogil=True, fastmath=True)
def _synthesise(values: Floats, positions: NDArray[np.int64], filters: Floats, out: Floats) -> None:
    """The adjoint of `analyse_kernel` on values at some places: out (n, t + k - 1), added."""
    for n in range(values.shape[0]):
        o = out[n]
        for c in range(values.shape[1]):
            w = filters[c]
            for p in range(values.shape[2]):
                v, ot = values[n, c, p], o[positions[n, c, p] :]
                for k in range(len(w)):
                    ot[k] += v * w[k]


@njit(cache=True, nogil=True, fastmath=True)
def _synthesise_back(
    values: Floats, positions: NDArray[np.int64], filters: Floats, gradient: Floats, inner: Floats, out: Floats
) -> None:
    """Gradients of `_synthesise`: of its values (`inner`) and, added, of its filters."""
    for n in range(values.shape[0]):
        g = gradient[n]
        for c in range(values.shape[1]):
            w, o = filters[c], out[c]
            for p in range(values.shape[2]):
                v, gt = values[n, c, p], g[positions[n, c, p] :]
                total = np.float32(0)
                for k in range(len(w)):
                    total += gt[k] * w[k]
                    o[k] += v * gt[k]
                inner[n, c, p] = total


def _parts(count: int) -> list[slice]:
    """A part of the frames for each thread."""
    edges = np.linspace(0, count, min(torch.get_num_threads(), count) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def each_part(count: int, work: Callable[[slice], Any]) -> list[Any]:
    """Do the parts at once, and give what each gives, in order."""
    parts = _parts(count)
    if len(parts) == 1:
        return [work(parts[0])]
    return list(_pool(torch.get_num_threads()).map(work, parts))


def padding(taps: int) -> tuple[int, int]:
    """Zeros before and after, so that the output is as long as the input (as PyTorch's "same")."""
    return (taps - 1) // 2, taps - 1 - (taps - 1) // 2


def _array(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().float().numpy())


class _Analyse(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, frames: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        padded = _array(F.pad(frames, padding(filters.shape[1])))
        out = np.empty((len(frames), len(filters), frames.shape[1]), np.float32)
        w, b = _array(filters), _array(bias)
        each_part(len(frames), lambda part: analyse_kernel(padded[part], w, b, out[part]))
        context.padded, context.shape = padded, filters.shape
        return torch.from_numpy(out)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        g = _array(gradient)

        def work(part: slice) -> Floats:
            out = np.zeros(context.shape, np.float32)
            _analyse_back(context.padded[part], g[part], out)
            return out

        total = sum(each_part(len(g), work))
        return None, torch.from_numpy(np.asarray(total)), gradient.sum(dim=(0, 2))


class _SmoothPool(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, values: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor, pool: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        v, w, b = _array(values), _array(filters), _array(bias)
        before, _ = padding(w.shape[1])
        out = np.empty((*v.shape[:2], v.shape[2] // pool), np.float32)
        positions = np.empty(out.shape, np.int64)
        each_part(len(v), lambda part: smooth_pool_kernel(v[part], w, b, before, out[part], positions[part], 0.0))
        context.kept = (v, w, before, positions)
        indices = torch.from_numpy(positions)
        context.mark_non_differentiable(indices)
        return torch.from_numpy(out), indices

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor, _: Any) -> Any:
        v, w, before, positions = context.kept
        g = _array(gradient)
        inner = np.empty_like(v)

        def work(part: slice) -> Floats:
            out = np.zeros(w.shape, np.float32)
            _smooth_pool_back(v[part], w, before, positions[part], g[part], inner[part], out)
            return out

        total = sum(each_part(len(v), work))
        return torch.from_numpy(inner), torch.from_numpy(np.asarray(total)), gradient.sum(dim=(0, 2)), None


class _Synthesise(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, values: torch.Tensor, positions: torch.Tensor, filters: torch.Tensor, length: int
    ) -> torch.Tensor:
        v, w, at = _array(values), _array(filters), positions.numpy()
        out = np.zeros((len(v), length + w.shape[1] - 1), np.float32)
        each_part(len(v), lambda part: _synthesise(v[part], at[part], w, out[part]))
        context.kept = (v, at, w)
        before, _ = padding(w.shape[1])
        return torch.from_numpy(out[:, before : before + length].copy())

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        v, at, w = context.kept
        g = _array(F.pad(gradient, padding(w.shape[1])))
        inner = np.empty_like(v)

        def work(part: slice) -> Floats:
            out = np.zeros(w.shape, np.float32)
            _synthesise_back(v[part], at[part], w, g[part], inner[part], out)
            return out

        total = sum(each_part(len(v), work))
        return torch.from_numpy(inner), None, torch.from_numpy(np.asarray(total)), None


_plain = ContextVar("plain", default=False)


@contextmanager
def plainly() -> Iterator[None]:
    """Within it PyTorch's own layers are used, as on a GPU: to compare with."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def kernels_fit(tensor: torch.Tensor, filters: torch.Tensor) -> bool:
    """Whether the kernels of this module take these: on a CPU, and not while a program is exported."""
    return (
        not _plain.get()
        and tensor.device.type == "cpu"
        and filters.shape[1] % 8 == 0
        and not torch.compiler.is_compiling()
    )


def analyse(frames: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """All filters [shape=(c, k)] on each frame [shape=(n, t)], as long as it: [shape=(n, c, t)]. Frames get no
    gradient.
    """
    if kernels_fit(frames, filters):
        return torch.as_tensor(_Analyse.apply(frames, filters, bias))
    return analyse_plainly(frames, filters, bias)


def analyse_plainly(frames: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`analyse` by PyTorch's own convolution."""
    return F.conv1d(F.pad(frames, padding(filters.shape[1]))[:, None], filters[:, None], bias)


def smooth_pool(
    values: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor, pool: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A filter for each channel [shape=(c, k)] on the absolute values of its own [shape=(n, c, t)], then the largest of
    every `pool`, and where it was [shape=(n, c, t // pool) both].
    """
    if kernels_fit(values, filters):
        largest, positions = _SmoothPool.apply(values, filters, bias, pool)
        return largest, positions
    return smooth_pool_plainly(values, filters, bias, pool)


def smooth_pool_plainly(
    values: torch.Tensor, filters: torch.Tensor, bias: torch.Tensor, pool: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`smooth_pool` by PyTorch's own layers."""
    smooth = F.conv1d(F.pad(values.abs(), padding(filters.shape[1])), filters[:, None], bias, groups=len(filters))
    largest, positions = F.max_pool1d(smooth, pool, return_indices=True)
    return largest, positions


def synthesise(values: torch.Tensor, positions: torch.Tensor, filters: torch.Tensor, length: int) -> torch.Tensor:
    """The adjoint of `analyse`, on values at places of `length` samples [shape=(n, c, p) both], zero elsewhere: frames
    [shape=(n, length)].
    """
    if kernels_fit(values, filters):
        return torch.as_tensor(_Synthesise.apply(values, positions, filters, length))
    return synthesise_plainly(values, positions, filters, length)


def synthesise_plainly(
    values: torch.Tensor, positions: torch.Tensor, filters: torch.Tensor, length: int
) -> torch.Tensor:
    """`synthesise` by PyTorch's own transposed convolution."""
    dense = torch.zeros(*values.shape[:2], length, device=values.device, dtype=values.dtype).scatter(
        2, positions, values
    )
    before, _ = padding(filters.shape[1])
    return F.conv_transpose1d(dense, filters[:, None])[:, 0, before : before + length]
