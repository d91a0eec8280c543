"""A training step of the papers' CNNs as we take it, against the same network in a bare PyTorch loop, one core.

Ours reuses freed memory, has an AdaDelta of its own, and gives the gradient of filters of several shapes at the few
places that it reaches; the bare loop has none of these. Forward, backward and optimizer, in processor time; the
spectrograms, which a training makes once, are there already. Noise stands in for sounds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks._common import report
from timbre_data.models.architectures import MODELS, Shape
from timbre_data.models.layers import shaped_filters
from timbre_data.models.training.adadelta import Adadelta
from timbre_data.pipeline.catalogue.memory import reused_memory

STEPS = 4


@dataclass(frozen=True)
class Case:
    """A network, its sounds in a batch, its options, and its optimizers: ours and PyTorch's."""

    model: str
    shape: Shape
    batch: int
    options: dict[str, Any] = field(default_factory=dict)
    optimizers: tuple[Any, Any] = (torch.optim.Adam, torch.optim.Adam)


CASES = {
    "inverse_synth": Case(
        "inverse_synth",
        Shape(0, 18, samples=39_690, rate=44_100),
        5,
        {"spectrogram": "scipy"},
        (Adadelta, torch.optim.Adadelta),
    ),
    "autofx, log-mel": Case("autofx", Shape(0, 15, 6, samples=33_075, rate=22_050), 64, {"spectrogram": "log_mel"}),
    "mtt_proposed": Case("mtt_proposed", Shape(0, 27, samples=48_000, rate=16_000), 64),
    "irmas_single": Case("irmas_single", Shape(0, 11, samples=36_000, rate=12_000), 16),
    "irmas_han": Case("irmas_han", Shape(0, 11, samples=36_000, rate=12_000), 64),
    "jingju_small_rectangular": Case("jingju_small_rectangular", Shape(0, 29, samples=9261, rate=44_100), 128),
}


def step_of(case: Case, made: Any) -> Callable[[], None]:
    """A function that makes a training step."""
    torch.manual_seed(0)
    model = MODELS.load(case.model)
    options = model.options.model_validate(case.options)
    network = model.build(case.shape, options).train()
    sounds = torch.randn(case.batch, case.shape.samples)
    if model.frontend is not None:
        with torch.no_grad():
            sounds = model.frontend(case.shape, options)(sounds)
    inputs = [torch.zeros(case.batch, 0)]
    inputs += [torch.full((case.batch, 6), 1 / 6)] if case.shape.conditioning else []
    optimizer = made(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        network(*inputs, audio=sounds).float().square().mean().backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """The least processor time of some steps."""
    step()
    step()
    times = []
    for _ in range(STEPS):
        begun = time.process_time()
        step()
        times.append(time.process_time() - begun)
    return min(times)


def measured(name: str, kind: str) -> float:
    """A step of one case, ours or bare, in a process of its own: what is asked of the C library stays."""
    words = [sys.executable, "-m", "benchmarks.steps", name, kind]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:]:
        name, kind = sys.argv[1:]
        ours, theirs = CASES[name].optimizers
        if kind == "bare":
            shaped_filters._only_weights_learn = lambda x: False
        with reused_memory() if kind == "ours" else nullcontext():
            print(seconds(step_of(CASES[name], ours if kind == "ours" else theirs)))
        return
    figures = {}
    for name in CASES:
        step, bare = (measured(name, kind) for kind in ("ours", "bare"))
        figures |= {f"{name}: step, s": step, f"{name}: bare, s": bare, f"{name}: ratio": step / bare}
    report("steps", **figures)


if __name__ == "__main__":
    main()
