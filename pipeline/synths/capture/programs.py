"""A JACK audio server and a synth program in it: started, watched and taken down together."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from timbre_data.pipeline.catalogue.files import OwnFolder
from timbre_data.pipeline.synths.hosting.server import die_with_parent
from timbre_data.schemas.errors import MissingDependencyError, UsageError
from timbre_data.schemas.profile import Profile

SLOTS = 7
"""JACK registers eight servers a user; one is left to the user. Names are used again, so that a killed server's place
is not lost.
"""


INSTALL = "install the JACK audio server (Debian: apt-get install jackd2; macOS: brew install jack) and pip install 'timbre-data[midi]'"


class CaptureError(Exception):
    """The synth or its audio server is gone, hung or silent; a fresh start may help."""


def require_jack() -> None:
    """Raise `MissingDependencyError` where capture over JACK cannot work."""
    try:
        import jack  # noqa: F401  # only whether it is there
    except (ImportError, OSError):
        raise MissingDependencyError(f"midi: the JACK library is missing; {INSTALL}.") from None
    if not shutil.which("jackd"):
        raise MissingDependencyError(f"midi: there is no jackd; {INSTALL}.")


class Programs:
    """A JACK server with the dummy driver, and a synth in it: started, watched and taken down together."""

    def __init__(self, profile: Profile, rate: int, period: int, soundfont: str, *, urgent: bool = False) -> None:
        self.profile, self.rate = profile, rate
        self._slot: FileLock | None = None
        self._priority = "-R" if urgent and may_be_urgent() else "-r"
        self._own = OwnFolder(Path(tempfile.gettempdir()), "timbre-data-synth-")
        self._folder = self._own.path
        self._soundfont, self._period = soundfont, period
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def _start_server(self) -> None:
        """Start the audio server under the first name that is free.

        A name whose last server was killed is free again once that process has been collected by the system's init;
        where nobody collects it (a container without one), the next name is taken.
        """
        last: CaptureError | None = None
        for number in range(SLOTS):
            lock = FileLock(_shared_folder() / f"timbre-data-{getattr(os, 'getuid', int)()}-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            self._slot, self.server = lock, Path(lock.lock_file).stem
            self._clear_shared_memory()
            self.environment = os.environ | {
                "JACK_NO_AUDIO_RESERVATION": "1",
                "JACK_NO_START_SERVER": "1",
                "JACK_DEFAULT_SERVER": self.server,
            }
            command = [
                "jackd",
                self._priority,
                "--name",
                self.server,
                "-d",
                "dummy",
                "-r",
                str(self.rate),
                "-p",
                str(self._period),
            ]
            self._start("the JACK server", command, self.environment)
            try:
                wait_for("the JACK server", 10, lambda: self.client("timbre-data-look"), self.check).close()
            except CaptureError as error:
                last = error
                self._stop("the JACK server")
                lock.release()
            else:
                return
        self._slot = None
        raise last or UsageError(
            f"JACK has room for {SLOTS} captures at once, and all are taken: use --workers {SLOTS} or fewer."
        )

    def client(self, name: str) -> Any:
        """A client of the server, or None while it is not ready."""
        import jack

        jack.set_error_function(lambda text: None)
        jack.set_info_function(lambda text: None)
        try:
            return jack.Client(name, servername=self.server, no_start_server=True)
        except jack.JackError:
            return None

    def start_synth(self) -> None:
        """Start the synth, in an empty home of its own."""
        profile = self.profile
        if not profile.command:
            return
        home = Path(tempfile.mkdtemp(dir=self._folder))
        for name, text in profile.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text.replace("{targets}", profile.targets()), encoding="utf-8")
        filled = {
            "{port}": str(_free_port()),
            "{soundfont}": self._soundfont,
            "{rate}": str(self.rate),
            "{folder}": str(home),
        }
        command = [_fill(word, filled) for word in profile.command]
        if not shutil.which(command[0]):
            raise MissingDependencyError(
                f"{profile.name}: there is no program {command[0]}; {profile.install or 'install it'}."
            )
        environment = self.environment | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local/share"),
            "XDG_RUNTIME_DIR": str(home),  # else a PulseAudio library leaves a folder in /tmp
            "PULSE_RUNTIME_PATH": str(home),
        }
        (home / ".local/share").mkdir(parents=True, exist_ok=True)
        self._start(profile.name, command, environment | {k: _fill(v, filled) for k, v in profile.environment.items()})

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=die_with_parent if sys.platform == "linux" else None
            )  # fmt: skip

    def check(self) -> None:
        """Raise `CaptureError` when one of them is gone."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self._folder / f"{name}.log"
                lines = log.read_text(errors="replace").split("\n")
                said = next((f": {line.strip()[:160]}" for line in reversed(lines) if line.strip()), "")
                kept = (
                    Path(tempfile.gettempdir()) / f"timbre-data-{name.replace(' ', '-')}.log"
                )  # the last one of its kind
                log.replace(kept)
                raise CaptureError(
                    f"{name} ended by itself (exit code {process.returncode}{said}; all it said: {kept})"
                )

    def stop_synth(self) -> None:
        """Take the synth down."""
        self._stop(self.profile.name)

    def stop(self) -> None:
        """Take both down and leave nothing behind."""
        for name in reversed(list(self._running)):
            self._stop(name)
        self._own.close()
        if self._slot is None:
            return
        self._clear_shared_memory()
        self._slot.release()

    def _clear_shared_memory(self) -> None:
        """Delete the semaphores that killed programs left under this server's name, which is ours alone."""
        for left in _shared_folder().glob(f"jack*_{self.server}_*"):
            with suppress(OSError):
                left.unlink()

    def _stop(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        below = _below(process.pid)  # of a script that starts the synth, which would run on
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a stopped one would not hear
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in below:
            with suppress(psutil.Error):
                child.kill()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()


def _below(process_id: int) -> list[psutil.Process]:
    """The processes that a process has started, and those that they have."""
    try:
        return psutil.Process(process_id).children(recursive=True)
    except psutil.Error:
        return []


def _shared_folder() -> Path:
    """The folder that all see who see the same JACK servers: that of their semaphores, whatever `TMPDIR` says."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def may_be_urgent() -> bool:
    """Whether this process may ask for real-time scheduling."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        return False
    os.sched_setscheduler(0, before, os.sched_param(0))
    return True


def _free_port() -> int:
    """A TCP port that nobody uses, for programs that insist on serving one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill(word: str, filled: Mapping[str, str]) -> str:
    for mark, content in filled.items():
        word = word.replace(mark, content)
    return word


def wait_for(
    what: str, seconds: float, look: Callable[[], Any], check: Callable[[], None], seen: Callable[[], list[str]] = list
) -> Any:
    """Wait until `look` finds something. Raises `CaptureError` when time is up or `check` says that it is in vain; it
    names what was `seen` instead.
    """
    deadline = time.monotonic() + seconds
    while not (result := look()):
        check()
        if time.monotonic() > deadline:
            others = sorted(set(seen()))
            there = f" (there are: {', '.join(others[:12])})" if others else ""
            raise CaptureError(f"{what} did not appear within {seconds:.0f} s{there}")
        time.sleep(0.01)
    return result
