"""Share of training time spent on putting batches together: a cheap and a dear network of frames, one of whole sounds,
one of features.
"""

from __future__ import annotations

import os
import tempfile

from benchmarks._common import CORES, report
from timbre_data.models.evaluation import epochs
from timbre_data.models.training import train
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
from timbre_data.schemas.settings import TrainSettings

CASES = (
    ("jingju_mlp", "sung-phonemes", {"n": 120, "source.phrases": 1}),
    ("jingju_proposed", "sung-phonemes", {"n": 120, "source.phrases": 1}),
    ("instrument_cnn", "gm-instruments", {"n": 330, "source.phrases": 330}),
    ("mtt_proposed", "gm-tags", {"n": 200, "source.clips": 20}),
)


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TIMBRE_DATA_RUNS"] = folder
        for model, name, changes in CASES:
            address = f"{folder}/{name}"
            recipe = recipes.load(validation.override(recipes.read(name), changes))
            rendering.render(recipe, locate(address), Cluster(workers=CORES))
            settings = {"model": model, "data": address, "max_epochs": 2, "frame_step": 5}
            run, _ = train.train(validation.validate(TrainSettings, settings), name=model)
            share = epochs.waiting_share(epochs.read(run))
            assert share is not None
            figures[f"{model}_waiting_share"] = share
    report("waiting", **figures)


if __name__ == "__main__":
    main()
