"""The end-to-end equaliser on one core: its kernels against PyTorch's own convolutions, training and processing."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch

from benchmarks._common import report
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder
from timbre_data.models.layers.sparse_filters import plainly

FRAMES = 32
RATE = 16_000


def frames_per_second(network: EqAutoencoder, frames: torch.Tensor, *, plain: bool, training: bool) -> float:
    """Frames through the network in a second, forth, or forth and back: the best of three."""
    best = 0.0
    for run in range(4):  # the first compiles
        begun = time.perf_counter()
        with torch.inference_mode(not training), plainly() if plain else nullcontext():
            output = network(frames)
            if training:
                torch.autograd.backward(output.square().mean())
        if run:
            best = max(best, len(frames) / (time.perf_counter() - begun))
    return best


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, frames = EqAutoencoder(), torch.randn(FRAMES, FRAME)
    speed = {
        (plain, training): frames_per_second(network, frames, plain=plain, training=training)
        for plain in (False, True)
        for training in (False, True)
    }
    report(
        "equaliser",
        training_frames_per_second=speed[False, True],
        training_over_pytorch=speed[False, True] / speed[True, True],
        processing_frames_per_second=speed[False, False],
        processing_over_pytorch=speed[False, False] / speed[True, False],
        processing_times_real_time=speed[False, False] * HOP / RATE,
    )


if __name__ == "__main__":
    main()
