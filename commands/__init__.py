"""The command line, one file per group: parse, call one function, print. Heavy imports wait until a command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.pipeline.catalogue.registry import Registry

if TYPE_CHECKING:
    from timbre_data.commands._shared import Group

COMMANDS: Registry[Group] = Registry(__name__, kind="command", attribute="GROUP")
