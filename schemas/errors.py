"""Every error that timbre-data raises on purpose.

    TimbreDataError                     exit code 1
    |-- UsageError                      2   the request itself is wrong
    |   |-- UnknownNameError                an effect, source, feature, model ... that is not in the catalogue
    |   |-- RecipeError                     a field of a recipe: which one, its value, what is allowed
    |   |   `-- MissingFieldError               one that has no default and was not given
    |   |-- NotFoundError                   a dataset, run, recipe or file that is not there
    |   |-- UntrustedError                  a program or plug-in that a file or dataset names, and nobody said to trust
    |   `-- LeakingSplitError               an evaluation whose test rows share dry notes with its training rows
    |-- MissingDependencyError          1   something to install, and how
    |-- SourceError                     1   dry sounds that cannot be used, all of them listed
    |-- RenderError                     1   a row that failed: its index, its parameters, the cause
    |-- SynthError                      1   a hosted or captured synth that failed three times
    |-- BuildError                      1   a build that could not go on (a full disk)
    |   `-- ClusterLostError                a Dask scheduler or worker that is gone, stopped or runs other code
    |-- CorruptDataError                3   stored data that is damaged or missing
    |-- LockedError                     4   somebody else is writing
    `-- InterruptedBuildError         130   Ctrl-C; what was done is committed
        `-- AbandonedBuildError             a second Ctrl-C; what was committed is safe

Messages are one line: what was wrong, and what to do. Errors cross process borders (Dask), so all of them pickle.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


def _rebuild(cls: type[TimbreDataError], message: str, state: dict[str, Any]) -> TimbreDataError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class TimbreDataError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.__dict__.copy())


class UsageError(TimbreDataError):
    """The request itself is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that the catalogue does not hold."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        advice = (
            ""
            if close or kind in ("kind", "equaliser")
            else " For one of your own give its file, or name it with --use FILE."
        )
        super().__init__(f"unknown {kind} '{name}'.{hint} Known: {', '.join(self.known) or 'none'}.{advice}")


class RecipeError(UsageError):
    """A field of a recipe with a value that is not allowed."""

    def __init__(self, field: str, value: object, allowed: str, where: str = "recipe") -> None:
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(f"{where}: {field} = {value!r} is not allowed: {allowed}.")


class MissingFieldError(RecipeError):
    """A field without a default that was not given; `description` says what it is."""

    def __init__(self, field: str, description: str, where: str = "recipe") -> None:
        super().__init__(field, None, description, where)
        what = f" ({description})" if description else ""
        self.args = (f"{where}: {field}{what} is missing: give it in the recipe or with --set.",)


class NotFoundError(UsageError):
    """A dataset, run, recipe or file that is not there."""


class UntrustedError(UsageError):
    """A program or plug-in that a file or dataset names, and that nobody said to trust."""


class LeakingSplitError(UsageError):
    """An evaluation whose test rows share dry notes with its training rows."""


class MissingDependencyError(TimbreDataError):
    """Something that has to be installed first; the message says how."""


class SourceError(TimbreDataError):
    """Dry sounds that cannot be used: every one of them, with its reason."""

    def __init__(self, source: str, failures: Mapping[str, str], way_out: str = "") -> None:
        self.source, self.failures = source, dict(failures)
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(self.failures.items())[:20])
        more = f"; and {len(self.failures) - 20} more" if len(self.failures) > 20 else ""
        count = len(self.failures)
        noun = "sound" if count == 1 else "sounds"
        super().__init__(
            f"{source}: {count} {noun} cannot be used ({listed}{more}). Remove or repair them, then run again{f'; {way_out}' if way_out else ''}."
        )


class RenderError(TimbreDataError):
    """A row that failed."""

    def __init__(self, row: int, parameters: Mapping[str, float], cause: str) -> None:
        self.row, self.parameters, self.cause = row, dict(parameters), cause
        shown = ", ".join(f"{name}={value:g}" for name, value in self.parameters.items())
        super().__init__(
            f"row {row} could not be rendered: {cause} (parameters: {shown}). Rows before it are kept; --keep-going marks it failed and goes on."
        )


class SynthError(TimbreDataError):
    """A hosted or captured synth that hung, crashed or stayed silent again and again."""

    def __init__(self, synth: str, causes: Iterable[str]) -> None:
        self.synth, self.causes = synth, list(causes)
        cause_text = "; then ".join(dict.fromkeys(self.causes))
        super().__init__(
            f"{synth} failed {len(self.causes)} times in a row ({cause_text}). Rows before are kept; see timbre-data doctor, then run again."
        )


class BuildError(TimbreDataError):
    """A build that could not go on."""


class ClusterLostError(BuildError):
    """A Dask scheduler or worker that is gone, was stopped, or runs other code."""


class CorruptDataError(TimbreDataError):
    """Stored data that is damaged or missing."""

    exit_code = 3


class LockedError(TimbreDataError):
    """Somebody else is writing to the dataset."""

    exit_code = 4


class InterruptedBuildError(TimbreDataError):
    """A build stopped by Ctrl-C, with everything that was done committed."""

    exit_code = 130


class AbandonedBuildError(InterruptedBuildError):
    """A build left by a second Ctrl-C, while tasks whose results nobody takes are still at work."""


class UnusableSoundError(Exception):
    """A dry sound that cannot be used (unreadable, silent); the build collects these into one `SourceError`."""
