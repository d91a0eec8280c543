"""Finding, reading and checking recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.catalogue.shipped import read_yaml, shipped
from timbre_data.pipeline.catalogue.source import Source
from timbre_data.pipeline.catalogue.synth import Synth
from timbre_data.pipeline.catalogue.validation import validate
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.schemas.errors import NotFoundError, RecipeError, UnknownNameError, UsageError
from timbre_data.schemas.recipe import Recipe, SourceSpec, as_chain


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
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise RecipeError(str(path), data, "a recipe is a mapping of fields")
    return data


def for_effect(name: str) -> dict[str, Any]:
    """The recipe behind `--fx NAME`: the shipped one of that name, else this effect alone with all defaults."""
    EFFECTS.load(name)
    stem = name.replace("-", "_")
    if stem in shipped():
        return read(stem)
    return {"name": stem, "chain": [{"effect": stem}]}


def for_synth(name: str) -> dict[str, Any]:
    """The recipe behind `--synth NAME`: the shipped one of that name, else this synth (or synth profile, by name or
    file) alone with all defaults.
    """
    if name.endswith((".yaml", ".yml")):
        profile = read_profile(name)
        return _of_profile(profile.name, str(Path(name).expanduser()))
    stem = SYNTHS.resolve(name).replace("-", "_")
    if stem in shipped():
        return read(stem)
    if stem not in SYNTHS and name in shipped("profile"):
        return _of_profile(stem, name)
    if stem not in SYNTHS:
        raise UnknownNameError("synth", name, [*SYNTHS.names(), *shipped("profile")])
    return {"name": stem, "chain": [{"synth": stem}]}


def _of_profile(name: str, profile: str) -> dict[str, Any]:
    """The recipe of one profile: its synth alone, captured."""
    label = re.sub(r"[^a-z0-9_]", "_", name.lower())
    return {"name": name, "chain": [{"synth": "midi", "name": label, "settings": {"profile": profile}}]}


def around_presets(data: dict[str, Any], presets: str | None, spread: float | None) -> dict[str, Any]:
    """A recipe whose synth is drawn around presets: those of a bank or folder, or its own for the word "presets".
    Raises `UsageError` where the recipe has no synth, or `spread` stands alone.
    """
    spelled = as_chain(data.get("chain"))
    chain = spelled if isinstance(spelled, dict) else {}
    steps = chain.get("steps")
    first = steps[0] if isinstance(steps, list) and steps else None
    if not isinstance(steps, list) or not isinstance(first, dict) or not first.get("synth"):
        raise UsageError("--around and --spread go with a synth: the recipe begins with an effect.")
    known = (first.get("settings") or {}).get("presets")
    if presets is None and known is None:
        raise UsageError("--spread says how far around presets: name them with --around.")
    fields = {"path": known} if isinstance(known, str) else dict(known or {})
    if presets is not None:
        fields = {"path": "" if presets == "presets" else presets}
    if spread is not None:
        fields["spread"] = spread
    step = first | {"settings": (first.get("settings") or {}) | {"presets": fields}}
    return data | {"chain": chain | {"steps": [step, *steps[1:]]}}


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
    if not Path(name).is_file() and name not in shipped() and stem in EFFECTS.names():
        return for_effect(stem)
    return read(name)


def load(data: Mapping[str, Any]) -> Recipe:
    """Check a recipe whole: fields, source and its settings, effects and their parameters. Returns it resolved.

    In the resolved recipe every default of the source is written out, so that it means the same in years to come.
    """
    if "datasets" in data and "chain" not in data:
        raise UsageError(f"{data.get('name', 'this')} is a recipe of stages: start it with timbre-data run.")
    recipe = validate(Recipe, data)
    for position, step in enumerate(recipe.chain.steps):
        kind = "effect" if step.effect else "synth"
        (EFFECTS if step.effect else SYNTHS).load(step.member)
        if step.member != step.member.replace("-", "_"):
            raise RecipeError(
                f"chain.steps.{position}.{kind}", step.member, f"write it '{step.member.replace('-', '_')}'"
            )
    if recipe.chain.synth:
        recipe = _with_synth_settings(recipe)
    recipe = _with_effect_settings(recipe)
    Chain(recipe.chain)
    for name in recipe.features:
        if name not in FEATURE_SETS:  # else nothing is imported for it: features need PyTorch
            FEATURE_SETS.load(name)
    source: Source = SOURCES.load(recipe.source.name)
    if (source.gives == "midi") != bool(recipe.chain.synth):
        begins = "a synth" if recipe.chain.synth else "an effect"
        fitting = [name for name in SOURCES.names() if (SOURCES.load(name).gives == "midi") == bool(recipe.chain.synth)]
        gives = "notes" if source.gives == "midi" else "sound"
        raise RecipeError(
            "source",
            recipe.source.name,
            f"it gives {gives}, and a chain that begins with {begins} takes one of {', '.join(fitting)}",
        )
    settings = validate(source.settings, recipe.source.settings, f"recipe: source {recipe.source.name}")
    if "licence" not in data:
        recipe = recipe.model_copy(update={"licence": source.licence})
    resolved = SourceSpec.model_validate({"name": recipe.source.name} | settings.model_dump(mode="json"))
    return recipe.model_copy(update={"source": resolved})


def _with_synth_settings(recipe: Recipe) -> Recipe:
    """The recipe with the settings of its synth checked and written out."""
    step = recipe.chain.synth
    assert step is not None
    synth: Synth = SYNTHS.load(step.synth)
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
        settings = EFFECTS.load(step.effect).settings
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
    source: Source = SOURCES.load(recipe.source.name)
    return source.open(validate(source.settings, recipe.source.settings, f"source {recipe.source.name}"))


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a training from a YAML file. Raises `NotFoundError` or `RecipeError`."""
    if not path.is_file():
        path = shipped("training").get(path.stem, path)
    if not path.is_file():
        raise NotFoundError(
            f"there is no settings file {path}. Give a YAML file, or one of: {', '.join(shipped('training'))}."
        )
    data = read_yaml(path)
    if not isinstance(data, dict) or "model" not in data:
        raise RecipeError(str(path), data, "settings of a training are a mapping of fields, with a model")
    return data
