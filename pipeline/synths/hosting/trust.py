"""Which programs and plug-ins may be started, and addresses opened: shipped profiles, and what the user said to trust;
see SECURITY.md.

A dataset, run, recipe or profile is data that may come from somebody else, and it can name a program (the command of a
synth profile), a plug-in (a file of machine code) or an address in the network. Every way to one goes through
`require_program`, `require_plugin` or `require_address`, in the process that starts or opens it; trust is given on a
command line, or by `trust=True` in Python, and travels to the workers of a cluster with each task.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shlex
import sys
import threading
from collections.abc import Iterable, Iterator

from timbre_data.pipeline.catalogue.shipped import shipped
from timbre_data.schemas.errors import UntrustedError
from timbre_data.schemas.profile import Profile
from timbre_data.schemas.recipe import Recipe

EVERYTHING = "*"
_trusted: set[str] = set()
_of_task = threading.local()  # a worker of a cluster serves several users, and trusts for each of them alone
_told: set[str] = set()


def trust(what: str = EVERYTHING) -> None:
    """Allow this process to start a program or plug-in by its digest or path; by default, whatever is asked for."""
    _trusted.add(what)


@contextlib.contextmanager
def trusting(everything: bool = True) -> Iterator[None]:
    """Context in which everything is trusted, or, with False, what was before."""
    before = set(_trusted)
    if everything:
        trust()
    try:
        yield
    finally:
        _trusted.clear()
        _trusted.update(before)


@contextlib.contextmanager
def trusting_in_task(programs: Iterable[str]) -> Iterator[None]:
    """Context of one task in a worker's thread: what its user trusts."""
    _of_task.programs = frozenset(programs)
    try:
        yield
    finally:
        _of_task.programs = frozenset()


def forget() -> None:
    """Trust nothing any more."""
    _trusted.clear()
    _told.clear()


def trusted() -> tuple[str, ...]:
    """What is trusted, for a worker's process."""
    return tuple(sorted(_trusted))


def digest_of(profile: Profile) -> str:
    """SHA-256 of what a profile starts: command, environment and files."""
    started: dict[str, object] = {
        "command": profile.command,
        "environment": profile.environment,
        "files": profile.files,
    }
    if profile.presets and profile.presets.arguments:
        started["arguments"] = profile.presets.arguments
    return hashlib.sha256(json.dumps(started, sort_keys=True).encode()).hexdigest()


@functools.cache
def _shipped_digests() -> frozenset[str]:
    from timbre_data.pipeline.synths.capture.profiles import read_profile

    profiles = [read_profile(name) for name in shipped("profile")]
    without = [profile.model_copy(update={"presets": None}) for profile in profiles]  # starts less of the same
    return frozenset(map(digest_of, (*profiles, *without)))


def require_program(profile: Profile) -> None:
    """Raise `UntrustedError`, which shows the command, for a profile whose program is neither shipped nor trusted."""
    if not profile.command:
        return
    digest = digest_of(profile)
    if digest in _shipped_digests():
        return
    shown = shlex.join((*profile.command, *(profile.presets.arguments if profile.presets else ())))
    if profile.environment:
        shown = " ".join(f"{key}={shlex.quote(value)}" for key, value in profile.environment.items()) + f" {shown}"
    if profile.files:
        shown += f", with {', '.join(sorted(profile.files))} in its folder"
    _require(digest, f"synth profile {profile.name} starts the program: {shown}")


def require_plugin(path: str) -> None:
    """Raise `UntrustedError` for a plug-in that is not trusted. One whose path is on the command line itself is."""
    if not any(path in word for word in sys.argv[1:]):
        _require(path, f"plug-in {path} would be loaded, which is machine code")


def require_address(address: str) -> None:
    """Raise `UntrustedError` for a dataset in object storage that a run or a file of settings names, and that is not on
    the command line itself: to open it is to connect to it.
    """
    address = address.partition("@")[0]
    if address.startswith("s3://") and not any(address in word for word in sys.argv[1:]):
        _require(address, f"{address} would be opened over the network")


def require_recipe(recipe: Recipe) -> None:
    """Raise `UntrustedError` for a recipe with a program or plug-in that is not trusted, before anything is written."""
    for step in recipe.chain.steps:
        if step.synth == "midi" and isinstance(step.settings.get("profile"), dict):
            require_program(Profile.model_validate(step.settings["profile"]))
        elif step.member == "plugin" and step.settings.get("path"):
            require_plugin(str(step.settings["path"]))


def _require(key: str, what: str) -> None:
    if not {key, EVERYTHING} & (_trusted | getattr(_of_task, "programs", frozenset())):
        raise UntrustedError(
            f"{what}. That was named by a file or dataset, which may come from somebody else: run again with --trust (trust=True in Python) if you trust it."
        )
    if key not in _told:
        _told.add(key)
        print(f"timbre-data: trusted: {what}", file=sys.stderr, flush=True)
