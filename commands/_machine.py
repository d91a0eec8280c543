"""The checks of `doctor`: what works on this machine, and what to install for the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from timbre_data.pipeline.build.machine import nearest_existing
from timbre_data.pipeline.catalogue import shipped, validation
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.location import home
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.schemas.errors import MissingDependencyError, TimbreDataError
from timbre_data.schemas.profile import Profile

ENOUGH_BYTES = 2e9


def check_machine() -> list[dict[str, Any]]:
    """One entry per capability: what it is, whether it works, and what to install if not."""
    return [*_sources(), *_synths(), *_resources()]


def _sources() -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = []
    for name in SOURCES.names():
        source = SOURCES.load(name)
        if source.gives == "midi":
            continue
        needs = [field for field, info in source.settings.model_fields.items() if info.is_required()]
        what = f"source {name}"
        if needs:
            options = " ".join(f"--set source.{field}=..." for field in needs)
            checks.append({"what": what, "ok": True, "detail": f"give {options}"})
            continue
        try:
            count = len(source.open(validation.validate(source.settings, {})).notes)
            checks.append({"what": what, "ok": True, "detail": f"{count} notes"})
        except TimbreDataError as error:
            checks.append({"what": what, "ok": False, "detail": str(error)})
    return checks


def _synths() -> list[dict[str, Any]]:
    """Check which synths can play here, and how external ones can be captured."""
    from timbre_data.pipeline.synths.capture import profiles, programs, realtime

    requirements: dict[str, Callable[[], None]] = {
        "capture faster than real time (JACK)": programs.require_jack,
        "capture in real time (rtmidi, sounddevice)": realtime.require_realtime,
    }
    requirements |= {f"synth {name}": SYNTHS.load(name).requires for name in SYNTHS.names() if name != "midi"}
    checks = []
    for name in shipped.shipped("profile"):
        profile = profiles.read_profile(name)
        if profile.command:
            requirements[f"synth {name}"] = partial(_require_program, profile)
        else:
            checks.append({"what": f"synth {name}", "ok": True, "detail": "started by hand; not looked for"})
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


def _resources() -> list[dict[str, Any]]:
    import torch

    free = shutil.disk_usage(nearest_existing(home())).free
    detail = f"{free / 1e9:.0f} GB free (a dataset of 37,440 rows takes 2.2)"
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; training runs on the CPU"
    return [
        {"what": "cores", "ok": True, "detail": str(available_cores())},
        {"what": f"disk under {home()}", "ok": free > ENOUGH_BYTES, "detail": detail},
        {"what": "accelerator", "ok": True, "detail": accelerator},
    ]
