"""Capturing an external synth over JACK, faster than real time and to the sample.

Every capture has an audio server of its own (jackd with the dummy driver, which needs no sound card) and its own synth
program, so that several run side by side. In freewheel the server calls everyone as fast as they can; our client writes
MIDI at exact frames and records in the same call, so a note begins at the same frame in every row.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.synths.capture.messages import CHECK, SILENCE, Calls, first_keys, row_messages, with_channels
from timbre_data.pipeline.synths.capture.programs import CaptureError, Programs, require_jack, wait_for
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.profile import Profile

PERIOD = 1024
"""Frames between two calls; a row begins on such a border, so that a synth's own blocks fall alike in every row."""


HUNG_SECONDS = 4.0


class JackCapture:
    """A synth in freewheel, opened inside a host process."""

    def __init__(self, profile: Profile, rate: int, channels: int, soundfont: str = "", presets: Calls = ()) -> None:
        require_jack()
        self._profile, self._rate, self._channels, self._presets = profile, rate, channels, presets
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
        """Take synth and server down. Our client goes with the server: leaving by itself it would wait for a synth that
        hangs.
        """
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

        def seen() -> list[str]:
            return [port.name for port in self._client.get_ports(**kinds)]

        what = f"the port {pattern} of {self._profile.name}"
        return wait_for(what, self._profile.start_seconds, look, self._programs.check, seen)

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
            events += [(now, message) for message in row_messages(profile, patch, self._presets)]
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


def _whole_periods(frames: int) -> int:
    return -(-frames // PERIOD) * PERIOD
