"""Filter shapes measured from a dataset: right on made spectrograms, within the published cost, and accepted by
`train`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import build
from timbre_data.models.layers.shaped_filters import FilterShape
from timbre_data.models.studies import filter_design
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import runs, train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sung") / "sung"
    source = {"source.seconds": 2, "source.recordings": 12, "source.phrases": 1}
    changes = {
        "n": 12,
        "audio.rate": 16_000,
        "audio.seconds": 2,
        "split.train": 0.5,
        "split.validation": 0.3,
        "split.test": 0.2,
    }
    build(recipes.load(validation.override(recipes.read("sung-phonemes"), changes | source)), str(folder))
    return folder


def test_extents_are_those_that_were_drawn() -> None:
    """Flat patches of 20 bands by 12 frames, one after another at different heights."""
    spectrogram = np.zeros((80, 60))
    for k in range(5):
        spectrogram[10 * k : 10 * k + 20, 12 * k : 12 * k + 12] = 1.0
    spectral, temporal = filter_design.extents(spectrogram)
    assert 18 <= np.median(spectral) <= 20  # nine tenths of a patch
    assert max(temporal) == 12
    assert set(temporal) <= set(range(1, 13))
    assert filter_design.extents(np.zeros((80, 60))) == ([], [])


@pytest.mark.slow
def test_a_proposal_costs_no_more_and_trains(sung: Path, tmp_path: Path, command: Callable[..., int]) -> None:
    found = filter_design.design(str(sung), "jingju-proposed")
    assert found.parameters <= found.published_parameters
    assert all(isinstance(one, FilterShape) and one.height <= 70 and one.width <= 10 for one in found.shapes)
    assert {one.width for one in found.shapes} >= {1}
    out = tmp_path / "filters.yaml"
    filter_design.write(found, out)
    assert yaml.safe_load(out.read_text(encoding="utf-8")) == found.settings
    with pytest.raises(UsageError, match="exists already"):
        filter_design.write(found, out)
    quick = [f"--set={one}" for one in ("max_epochs=1", "train_rows=64", "batch_size=16")]
    assert command("train", str(out), "--name", "designed", *quick) == 0
    run = runs.find_run("designed")
    assert len(runs.open_run(run).settings.options["shapes"]) == len(found.shapes)
    evaluate(run)
    assert (run / "evaluation" / "filters.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("shapes", "told"),
    [([{"count": 4, "height": 90, "width": 1}], "do not fit"), ([{"count": 0, "height": 9, "width": 1}], "do not fit")],
)
def test_shapes_that_do_not_fit_are_refused(sung: Path, shapes: list[dict[str, int]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        train.train(TrainSettings(model="jingju-proposed", data=(str(sung),), options={"shapes": shapes}))


def test_a_model_without_shapes_is_refused(sung: Path) -> None:
    with pytest.raises(UsageError, match="no layer of filter shapes"):
        filter_design.design(str(sung), "irmas-han")
