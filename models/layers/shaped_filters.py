"""First layers of filters of several shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class FilterShape:
    """So many filters of one shape over a spectrogram: `height` bins by `width` frames.

    A musically motivated first layer (Pons et al. 2017) has several shapes side by side. Where a filter is lower than
    the spectrogram and what it finds is pooled over all its positions, it answers to a timbre at any *pitch*; pooled
    over time, at any *duration* up to its width; with spectrograms in dB or standardized, at any *loudness*. Tall,
    narrow shapes see the distribution of partials, wide ones their course.
    """

    count: int
    height: int
    width: int


class ShapedFilters(nn.Module):
    """Convolutions of several shapes over one spectrogram [shape=(n, 1, bins, frames)], side by side.

    `padding` "valid" adds nothing, "time" keeps the number of frames, "same" the spectrogram's size. `norm` puts a
    batch norm after each. What comes out is pooled (largest value) by `pool` (bins, frames; 0 is all there are) and
    joined along channels: with `pool` all shapes must then have one size, or `flat` lays them out [shape=(n,
    features)].
    """

    def __init__(
        self,
        shapes: Sequence[FilterShape],
        *,
        padding: Literal["valid", "time", "same"],
        pool: tuple[int, int],
        norm: bool = False,
        dropout: float = 0.0,
        flat: bool = False,
    ) -> None:
        super().__init__()
        self.shapes, self._padding, self._pool, self._flat = tuple(shapes), padding, pool, flat
        self.branches = nn.ModuleList(nn.Conv2d(1, s.count, (s.height, s.width)) for s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(s.count) if norm else nn.Identity() for s in shapes)
        self.dropout = nn.Dropout(dropout)
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d)
            nn.init.kaiming_uniform_(branch.weight)
            assert branch.bias is not None
            nn.init.zeros_(branch.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter, bend (ELU), pool and join."""
        joined = []
        for shape, branch, norm in zip(self.shapes, self.branches, self.norms, strict=True):
            high = shape.height - 1 if self._padding == "same" else 0
            wide = shape.width - 1 if self._padding in ("time", "same") else 0
            padded = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
            assert isinstance(branch, nn.Conv2d)
            places = padded.shape[2] - shape.height + 1, padded.shape[3] - shape.width + 1
            pool = self._pool[0] or places[0], self._pool[1] or places[1]
            joined.append(self._dropped(F.elu(self._largest(padded, branch, norm, pool))))
        return torch.cat(joined, dim=1)

    def _largest(self, x: torch.Tensor, branch: nn.Conv2d, norm: nn.Module, pool: tuple[int, int]) -> torch.Tensor:
        """The largest output of each pool, before ELU: the largest of what ELU gives is ELU of the largest."""
        if self.training and _only_weights_learn(x):
            return _learning(x, branch, norm, pool)
        y = norm(_correlated(x, branch.weight, branch.bias))
        # one axis after the other, PyTorch pools several times faster
        return F.max_pool2d(F.max_pool2d(y, (pool[0], 1)), (1, pool[1]))

    def _dropped(self, y: torch.Tensor) -> torch.Tensor:
        dropped: torch.Tensor = self.dropout(y.flatten(1) if self._flat else y)
        return dropped


TALL, MANY = 16, 32
"""So high, and so many, filters over one channel are faster on a CPU as filters over as many channels as they are
high.
"""


class OverSpectrogram(nn.Sequential):
    """Layers of which the first are a convolution of one channel, its batch norm and a pool of largest values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map spectrograms [shape=(n, 1, bins, frames)] to what the last layer gives."""
        convolution, norm, pool, *rest = self
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(pool, nn.MaxPool2d)
        if not (self.training and _only_weights_learn(x)):
            whole: torch.Tensor = super().forward(x)
            return whole
        high, wide = _pair(convolution.padding)
        y = _learning(F.pad(x, (wide, wide, high, high)), convolution, norm, _pair(pool.kernel_size))
        for layer in rest:
            y = layer(y)
        return y


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _learning(x: torch.Tensor, branch: nn.Conv2d, norm: nn.Module, pool: tuple[int, int]) -> torch.Tensor:
    """The largest output of each pool in a training step."""
    # numba, which a prediction waits not for
    from timbre_data.models.layers.largest_filtered import largest_filtered, signs_of

    with torch.no_grad():
        y = _correlated(x, branch.weight * signs_of(norm).view(-1, 1, 1, 1), None)
    return largest_filtered(x, y, branch.weight, branch.bias, norm, pool)


def _only_weights_learn(x: torch.Tensor) -> bool:
    """Whether a pass is one of a training on a CPU in float32, over spectrograms that need no gradient themselves."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and torch.is_grad_enabled() and not x.requires_grad


def _correlated(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The convolution of one channel [shape=(n, 1, bins, frames)]; tall filters have the bands below each band as its
    channels.
    """
    filters, _, height, _ = weight.shape
    if x.device.type != "cpu" or height < TALL or filters < MANY:
        return F.conv2d(x, weight, bias)
    if torch.is_autocast_enabled("cpu"):
        x = x.to(torch.get_autocast_dtype("cpu"))
    bands = x[:, 0].unfold(1, height, 1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    return F.conv2d(bands, weight.transpose(1, 2), bias)


def biases_before_norms(network: nn.Module) -> set[torch.Tensor]:
    """Biases of first layers that the batch norm behind takes away: in training their gradient is zero."""
    pairs: list[tuple[nn.Module, nn.Module]] = []
    for module in network.modules():
        if isinstance(module, ShapedFilters):
            pairs += zip(module.branches, module.norms, strict=True)
        elif isinstance(module, OverSpectrogram):
            pairs.append((module[0], module[1]))
    return {
        first.bias
        for first, norm in pairs
        if isinstance(norm, nn.BatchNorm2d) and isinstance(first, nn.Conv2d) and first.bias is not None
    }


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its weights in the order that convolutions are fastest in on a CPU, and that tensor cores
    want.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub has no such overload
    return network
