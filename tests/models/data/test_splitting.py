"""Which split rows are in: whole groups can be held out, and what is left is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import build, small_recipe
from timbre_data.models.data import learned
from timbre_data.models.data.rows import load_rows
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.studies.planning import plan
from timbre_data.models.training.runs import open_run
from timbre_data.models.training.train import train
from timbre_data.pipeline.store.columns import DRY_GROUP, DRY_INDEX
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings


def test_what_is_held_out_is_the_test_split_and_nothing_else(shared: Path) -> None:
    data = Dataset(str(shared / "delay"))
    groups = np.asarray(data.read(DRY_GROUP), object)
    chosen = sorted(set(groups))[0]
    rows = load_rows([data], ["autofx163"], "note", hold_out=[chosen])
    held = groups[data.read(DRY_INDEX)] == chosen
    assert held.any()
    assert np.array_equal(rows.split == 2, held)
    stored = data.split()
    assert np.array_equal(rows.split[~held] == 1, stored[~held] == 1)
    assert not rows.leaking_groups()
    settings = TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), hold_out=(chosen,))
    assert plan(settings, Path("run")).rows["test"] == held.sum()


def test_a_pattern_that_fits_nothing_is_said(shared: Path) -> None:
    with pytest.raises(UsageError, match=r"hold_out: nothing is called violin\*; there are "):
        load_rows([Dataset(str(shared / "delay"))], ["autofx163"], "note", hold_out=["violin*"])


def test_varied_copies_of_a_note_are_known_by_the_note(home: Path) -> None:
    recipe = small_recipe(n=40)
    plain = build(recipe, "plain")
    vary = {"copies": 2, "steps": [{"effect": "noise", "probability": 1.0}]}
    varied = build(recipe.model_validate(recipe.model_dump() | {"vary": vary}), "varied")
    names = [str(name).rpartition("#")[0] for name in varied.read("dry/identity").tolist()]
    taken = np.flatnonzero(varied.read(DRY_INDEX) < 3)
    known = learned.learned_from([varied], [taken], 0).knows(plain, np.arange(plain.n))
    identities = np.asarray(plain.read("dry/identity"), object)[plain.read(DRY_INDEX)]
    assert known.any()
    assert not known.all()
    assert np.array_equal(known, np.isin(identities, names[:3]))


def test_a_run_is_judged_on_what_it_held_out_and_nothing_of_that_is_learned(shared: Path) -> None:
    data = Dataset(str(shared / "delay"))
    groups = np.asarray(data.read(DRY_GROUP), object)
    chosen = sorted(set(groups))[:2]
    held = np.isin(groups[data.read(DRY_INDEX)], chosen)
    settings = TrainSettings(model="regressor_mlp", data=(str(shared / "delay"),), hold_out=tuple(chosen), max_epochs=1)
    run, _ = train(settings)
    assert evaluate(run, sounds=0).metrics["rows"] == held.sum()
    kept = learned.load(run)
    assert kept is not None
    assert np.array_equal(kept.knows(data, np.arange(data.n)), ~held)
    assert open_run(run).settings.hold_out == tuple(chosen)


def test_a_classifier_that_held_out_something_else_is_refused(shared: Path) -> None:
    chosen = str(sorted(set(Dataset(str(shared / "delay")).read(DRY_GROUP).tolist()))[0])
    classifier, _ = train(
        TrainSettings(model="class_mlp", data=(str(shared / "delay"), str(shared / "distortion")), max_epochs=1)
    )
    settings = TrainSettings(
        model="regressor_mlp", data=(str(shared / "delay"),), hold_out=(chosen,), conditioning=str(classifier)
    )
    with pytest.raises(UsageError, match="held out nothing: it needs the same hold_out"):
        train(settings)
