"""Datasets outlive code: stores written by earlier releases are read, verified and grown."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from timbre_data.pipeline.build import rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify

STORES = sorted((Path(__file__).parent / "old_stores").glob("*.tar.gz"))


def test_there_is_a_store_of_every_format() -> None:
    assert [store.name for store in STORES] == ["format-1.tar.gz"]


@pytest.mark.parametrize("store", STORES, ids=lambda path: path.name)
def test_an_old_store_is_read_verified_and_grown(store: Path, home: Path) -> None:
    with tarfile.open(store) as archive:
        archive.extractall(home, filter="data")
    expected = json.loads((store.parent / store.name.replace(".tar.gz", ".json")).read_text())
    data = Dataset("old")
    assert verify(data).whole
    assert data.read("params").tolist() == expected["params"]
    assert data.read("audio").astype(np.int64).sum(axis=(1, 2)).tolist() == expected["sums"]
    recipe = data.recipe.model_copy(update={"n": 30})
    rendering.render(recipe, locate("old"), Cluster(workers=1))
    grown = Dataset("old")
    assert grown.complete()
    assert np.array_equal(grown.read("audio", slice(0, data.n)), data.read("audio"))
