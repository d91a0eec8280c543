"""The base of all contracts: a class whose methods `check_...` each raise `AssertionError` for a member that breaks a
promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from timbre_data.schemas.errors import TimbreDataError


@dataclass(frozen=True)
class Outcome:
    """One check: its name, and what was wrong ("" where nothing was)."""

    check: str
    problem: str


class Contract:
    """The promises of one kind, checked on the member called `name`, opened with `settings` where members have some."""

    def __init__(self, name: str, settings: Mapping[str, Any] | None = None) -> None:
        self.name, self.settings = name, dict(settings or {})

    @classmethod
    def checks(cls) -> list[str]:
        """Names of the checks, in order."""
        return [name for name in vars(cls) if name.startswith("check_")]

    def close(self) -> None:
        """Let go of what the checks opened."""

    def outcomes(self) -> Iterator[Outcome]:
        """Run every check. Errors of the member itself count as broken promises."""
        try:
            for check in self.checks():
                problem = ""
                try:
                    getattr(self, check)()
                except AssertionError as error:
                    problem = str(error).splitlines()[0] if str(error) else "does not hold"
                except TimbreDataError as error:
                    problem = str(error)
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                yield Outcome(check.removeprefix("check_").replace("_", " "), problem)
        finally:
            with suppress(Exception):
                self.close()


def sentence(summary: str) -> None:
    """A summary is a sentence."""
    assert summary.endswith("."), f"the summary is no sentence that ends in a full stop: {summary!r}"
