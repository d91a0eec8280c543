"""Finding, reading and checking recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timbre_data.pipeline.build.chain import EffectChain
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.shipped import _yaml, shipped
from timbre_data.pipeline.catalogue.source import Source
from timbre_data.pipeline.catalogue.synth import Synth
from timbre_data.pipeline.catalogue.validation import validate
from timbre_data.schemas.errors import NotFoundError, RecipeError, UnknownNameError
from timbre_data.schemas.recipe import Recipe, SourceSpec


def read(file: str | Path) -> dict[str, Any]:
    """Read a recipe from a file, or by the name of a shipped one. Raises `NotFoundError` or `RecipeError`."""
    path = Path(file)
    known = shipped()
    if not path.is_file():
        path = (
            known.get(path.stem, path)
            if path.parent == Path() or path.parent.as_posix().endswith("datasets/recipes")
            else path
        )
    if not path.is_file():
        raise NotFoundError(f"there is no recipe {file}. Give a YAML file, or one of: {', '.join(known)}.")
    data = _yaml(path)
    if not isinstance(data, dict):
        raise RecipeError(str(path), data, "a recipe is a mapping of fields")
    return data


def for_effect(name: str) -> dict[str, Any]:
    """The recipe behind `--fx NAME`: the shipped one of that name, else this effect alone with everything at its default."""
    registry.load("effect", name)
    stem = name.replace("-", "_")
    if stem in shipped():
        return read(stem)
    return {"name": stem, "chain": [{"effect": stem}]}


def for_synth(name: str) -> dict[str, Any]:
    """The recipe behind `--synth NAME`: the shipped one of that name, else this synth (or synth profile) alone with everything at its default."""
    stem = name.replace("-", "_")
    if stem in shipped():
        return read(stem)
    if stem not in registry.names("synth") and name in shipped("profile"):
        return {"name": stem, "chain": [{"synth": "midi", "name": stem, "settings": {"profile": name}}]}
    if stem not in registry.names("synth"):
        raise UnknownNameError("synth", name, [*registry.names("synth"), *shipped("profile")])
    return {"name": stem, "chain": [{"synth": stem}]}


def for_equaliser(name: str) -> str:
    """The recipe behind `--eq NAME`. Raises `UnknownNameError`."""
    stem = f"eq-{name.replace('_', '').replace('-', '')}"
    known = [one.removeprefix("eq-") for one in shipped() if one.startswith("eq-")]
    if stem not in shipped():
        raise UnknownNameError("equaliser", name, known)
    return stem


def read_named(name: str) -> dict[str, Any]:
    """A recipe by file or shipped name, or an effect's own by the effect's name."""
    stem = name.replace("-", "_")
    if not Path(name).is_file() and name not in shipped() and stem in registry.names("effect"):
        return for_effect(stem)
    return read(name)


def load(data: Mapping[str, Any]) -> Recipe:
    """Check a recipe whole: fields, source and its settings, effects and their parameters. Returns it resolved.

    In the resolved recipe every default of the source is written out, so that it means the same in years to come.
    """
    recipe = validate(Recipe, data)
    for position, step in enumerate(recipe.chain.steps):
        kind = "effect" if step.effect else "synth"
        registry.load(kind, step.member)
        if step.member != step.member.replace("-", "_"):
            raise RecipeError(
                f"chain.steps.{position}.{kind}", step.member, f"write it '{step.member.replace('-', '_')}'"
            )
    if recipe.chain.synth:
        recipe = _with_synth_settings(recipe)
    recipe = _with_effect_settings(recipe)
    EffectChain(recipe.chain)
    for name in recipe.features:
        registry.load("feature", name)
    source: Source = registry.load("source", recipe.source.name)
    if (source.gives == "midi") != bool(recipe.chain.synth):
        begins = "a synth" if recipe.chain.synth else "an effect"
        fitting = [
            name
            for name in registry.names("source")
            if (registry.load("source", name).gives == "midi") == bool(recipe.chain.synth)
        ]
        gives = "notes" if source.gives == "midi" else "sound"
        raise RecipeError(
            "source",
            recipe.source.name,
            f"it gives {gives}, and a chain that begins with {begins} takes one of {', '.join(fitting)}",
        )
    settings = validate(source.settings, recipe.source.settings, f"recipe: source {recipe.source.name}")
    resolved = SourceSpec.model_validate({"name": recipe.source.name} | settings.model_dump(mode="json"))
    return recipe.model_copy(update={"source": resolved})


def _with_synth_settings(recipe: Recipe) -> Recipe:
    """The recipe with the settings of its synth checked and written out."""
    step = recipe.chain.synth
    assert step is not None
    synth: Synth = registry.load("synth", step.synth)
    settings = validate(synth.settings, step.settings, f"recipe: synth {step.synth}").model_dump(mode="json")
    if step.isolation not in ("auto", *synth.isolations):
        raise RecipeError(
            "chain.steps.0.isolation", step.isolation, f"{step.synth} has auto, {', '.join(synth.isolations)}"
        )
    steps = (step.model_copy(update={"settings": settings}), *recipe.chain.steps[1:])
    return recipe.model_copy(update={"chain": recipe.chain.model_copy(update={"steps": steps})})


def _with_effect_settings(recipe: Recipe) -> Recipe:
    """The recipe with the settings of its effects checked and written out: which plug-in, where an effect is one."""
    steps = list(recipe.chain.steps)
    for position, step in enumerate(steps):
        if step.synth:
            continue
        settings = registry.load("effect", step.effect).settings
        if settings is None and step.settings:
            raise RecipeError(
                f"chain.steps.{position}.settings", step.settings, f"{step.effect} has parameters, but no settings"
            )
        if settings is not None:
            checked = validate(settings, step.settings, f"recipe: effect {step.effect}")
            steps[position] = step.model_copy(update={"settings": checked.model_dump(mode="json")})
    return recipe.model_copy(update={"chain": recipe.chain.model_copy(update={"steps": tuple(steps)})})


def open_source(recipe: Recipe) -> Any:
    """Open the recipe's source: a `DrySource`, or for a synth a `MidiSource`."""
    source: Source = registry.load("source", recipe.source.name)
    return source.open(validate(source.settings, recipe.source.settings, f"source {recipe.source.name}"))


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a training from a YAML file. Raises `NotFoundError` or `RecipeError`."""
    if not path.is_file():
        path = shipped("training").get(path.stem, path)
    if not path.is_file():
        raise NotFoundError(
            f"there is no settings file {path}. Give a YAML file, or one of: {', '.join(shipped('training'))}."
        )
    data = _yaml(path)
    if not isinstance(data, dict) or "model" not in data:
        raise RecipeError(str(path), data, "settings of a training are a mapping of fields, with a model")
    return data
