"""Feeding training: shuffled log-mel examples from the store, against reading rows one by one in random order."""

from __future__ import annotations

import tempfile
import time

import numpy as np

from benchmarks._common import CORES, report
from timbre_data.pipeline.build import featurizing, recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset

ROWS, BATCH = 16_384, 64


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        location = locate(f"{folder}/delay")
        recipe = recipes.load(validation.override(recipes.for_effect("delay"), {"n": ROWS}))
        rendering.render(recipe, location, Cluster(workers=CORES))
        featurizing.featurize(location, {"logmel": {}}, Cluster(workers=CORES))
        data = Dataset(location.address)
        rows = np.arange(ROWS)
        rates = []
        for seed in range(3):
            start, seen = time.perf_counter(), 0
            for batch in data.stream(["spectrograms/logmel", "params"], batch_size=BATCH, rows=rows, seed=seed):
                seen += len(batch[0])
            rates.append(seen / (time.perf_counter() - start))
        rng = np.random.default_rng(0)
        start = time.perf_counter()
        for row in rng.choice(ROWS, 300, replace=False):
            data.read("spectrograms/logmel", int(row))
        single = 300 / (time.perf_counter() - start)
    report(
        "feed",
        rows=ROWS,
        examples_per_s=float(np.median(rates)),
        row_random_examples_per_s=single,
        ratio=float(np.median(rates)) / single,
    )


if __name__ == "__main__":
    main()
