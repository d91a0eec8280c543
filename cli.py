"""The command line: assembles the groups of `commands/` and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from timbre_data.commands import COMMANDS
from timbre_data.commands._shared import HELP, warn
from timbre_data.schemas.errors import AbandonedBuildError, TimbreDataError

STOPPED = 130
"""Exit code after Ctrl-C."""
ABOUT = "Datasets of timbre with labels you can trust: render, featurize, train, evaluate."
app = typer.Typer(
    name="timbre-data",
    help=ABOUT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP,
)


def _add_groups(*, installed: bool = False) -> int:
    """Add the groups of `commands/`, or those that installed packages bring, and return how many; the latter takes a
    moment.
    """
    shipped = COMMANDS.shipped()
    names = [name for name in COMMANDS.names() if name not in shipped] if installed else shipped
    for group in sorted((COMMANDS.load(name) for name in names), key=lambda one: one.order):
        app.add_typer(group.app, name=group.name or None)
    return len(names)


_add_groups()


def main() -> None:
    """Run the command line. Every expected error becomes one line on stderr and an exit code."""
    from typer import BadParameter  # whose parents are click's exceptions: typer's own copy of click, or click itself

    click_exception: Any = BadParameter.__mro__[2]
    try:
        with _ended_like_an_interrupt():
            code = _run(click_exception)
        if code == STOPPED:  # which is how typer reports Ctrl-C
            _fail("stopped. What was stored before is kept.", STOPPED)
    except click_exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            code = 2
        else:
            code = _fail(error.format_message(), 2)
    except AbandonedBuildError as error:
        from timbre_data.pipeline.build.engine import leave_at_once

        leave_at_once(_fail(str(error), error.exit_code))
    except TimbreDataError as error:
        code = _fail(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        code = _fail("stopped. What was stored before is kept.", STOPPED)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        code = _fail(*_of_the_system(error))
    except Exception as error:
        code = _fail(_of_the_store(error) or _unexpected(error), 1)
    except BaseException as error:
        if not _of_the_store(error):
            raise
        code = _fail(_of_the_store(error), 1)
    sys.exit(code or 0)


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """Answer the SIGTERM of batch systems, and the SIGHUP of a terminal that is closed, as Ctrl-C; `nohup` still
    works.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _of_the_store(error: BaseException) -> str:
    """One line about a panic in the storage library, which it has on a disk that fails under it; empty for others."""
    if type(error).__name__ not in ("RustPanic", "PanicException"):
        return ""
    return f"the storage library failed ({' '.join(str(error).split())[:160]}): see whether the disk is full or read-only. What was committed is safe; the same command goes on."


def _of_the_system(error: OSError) -> tuple[str, int]:
    """One line and the exit code for an error of the operating system that no command expected."""
    from timbre_data.pipeline.catalogue.files import is_disk_full

    name = str(error.filename) if error.filename else "a file"
    if is_disk_full(error):
        return (
            f"{name} cannot be written: the disk is full. What was stored before is kept: make room, then run the same command again.",
            1,
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{name} cannot be opened or written ({error.strerror}). What was stored before is kept.", 1
    if error.errno == errno.ENAMETOOLONG:
        return f"{name[:40]}... is too long for a name of a file.", 2
    return _unexpected(error), 1


def _run(click_exception: Any) -> Any:
    try:
        return app(standalone_mode=False)
    except click_exception as error:
        if not error.format_message().startswith("No such command") or not _add_groups(installed=True):
            raise
    return app(standalone_mode=False)


def _fail(message: str, code: int) -> int:
    warn(message)
    return code


def _unexpected(error: Exception) -> str:
    """One line about an error that nobody raised on purpose; its traceback goes into a file."""
    import os
    import tempfile
    import traceback

    if os.environ.get("TIMBRE_DATA_DEBUG"):
        raise error
    text = f"unexpected {type(error).__name__}: {str(error)[:200] or 'no message'}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="timbre-data-", suffix=".log", delete=False) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{text}. Set TIMBRE_DATA_DEBUG=1 to see where."
    return f"{text}. This is a defect: please report it with {file.name}."


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"timbre-data {version('timbre-data')}")
        raise typer.Exit


@app.callback(help=ABOUT)
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    use: Annotated[
        list[str] | None,
        typer.Option(
            "--use",
            metavar="FILE",
            help="A Python file with a member of your own (effect, model ...) that a recipe or run refers to. Repeatable.",
        ),
    ] = None,
) -> None:
    if use:
        from timbre_data.commands._kinds import use_file

        for file in use:
            use_file(file)
