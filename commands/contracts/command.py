"""The contract of command groups: help texts with an example, and a description of every option."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import typer

from timbre_data.commands import COMMANDS
from timbre_data.commands._shared import Group
from timbre_data.commands.contracts._contract import Contract


class CommandContract(Contract):
    """A group is a Typer app."""

    @cached_property
    def group(self) -> Group:
        """The member that the module exposes."""
        return COMMANDS.load(self.name)

    @cached_property
    def commands(self) -> dict[str, Any]:
        """Click's commands by name."""
        made: Any = typer.main.get_command(self.group.app)
        return getattr(made, "commands", None) or {made.name: made}

    def check_every_command_has_a_help_text(self) -> None:
        """One sentence or more."""
        for name, command in self.commands.items():
            assert command.help, f"{name} has no help text"
            assert command.help.rstrip().endswith("."), f"the help of {name} is no sentence"

    def check_every_command_has_an_example(self) -> None:
        """In the epilog."""
        for name, command in self.commands.items():
            assert "Example: timbre-data" in (command.epilog or ""), f"{name} shows no example"

    def check_every_option_is_described(self) -> None:
        """In the help."""
        for name, command in self.commands.items():
            for option in command.params:
                described = option.name in ("help", "install_completion") or getattr(option, "help", None)
                assert described, f"{name}: {option.name} has no description"


CONTRACT = CommandContract
