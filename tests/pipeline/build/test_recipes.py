from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from timbre_data.models.training import preparing
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import shipped, validation
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.schemas.errors import NotFoundError, RecipeError, UnknownNameError
from timbre_data.schemas.settings import PipelineRecipe

PAPER = ("modulation", "delay", "distortion")


@pytest.mark.parametrize("name", sorted(shipped.shipped()))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    data = recipes.read(name)
    if "datasets" in data:
        pipeline_recipe = validation.validate(PipelineRecipe, data)
        for stage in pipeline_recipe.datasets:
            recipes.load(validation.override(recipes.read_named(stage.recipe), stage.set))
        for training_stage in pipeline_recipe.train:
            preparing.resolve(training_stage.settings)
    else:
        assert recipes.load(data).name == name


@pytest.mark.parametrize("effect", PAPER)
def test_the_three_effects_have_the_papers_size(effect: str) -> None:
    recipe = recipes.load(recipes.for_effect(effect))
    assert recipe.n == 37_440 == 20 * len(recipes.open_source(recipe).notes)
    assert (recipe.audio.rate, recipe.audio.seconds, recipe.audio.peak) == (22_050, 1.5, "normalise")
    assert recipe.chain.steps[0].resolution == 0.01


@pytest.mark.parametrize("effect", EFFECTS.names())
def test_every_effect_has_a_recipe_of_its_own(effect: str) -> None:
    settings = EFFECTS.load(effect).settings
    if settings is not None and any(
        field.is_required() for field in settings.model_fields.values()
    ):  # a plug-in's file
        with pytest.raises(RecipeError):
            recipes.load(recipes.for_effect(effect))
        return
    assert recipes.load(recipes.for_effect(effect)).chain.steps[0].effect == effect


@pytest.mark.parametrize(
    ("setting", "field", "said"),
    [
        ("audio.rate=-1", "audio.rate", "greater than or equal"),
        ("audio.rat=1", "audio.rat", "fields are rate, channels"),
        ("n=0", "n", "greater than or equal"),
        ("seed=-4", "seed", "greater than or equal"),
        ("chain.0.parameters.drive_db=99", "chain.steps.0.parameters.drive_db", "outside 0 to 60 dB"),
        ("chain.steps.0.parameters.drive=9", "chain.steps.0.parameters.drive", "parameters are drive_db"),
        ("chain.3.effect=delay", "chain.3.effect", "index below 1"),
        ("split.train=0.5", "split", "sum to 1"),
        ("source.strings=7", "strings", "fields are instrument, seed"),
        ("source.instrument=banjo", "instrument", "guitar"),
        ("nonsense", "--set", "path.to.field=value"),
    ],
)
def test_a_wrong_setting_names_field_value_and_what_is_allowed(setting: str, field: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipes.load(validation.override(recipes.for_effect("distortion"), [setting]))
    assert caught.value.field == field
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_reach_into_lists_and_shorthands() -> None:
    data = validation.override(
        {"name": "x", "chain": "delay", "source": "plucked_string"},
        ["chain.steps.0.parameters.mix=0.5", "source.instrument=bass", "n=9"],
    )
    recipe = recipes.load(data)
    assert recipe.n == 9
    assert recipe.source.settings["instrument"] == "bass"
    assert recipe.chain.steps[0].parameters == {"mix": 0.5}


def test_the_resolved_recipe_spells_out_the_sources_defaults() -> None:
    assert recipes.load({"name": "x", "chain": "delay"}).source.settings == {"instrument": "guitar", "seed": 0}


@pytest.mark.parametrize(
    ("data", "error"), [({"chain": "dely"}, UnknownNameError), ({"chain": "delay", "source": "wav"}, UnknownNameError)]
)
def test_unknown_members_are_named(data: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="Known:"):
        recipes.load({"name": "x"} | data)


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(NotFoundError, match="distortion"):
        recipes.read("distorted.yaml")


def test_a_file_that_is_not_yaml_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="not YAML"):
        recipes.read(tmp_path / "r.yaml")
