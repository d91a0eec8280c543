"""The first layers of the timbre CNNs, forth and back on one core, against the plain order of convolution, norm, ELU
and pool; the same channels-last weights for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.nn import functional as F

from benchmarks._common import report
from timbre_data.models.architectures import irmas_single, jingju_proposed
from timbre_data.models.architectures._musically_motivated import SHAPES
from timbre_data.models.layers.shaped_filters import ShapedFilters, channels_last

Padding = Literal["valid", "time", "same"]
CASES: dict[str, tuple[Any, Padding, tuple[int, int], bool, tuple[int, int, int]]] = {
    "irmas_single": (irmas_single.SHAPES, "same", (96, 32), True, (16, 96, 128)),
    "jingju_proposed": (jingju_proposed.SHAPES, "valid", (2, 0), False, (128, 80, 21)),
    "mtt_proposed": (SHAPES, "time", (0, 4), False, (32, 128, 187)),
}
"""Shapes, padding, pool, whether there is a batch norm, and a batch of spectrograms [shape=(n, bins, frames)]."""


def plainly(
    filters: ShapedFilters, padding: str, pool: tuple[int, int], *, flat: bool = True
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same layer in the order in which it is written in the papers."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        joined = []
        for shape, branch, norm in zip(filters.shapes, filters.branches, filters.norms, strict=True):
            high = shape.height - 1 if padding == "same" else 0
            wide = shape.width - 1 if padding != "valid" else 0
            padded = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
            y = F.elu(norm(branch(padded)))
            y = F.max_pool2d(y, (pool[0] or y.shape[2], pool[1] or y.shape[3]))
            joined.append(y.flatten(1) if flat else y)
        return torch.cat(joined, dim=1)

    return forward


def rows_per_second(layer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, bf16: bool) -> float:
    """The best of three."""
    best = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = layer(x)
        torch.autograd.backward(output.float().square().mean())
        best = max(best, len(x) / (time.perf_counter() - begun))
    return best


def main() -> None:
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for name, (shapes, padding, pool, norm, size) in CASES.items():
        torch.manual_seed(0)
        layer = ShapedFilters(shapes, padding=padding, pool=pool, norm=norm, flat=True)
        channels_last(layer)
        x = torch.randn(size[0], 1, *size[1:])
        for kind, bf16 in (("bf16", True), ("float32", False)):
            mine = rows_per_second(layer, x, bf16)
            figures[f"{name}_{kind}_rows_per_second"] = mine
            figures[f"{name}_{kind}_over_plain"] = mine / rows_per_second(plainly(layer, padding, pool), x, bf16)
    report("shaped", **figures)


if __name__ == "__main__":
    main()
