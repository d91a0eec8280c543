"""Describing members of the catalogue, and what this machine can do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from timbre_data.pipeline.build.machine import available_cores
from timbre_data.pipeline.catalogue import registry, shipped, validation
from timbre_data.pipeline.store.repository import home
from timbre_data.schemas.errors import MissingDependencyError, TimbreDataError
from timbre_data.schemas.profile import Profile


def describe(kind: str, name: str) -> dict[str, Any]:
    """One member as plain data."""
    member = registry.load(kind, name)
    data: dict[str, Any] = {"name": name, "kind": kind, "summary": member.summary}
    if kind == "effect":
        data["family"] = member.family
        data["parameters"] = [parameter.summary() for parameter in member.space.each()]
    elif kind == "synth":
        data |= {"isolations": list(member.isolations), "settings": _fields(member.settings)}
        if not any(field.is_required() for field in member.settings.model_fields.values()):
            data["parameters"] = [parameter.summary() for parameter in member.space(member.settings()).each()]
        if name == "midi":
            data["profiles"] = list(shipped.shipped("profile"))
    elif kind == "baseline":
        data |= {"source": member.source, "estimator": str(member.build(0)), "published": dict(member.published)}
    elif kind == "model":
        from dataclasses import asdict

        data |= {
            "source": member.source,
            "task": member.task,
            "features": list(member.features),
            "options": _fields(member.options),
        }
        data["training"] = {
            key: getattr(member, key)
            for key in ("batch_size", "learning_rate", "learning_rate_decay", "max_epochs", "patience")
        }
        data["published"] = [
            {"variant": variant, **asdict(shape), "parameters": count}
            for variant, (shape, count) in member.published.items()
        ]
        variants = {variant: member.build(shape, member.options()) for variant, (shape, _) in member.published.items()}
        data["layers"] = {variant: str(network).splitlines() for variant, network in list(variants.items())[:1]}
    elif kind == "importer":
        data |= {key: getattr(member, key) for key in ("citation", "licence", "url", "checksums", "steps")}
        data["settings"] = _fields(member.settings)
    else:
        data["settings"] = _fields(member.settings)
    return data


def _fields(model: Any) -> dict[str, Any]:
    schema = model.model_json_schema().get("properties", {})
    return {
        name: {key: value for key, value in field.items() if key not in ("title",)} for name, field in schema.items()
    }


def _synths() -> list[dict[str, Any]]:
    """Which synths can play here, and how external ones can be captured."""
    from timbre_data.pipeline.synths.capture import profiles, programs, realtime

    requirements: dict[str, Callable[[], None]] = {
        "capture faster than real time (JACK)": programs.require_jack,
        "capture in real time (rtmidi, sounddevice)": realtime.require_realtime,
    }
    requirements |= {
        f"synth {name}": registry.load("synth", name).requires for name in registry.names("synth") if name != "midi"
    }
    for name in shipped.shipped("profile"):
        requirements[f"synth {name}"] = partial(_require_program, profiles.read_profile(name))
    checks = []
    for what, require in requirements.items():
        try:
            require()
            checks.append({"what": what, "ok": True, "detail": "ready"})
        except TimbreDataError as error:
            checks.append({"what": what, "ok": False, "detail": str(error)})
    return checks


def _require_program(profile: Profile) -> None:
    if not shutil.which(profile.command[0]):
        raise MissingDependencyError(f"{profile.install}.")


def check_machine() -> list[dict[str, Any]]:
    """What works here: one entry a capability, with what to install where it is missing."""
    checks: list[dict[str, Any]] = []
    for name in registry.names("source"):
        source = registry.load("source", name)
        if source.gives == "midi":
            continue
        needs = [field for field, info in source.settings.model_fields.items() if info.is_required()]
        if needs:
            checks.append(
                {
                    "what": f"source {name}",
                    "ok": True,
                    "detail": f"give --set {' --set '.join(f'source.{field}=...' for field in needs)}",
                }
            )
            continue
        try:
            count = len(source.open(validation.validate(source.settings, {})).notes)
            checks.append({"what": f"source {name}", "ok": True, "detail": f"{count} notes"})
        except TimbreDataError as error:
            checks.append({"what": f"source {name}", "ok": False, "detail": str(error)})
    checks += _synths()
    checks.append({"what": "cores", "ok": True, "detail": str(available_cores())})
    folder = home().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    checks.append(
        {
            "what": f"disk under {home()}",
            "ok": free > 2e9,
            "detail": f"{free / 1e9:.0f} GB free (a dataset of 37,440 rows takes 2.2)",
        }
    )
    import torch

    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; training runs on the CPU"
    checks.append({"what": "accelerator", "ok": True, "detail": accelerator})
    return checks
