"""An epoch of a small network in our training loop, against a bare loop over the same batches, on the same cores.

The regressor of 163 features and 6 class probabilities, 89,856 rows in batches of 64; random numbers stand in for
features, whose values cost nothing. The bare loop: cut a batch, loss, backward, Adam; no validation, no record.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks._common import CORES, report
from timbre_data.models.architectures import MODELS, Shape
from timbre_data.models.data.batches import Batches
from timbre_data.models.evaluation import epochs
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import loop, row_training
from timbre_data.models.training.checkpoints import Standardized
from timbre_data.models.training.preparing import resolve
from timbre_data.schemas.settings import TrainSettings

ROWS, OUTPUTS, EPOCHS = 112_320, 15, 4


def main() -> None:
    settings = resolve(TrainSettings(model="regressor_mlp", data=("none",), target="parameters"))
    model, target = MODELS.load("regressor_mlp"), TARGETS.load("parameters")
    torch.manual_seed(0)
    torch.set_num_threads(min(2, CORES))
    shape = Shape(163, OUTPUTS, 6, positions=(0,) * OUTPUTS)
    features, every = torch.randn(ROWS, 163), torch.ones(ROWS, OUTPUTS, dtype=torch.bool)
    classes, targets = torch.softmax(torch.randn(ROWS, 6), 1), torch.rand(ROWS, OUTPUTS)
    tensors = [features, classes, targets, every, every, torch.zeros(ROWS, 0)]
    train_rows, validation_rows = np.arange(ROWS * 8 // 10), np.arange(ROWS * 8 // 10, ROWS * 9 // 10)

    def module() -> row_training._Module:
        network = Standardized(model.build(shape, model.options()), 163)
        network.fit(features)
        return row_training._Module(network, model, target, settings, False)

    with tempfile.TemporaryDirectory() as folder:
        feed = row_training._Feed(tensors, train_rows, validation_rows, settings)
        loop.fit(module(), feed, settings, Path(folder), lambda line: None, epochs_to_run=EPOCHS, patience=None)
        ours = min(float(row["seconds"]) for row in epochs.read(Path(folder)))
    bare = []
    for epoch in range(EPOCHS):
        learner = module()
        optimizer = torch.optim.Adam(learner.network.parameters(), lr=1e-3)
        begun = time.perf_counter()
        for batch in Batches(tensors, train_rows, settings.batch_size or 64, 0, epoch):
            optimizer.zero_grad()
            learner._loss(batch).backward()  # type: ignore[no-untyped-call]  # of PyTorch
            optimizer.step()
        bare.append(time.perf_counter() - begun)
    report("training", rows=len(train_rows), epoch_s=ours, bare_epoch_s=min(bare), ratio=ours / min(bare))


if __name__ == "__main__":
    main()
