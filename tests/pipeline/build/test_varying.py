"""Dry sounds varied before the chain: stored as they went in, drawn from the seed alone, and told in the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timbre_data.pipeline.build import deriving
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.rendering import render
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.columns import DRY_GROUP, DRY_IDENTITY, DRY_INDEX, ROW_HASH, VARIATION
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import RecipeError, TimbreDataError, UsageError
from timbre_data.schemas.recipe import Recipe

STEPS: list[Any] = [{"effect": "noise", "probability": 0.5}, "body", {"effect": "contour"}]


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "name": "varied",
        "source": {"name": "mixed", "most": 10},
        "vary": {"steps": STEPS, "copies": 3},
        "chain": ["delay"],
        "audio": {"seconds": 0.4},
        "n": 70,
        "seed": 3,
    }
    return Recipe.model_validate(fields | changes)


def made(name: str, **changes: Any) -> Dataset:
    render(recipe(**changes), locate(name), Cluster(workers=changes.pop("workers", 1)))
    return Dataset(name)


def test_a_row_is_its_stored_dry_sound_through_the_chain(tmp_path: Path) -> None:
    """Labels of the chain stay exact: what was varied is what is stored as dry."""
    data = made("varied")
    chain = Chain(data.recipe.chain)
    assert len(set(data.read(DRY_IDENTITY).tolist())) == 60  # 20 sounds, three times
    for row in (0, 25, 69):
        values = chain.space.to_values(data.read("params", slice(row, row + 1)))[0]
        wet = chain.render(data.dry(row), data.recipe.audio.rate, values, data.read("labels/order", row))
        stored = data.audio(row, original_level=True)
        assert np.abs(wet - stored).max() < 2e-4
    assert rerender_rows(data, 20)["same"]
    assert verify(data).whole


def test_what_was_drawn_is_told_and_heard() -> None:
    data = made("varied")
    names = data.names(VARIATION)
    drawn = data.read(VARIATION)
    assert {"noise.level_db", "body.depth_db", "contour.shift_ms"} <= set(names)
    level = drawn[:, names.index("noise.level_db")]
    assert 0.3 < np.isfinite(level).mean() < 0.7  # on every second sound
    index = data.read(DRY_INDEX).astype(int)
    plain = SOURCES.load("mixed").open(SOURCES.load("mixed").settings(most=10))
    by_name = {note.identity: k for k, note in enumerate(plain.notes)}
    for row in range(8):
        name, _, copy = str(data.read(DRY_IDENTITY)[index[row]]).rpartition("#")
        original = plain.render(by_name[name], 22_050, 1, data.recipe.audio.samples)
        assert copy in "012"
        assert np.abs(decode(data.read("dry/audio", np.array([index[row]])))[0] - original).max() > 1e-3


def test_copies_of_a_sound_stay_on_one_side_of_a_split() -> None:
    data = made("varied")
    groups = data.read(DRY_GROUP)[data.read(DRY_INDEX).astype(int)]
    split = data.split()
    assert all(len(set(split[groups == group].tolist())) == 1 for group in set(groups.tolist()))


def test_workers_growth_and_seed() -> None:
    """The same bytes for any number of workers and when grown; others from another seed."""
    one = made("one")
    render(recipe(), locate("two"), Cluster(workers=2))
    render(recipe(n=40), locate("grown"), Cluster(workers=1))
    render(recipe(), locate("grown"), Cluster(workers=2))
    other = made("other", seed=4)
    first = one.read(ROW_HASH)
    assert np.array_equal(first, Dataset("two").read(ROW_HASH))
    assert np.array_equal(first, Dataset("grown").read(ROW_HASH))
    assert not np.array_equal(one.read(VARIATION), other.read(VARIATION), equal_nan=True)


def test_rows_without_variation_and_others_in_one_dataset() -> None:
    varied, plain = made("varied"), made("plain", vary=None)
    deriving.merge([varied, plain], locate("both"), Cluster(workers=1))
    both = Dataset("both")
    assert np.array_equal(both.read(VARIATION)[:70], varied.read(VARIATION), equal_nan=True)
    assert np.isnan(both.read(VARIATION)[70:]).all()
    assert verify(both).whole
    other = made("other", vary={"steps": ["body"]})
    with pytest.raises(UsageError, match="vary their dry sounds differently"):
        deriving.merge([varied, other], locate("never"), Cluster(workers=1))


def test_no_variation_leaves_a_recipe_as_it_was() -> None:
    assert "vary" not in recipe(vary=None).identity()
    assert recipe().identity() != recipe(vary={"steps": STEPS, "copies": 2}).identity()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vary": {"steps": []}}, "steps"),
        ({"vary": {"steps": [{"synth": "subtractive"}]}}, "only effects"),
        ({"vary": {"steps": ["body", "body"]}}, "different names"),
        ({"vary": {"steps": ["body"]}, "chain": [{"synth": "subtractive"}], "source": "notes"}, "no dry sound to vary"),
    ],
)
def test_what_cannot_be_varied_is_said(changes: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, RecipeError), match=told):
        recipe(**changes)


def test_unknown_effects_and_sources_are_named() -> None:
    with pytest.raises(TimbreDataError, match="wobble"):
        made("x", vary={"steps": ["wobble"]})
    with pytest.raises(TimbreDataError, match="gives notes for a synth"):
        made("x", source={"name": "mixed", "sources": ["notes"]})
