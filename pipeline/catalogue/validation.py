"""Checking data against pydantic models, with errors that name field, value and what is allowed; changing fields by
dotted path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from timbre_data.schemas.errors import MissingFieldError, RecipeError
from timbre_data.schemas.recipe import as_chain, as_named

Model = TypeVar("Model", bound=BaseModel)


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
    values_of: dict[str, list[Any]] = {}
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
        values_of[key] = [_number(value) for value in values]
    return values_of


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
    """The description of the field at `location`, if it has one."""
    model_field = _model_at(model, location[:-1]).model_fields.get(str(location[-1]))
    return (model_field.description or "") if model_field else ""


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
        model = _inner_model(inner)
        if model:
            return model
    return None
