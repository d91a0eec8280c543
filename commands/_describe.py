"""Members as plain data, for `show`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from timbre_data.commands._kinds import REGISTRIES
from timbre_data.pipeline.catalogue import shipped


def describe(kind: str, name: str) -> dict[str, Any]:
    """One member as plain data. Raises `UnknownNameError`."""
    registry = REGISTRIES[kind]
    member = registry.load(name)
    data: dict[str, Any] = {"name": name, "kind": kind, "summary": registry.summary(name)}
    return data | (_DETAILS[kind](member, name) if kind in _DETAILS else {})


def _effect(member: Any, name: str) -> dict[str, Any]:
    data = {"family": member.family, "parameters": [parameter.summary() for parameter in member.space]}
    return data | ({"settings": fields(member.settings)} if member.settings else {})


def _synth(member: Any, name: str) -> dict[str, Any]:
    data: dict[str, Any] = {"isolations": list(member.isolations), "settings": fields(member.settings)}
    if not any(field.is_required() for field in member.settings.model_fields.values()):
        data["parameters"] = [parameter.summary() for parameter in member.space(member.settings())]
    return data | ({"profiles": list(shipped.shipped("profile"))} if name == "midi" else {})


def _settings(member: Any, name: str) -> dict[str, Any]:
    return {"settings": fields(member.settings)}


def _importer(member: Any, name: str) -> dict[str, Any]:
    data = {key: getattr(member, key) for key in ("citation", "licence", "url", "checksums", "steps")}
    return data | {"settings": fields(member.settings)}


def _model(member: Any, name: str) -> dict[str, Any]:
    training = ("batch_size", "learning_rate", "learning_rate_decay", "max_epochs", "patience")
    variants = list(member.published.items())
    data = {
        "source": member.source,
        "task": member.task,
        "features": list(member.features),
        "options": fields(member.options),
        "training": {key: getattr(member, key) for key in training},
        "published": [
            {"variant": variant, **asdict(shape), "parameters": count} for variant, (shape, count) in variants
        ],
    }
    if variants:
        variant, (shape, _) = variants[0]
        data["layers"] = {variant: str(member.build(shape, member.options())).splitlines()}
    return data


def _baseline(member: Any, name: str) -> dict[str, Any]:
    from timbre_data.models.evaluation import published

    results = [one.data() for one in published.RESULTS if one.belongs.get("network") == name]
    return {"source": member.source, "estimator": str(member.build(0)), "published": results}


def _target(member: Any, name: str) -> dict[str, Any]:
    return {"task": member.task, "learns_from": member.learns_from, "several_classes": member.always_multi_label}


def _distance(member: Any, name: str) -> dict[str, Any]:
    return {"heading": member.heading}


def _command(member: Any, name: str) -> dict[str, Any]:
    prefix = f"{member.name} " if member.name else ""
    names = [info.name or info.callback.__name__.rstrip("_") for info in member.app.registered_commands]
    return {"commands": [prefix + name for name in names]}


_DETAILS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "effect": _effect,
    "synth": _synth,
    "source": _settings,
    "feature": _settings,
    "importer": _importer,
    "model": _model,
    "baseline": _baseline,
    "target": _target,
    "distance": _distance,
    "command": _command,
}


def fields(model: Any) -> dict[str, Any]:
    """The fields of a settings model: type, default, limits, description."""
    schema = model.model_json_schema().get("properties", {})
    return {name: {key: value for key, value in field.items() if key != "title"} for name, field in schema.items()}
