"""Capturing an external synth over JACK, faster than real time and to the sample.

Every capture has an audio server of its own (jackd with the dummy driver, which needs no sound card) and its own synth program, so
that several run side by side. In freewheel the server calls everyone as fast as they can; our client writes MIDI at exact frames and
records in the same call, so a note begins at the same frame in every row.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from timbre_data.pipeline.kinds import Audio, Performance, PlayedNote
from timbre_data.pipeline.synths._host import die_with_parent
from timbre_data.schemas.errors import MissingDependencyError, UsageError
from timbre_data.schemas.profile import Profile

PERIOD = 1024
"""Frames between two calls; a row begins on such a border, so that a synth's own blocks fall alike in every row."""
HUNG_SECONDS = 4.0
CHECK = Performance.of(PlayedNote(0.0, 0.4, 60, 110))
SILENCE = 1e-5
SLOTS = 7
"""JACK registers eight servers a user; one is left to the user. Names are used again, so that a killed server's place is not lost."""
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
        self._folder = Path(tempfile.mkdtemp(prefix="timbre-data-"))
        self._soundfont, self._period = soundfont, period
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def _start_server(self) -> None:
        """Start the audio server under the first name that is free.

        A name whose last server was killed is free again once that process has been collected by the system's init; where nobody
        collects it (a container without one), the next name is taken.
        """
        last: CaptureError | None = None
        for number in range(SLOTS):
            lock = FileLock(Path(tempfile.gettempdir()) / f"timbre-data-{getattr(os, 'getuid', int)()}-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            self._slot, self.server = lock, Path(lock.lock_file).stem
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
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent if sys.platform == "linux" else None
            )  # fmt: skip

    def check(self) -> None:
        """Raise `CaptureError` when one of them is gone."""
        for name, process in self._running.items():
            if process.poll() is not None:
                lines = (self._folder / f"{name}.log").read_text(errors="replace").split("\n")
                said = next((f": {line.strip()[:160]}" for line in reversed(lines) if line.strip()), "")
                raise CaptureError(f"{name} ended by itself (exit code {process.returncode}{said})")

    def stop_synth(self) -> None:
        """Take the synth down."""
        self._stop(self.profile.name)

    def stop(self) -> None:
        """Take both down and leave nothing behind."""
        for name in reversed(list(self._running)):
            self._stop(name)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._slot is None:
            return
        for left in Path("/dev/shm").glob(f"jack*_{self.server}_*"):  # semaphores of programs that were killed
            with suppress(OSError):
                left.unlink()
        self._slot.release()

    def _stop(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a stopped one would not hear
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def wait_for(what: str, seconds: float, look: Callable[[], Any], check: Callable[[], None]) -> Any:
    """Wait until `look` finds something. Raises `CaptureError` when time is up or `check` says that it is in vain."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        check()
        if time.monotonic() > deadline:
            raise CaptureError(f"{what} did not appear within {seconds:.0f} s")
        time.sleep(0.01)
    return found


class JackCapture:
    """A synth in freewheel, opened inside a host process."""

    def __init__(self, profile: Profile, rate: int, channels: int, soundfont: str = "") -> None:
        require_jack()
        self._profile, self._rate, self._channels = profile, rate, channels
        self._programs = Programs(profile, rate, PERIOD, soundfont)
        self._job: _Job | None = None
        try:
            self._client = self._connect()
            self.reopen()
        except BaseException:
            self._programs.stop()
            raise

    def reopen(self) -> None:
        """Start the synth anew and hear it once. Raises `CaptureError` when it makes no sound."""
        self._programs.stop_synth()
        self._programs.start_synth()
        profile = self._profile
        midi = self._find(profile.ports.midi, is_midi=True, is_input=True)
        audio = [self._find(pattern, is_audio=True, is_output=True) for pattern in profile.ports.audio]
        pairs = [(self._midi, midi), *zip(audio, self._inputs, strict=True)]
        for pair in pairs:
            connected = partial(self._connected, *pair)
            wait_for(f"a connection with {profile.name}", profile.start_seconds, connected, self._programs.check)
        self._run(_Job([(0, bytes.fromhex(message)) for message in profile.start], PERIOD, len(self._inputs)))
        deadline = time.monotonic() + profile.start_seconds
        while time.monotonic() < deadline:  # a program may load its sounds for a while after its ports are there
            if np.abs(self.play([CHECK], [{}], self._rate // 2, settle=False)).max() > SILENCE:
                return
            time.sleep(0.1)
        raise CaptureError(f"{profile.name} makes no sound")

    def close(self) -> None:
        """Take synth and server down. Our client goes with the server: leaving by itself it would wait for a synth that hangs."""
        self._programs.stop()

    def _connect(self) -> Any:
        client = wait_for("the JACK server", 10, lambda: self._programs.client("timbre-data"), self._programs.check)
        self._midi = client.midi_outports.register("midi")
        self._inputs = [client.inports.register(f"in_{i + 1}") for i in range(len(self._profile.ports.audio))]
        client.set_process_callback(self._process)
        client.activate()
        return client

    def _connected(self, source: Any, sink: Any) -> bool:
        """Connect two ports; a program's ports show a moment before it can be connected."""
        import jack

        try:
            self._client.connect(source, sink)
        except jack.JackErrorCode:
            return False
        return True

    def _find(self, pattern: str, **kinds: bool) -> Any:
        def look() -> Any:
            return next((port for port in self._client.get_ports(**kinds) if re.fullmatch(pattern, port.name)), None)

        return wait_for(
            f"the port {pattern} of {self._profile.name}", self._profile.start_seconds, look, self._programs.check
        )

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples); `settle` waits the profile's time before each."""
        events: list[tuple[int, bytes]] = []
        begins: list[int] = []
        now = 0
        profile, rate = self._profile, self._rate
        before = profile.settle_seconds if settle else profile.control_seconds
        for performance, patch in zip(performances, values, strict=True):
            events += [(now, message) for message in row_messages(profile, patch)]
            if patch and profile.primer_seconds:
                now += _whole_periods(round(profile.control_seconds * rate))
                events += [(now, bytes((0x90, key, 100))) for key in first_keys(performance)]
                now += _whole_periods(round(profile.primer_seconds * rate))
                events += [(now, bytes((0x80, key, 0))) for key in first_keys(performance)]
                events += [(now, bytes.fromhex(message)) for message in profile.reset]
            now += _whole_periods(round(before * rate))
            begins.append(now)
            events += [(now + round(s * rate), m) for s, m in performance.events if s * rate < samples]
            now += _whole_periods(samples)
        job = _Job(events, now, len(self._inputs))
        self._run(job)
        sounds = np.stack([job.recorded[:, begin : begin + samples] for begin in begins])
        return with_channels(sounds, self._channels)

    def _run(self, job: _Job) -> None:
        self._client.set_freewheel(True)
        self._job = job
        last, since = -1, time.monotonic()
        try:
            while not job.done.wait(0.05):
                self._programs.check()
                if job.place != last:
                    last, since = job.place, time.monotonic()
                elif time.monotonic() - since > HUNG_SECONDS:
                    raise CaptureError(f"{self._profile.name} or its audio server hung")
        finally:
            self._job = None
        self._programs.check()
        self._client.set_freewheel(False)

    def _process(self, frames: int) -> None:
        """Called by JACK for every period: send what is due, record what came."""
        self._midi.clear_buffer()
        job = self._job
        if job is None or job.done.is_set():
            return
        end = job.place + frames
        while job.next < len(job.events) and job.events[job.next][0] < end:
            frame, message = job.events[job.next]
            self._midi.write_midi_event(frame - job.place, message)
            job.next += 1
        count = min(end, job.frames) - job.place
        for i, port in enumerate(self._inputs):
            job.recorded[i, job.place : job.place + count] = port.get_array()[:count]
        job.place = end
        if end >= job.frames:
            job.done.set()


