"""Finding, reading, changing and checking recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from timbre_data.pipeline import catalogue
from timbre_data.pipeline.chain import EffectChain
from timbre_data.pipeline.kinds import Source, Synth
from timbre_data.schemas.errors import MissingFieldError, NotFoundError, RecipeError, UnknownNameError
from timbre_data.schemas.recipe import Recipe, SourceSpec, as_chain, as_named

Model = TypeVar("Model", bound=BaseModel)


FILES = ("recipe", "profile", "table", "training")
"""Kinds whose members are YAML files."""


def shipped(kind: str = "recipe") -> dict[str, Path]:
    """Files that come with the package, by name: those of a kind, "recipe", "profile" (of an external synth), "table" (of labels) or "training" (settings of one)."""
    folder = Path(__file__).resolve().parents[1] / "datasets" / f"{kind}s"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


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
    catalogue.load("effect", name)
    stem = name.replace("-", "_")
    if stem in shipped():
        return read(stem)
    return {"name": stem, "chain": [{"effect": stem}]}


def for_synth(name: str) -> dict[str, Any]:
    """The recipe behind `--synth NAME`: the shipped one of that name, else this synth (or synth profile) alone with everything at its default."""
    stem = name.replace("-", "_")
    if stem in shipped():
        return read(stem)
    if stem not in catalogue.names("synth") and name in shipped("profile"):
        return {"name": stem, "chain": [{"synth": "midi", "name": stem, "settings": {"profile": name}}]}
    if stem not in catalogue.names("synth"):
        raise UnknownNameError("synth", name, [*catalogue.names("synth"), *shipped("profile")])
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
    if not Path(name).is_file() and name not in shipped() and stem in catalogue.names("effect"):
        return for_effect(stem)
    return read(name)


def override(data: dict[str, Any], settings: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Apply `path.to.field=value` settings; numbers step into lists. Values are read as YAML."""
    if not isinstance(settings, Mapping):
        pairs = {}
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals or not key:
                raise RecipeError("--set", setting, "expected path.to.field=value, for example --set audio.rate=44100")
            try:
                pairs[key] = yaml.safe_load(text)
            except yaml.YAMLError:
                raise RecipeError("--set", setting, "the value is not YAML") from None
        settings = pairs
    if "chain" in data:
        data = data | {"chain": as_chain(data["chain"])}
    if "source" in data:
        data = data | {"source": as_named(data["source"])}
    for key, value in settings.items():
        data = _with(data, key.split("."), value, key)
    return data


def read_grid(entries: Sequence[str]) -> dict[str, list[Any]]:
    """Fields and the values that each is to take, of `path.to.field=[a, b, c]`. Numbers may be written 1e-3."""
    found: dict[str, list[Any]] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        try:
            values = yaml.safe_load(text) if equals else None
        except yaml.YAMLError:
            values = None
        if not key or not isinstance(values, list) or not values:
            raise RecipeError(
                "--grid", entry, "expected path.to.field=[a,b,c], for example --grid learning_rate=[0.001,0.0001]"
            )
        found[key] = [_number(value) for value in values]
    return found


def _number(value: Any) -> Any:
    """YAML reads 1e-3 (without a point) as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _with(node: Any, path: list[str], value: Any, field: str) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, list):
        if not head.isdigit() or int(head) >= len(node):
            raise RecipeError(field, value, f"'{head}' must be an index below {len(node)}")
        return [_with(item, rest, value, field) if i == int(head) else item for i, item in enumerate(node)]
    if node is None:
        node = {}
    if not isinstance(node, dict):
        raise RecipeError(field, value, f"'{head}' is inside a plain value ({node!r})")
    if head.isdigit() and "steps" in node:
        return node | {"steps": _with(node["steps"], path, value, field)}
    return node | {head: _with(node.get(head), rest, value, field)}


def validate(model: type[Model], data: Mapping[str, Any], where: str = "recipe") -> Model:
    """Check `data` against a settings model; raise `RecipeError` with the field, the value and what is allowed."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or where
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"there is no such field; fields are {', '.join(_fields_at(model, first['loc'][:-1]))}"
        if first["type"] == "missing":
            raise MissingFieldError(field, _description(model, first["loc"]), where) from None
        raise RecipeError(field, first["input"], message[:1].lower() + message[1:], where) from None


def _description(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """What the field at `location` is, as far as it is told."""
    found = _model_at(model, location[:-1]).model_fields.get(str(location[-1]))
    return (found.description or "") if found else ""


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that `location` leads to."""
    return list(_model_at(model, location).model_fields)


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that `location` leads to, as far as it can be followed."""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        inner = field and _inner_model(field.annotation)
        if not inner:
            break
        current = inner
    assert issubclass(current, BaseModel)
    return current


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner_model(inner)
        if found:
            return found
    return None


def load(data: Mapping[str, Any]) -> Recipe:
    """Check a recipe whole: fields, source and its settings, effects and their parameters. Returns it resolved.

    In the resolved recipe every default of the source is written out, so that it means the same in years to come.
    """
    recipe = validate(Recipe, data)
    for position, step in enumerate(recipe.chain.steps):
        kind = "effect" if step.effect else "synth"
        catalogue.load(kind, step.member)
        if step.member != step.member.replace("-", "_"):
            raise RecipeError(
                f"chain.steps.{position}.{kind}", step.member, f"write it '{step.member.replace('-', '_')}'"
            )
    if recipe.chain.synth:
        recipe = _with_synth_settings(recipe)
    recipe = _with_effect_settings(recipe)
    EffectChain(recipe.chain)
    for name in recipe.features:
        catalogue.load("feature", name)
    source: Source = catalogue.load("source", recipe.source.name)
    if (source.gives == "midi") != bool(recipe.chain.synth):
        begins = "a synth" if recipe.chain.synth else "an effect"
        fitting = [
            name
            for name in catalogue.names("source")
            if (catalogue.load("source", name).gives == "midi") == bool(recipe.chain.synth)
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
    synth: Synth = catalogue.load("synth", step.synth)
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
        settings = catalogue.load("effect", step.effect).settings
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
    source: Source = catalogue.load("source", recipe.source.name)
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


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), "...", f"not YAML ({' '.join(str(error).split())})") from None


def read_table(file: str | Path) -> dict[str, list[str]]:
    """Read a table of labels, by file or the name of a shipped one: each class with the labels that it stands for. Raises `NotFoundError` or `RecipeError`."""
    path = shipped("table").get(str(file), Path(file))
    if not path.is_file():
        raise NotFoundError(f"there is no table {file}. Give a YAML file, or one of: {', '.join(shipped('table'))}.")
    data = _yaml(path)
    if not isinstance(data, dict) or not all(isinstance(labels, list) for labels in data.values()):
        raise RecipeError(str(path), data, "a table is a mapping of classes to lists of labels")
    return {str(name): [str(label) for label in labels] for name, labels in data.items()}