class _Job:
    """A stretch of time: MIDI messages at frames, and what was recorded [shape=(channels, frames)]."""

    def __init__(self, events: Sequence[tuple[int, bytes]], frames: int, channels: int) -> None:
        self.events, self.frames, self.next, self.place = events, frames, 0, 0
        self.recorded = np.zeros((channels, frames), np.float32)
        self.done = threading.Event()


def row_messages(profile: Profile, patch: Mapping[str, float]) -> list[bytes]:
    """What is sent before a row's note: the reset, then every knob. An empty patch sends the reset alone."""
    messages = [bytes.fromhex(message) for message in profile.reset]
    for parameter in profile.parameters if patch else ():
        messages += parameter.messages(patch[parameter.name])
    return messages


def with_channels(sounds: Audio, channels: int) -> Audio:
    """Sounds [shape=(n, recorded channels, samples)] with as many channels as asked for: mixed to one, and repeated where there are too few."""
    if sounds.shape[1] == channels:
        return sounds
    return np.repeat(sounds.mean(axis=1, keepdims=True), channels, axis=1)


def first_keys(performance: Performance) -> list[int]:
    """The keys that are struck first, together."""
    start = min((note.start_seconds for note in performance.notes), default=0.0)
    return [note.key for note in performance.notes if note.start_seconds == start]


def _whole_periods(frames: int) -> int:
    return -(-frames // PERIOD) * PERIOD
