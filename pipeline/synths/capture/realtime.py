"""Capturing an external synth in real time: MIDI through python-rtmidi, sound through sounddevice. Works wherever those
two do.

Where the profile starts a program for JACK, it gets a JACK server of its own, as in faster-than-real-time capture; else
the ports and the audio device that are there are used, and a piece of hardware may hang on them. The latency from
message to sound is measured at the start and taken off every row.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.synths.capture.messages import CHECK, SILENCE, Calls, first_keys, row_messages, with_channels
from timbre_data.pipeline.synths.capture.programs import CaptureError, Programs, require_jack, wait_for
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import MissingDependencyError
from timbre_data.schemas.profile import Profile

PERIOD = 128
CHECKS = 7
EARLY_SECONDS = 0.05
"""How far a sound may seem to precede its message: a server hands over a block when it begins, not when it has been
heard.
"""
TRIES = 5
INSTALL = "pip install 'timbre-data[midi]' (sounddevice needs PortAudio; Debian: apt-get install libportaudio2)"


def require_realtime() -> None:
    """Raise `MissingDependencyError` where real-time capture cannot work."""
    try:
        import mido  # noqa: F401  # only whether it is there
        import rtmidi  # noqa: F401  # only whether it is there
        import sounddevice  # noqa: F401  # only whether it is there
    except (ImportError, OSError) as error:
        raise MissingDependencyError(f"midi: {error}; {INSTALL}.") from None


LEAD_SECONDS = 0.003
"""Rows begin so long before the usual onset: messages arrive in the audio server's blocks, so some notes come a little
earlier than others.
"""


class RealTimeCapture:
    """A synth played and heard in real time, opened inside a host process. `latency` is in samples, `jitter_seconds`
    what the checks differed by.
    """

    def __init__(
        self,
        profile: Profile,
        rate: int,
        channels: int,
        soundfont: str = "",
        midi_port: str = "",
        audio_device: str = "",
        presets: Calls = (),
    ) -> None:
        self._presets = presets
        self._profile, self._rate, self._channels = profile, rate, channels
        self._midi_port, self._audio_device = midi_port or profile.ports.midi, audio_device
        self._programs: Programs | None = None
        self._stream: Any = None
        self._output: Any = None
        self.latency, self.jitter_seconds = 0, 0.0
        sys.setswitchinterval(
            0.0005
        )  # the recorder is called by the audio device and must not wait for the interpreter
        if profile.command:
            require_jack()
            self._programs = Programs(profile, rate, PERIOD, soundfont, urgent=True)
            os.environ.update(
                {key: value for key, value in self._programs.environment.items() if key.startswith("JACK")}
            )
        try:
            require_realtime()
            self.reopen()
        except BaseException:
            self.close()
            raise

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples). A row that the sound card dropped samples of is played
        again.
        """
        rows = []
        for performance, patch in zip(performances, values, strict=True):
            for _ in range(TRIES):
                sound = self._play_one(performance, patch, samples, settle=settle)
                if not self._recorder.dropped:
                    break
            else:
                raise CaptureError(f"the sound card dropped samples {TRIES} times in one row")
            rows.append(sound)
        sounds = np.stack(rows)
        return with_channels(sounds, self._channels)

    def reopen(self) -> None:
        """Start the synth anew, connect to it and measure the latency. Raises `CaptureError` when it makes no sound."""
        self._disconnect()
        if self._programs:
            self._programs.stop_synth()
            self._programs.start_synth()
        self._connect()
        for message in self._profile.start:
            self._send(bytes.fromhex(message))
        self.latency = early = -round(EARLY_SECONDS * self._rate)
        onsets = [onset for onset in (self._hear() for _ in range(CHECKS)) if onset is not None]
        if len(onsets) < CHECKS // 2:
            raise CaptureError(f"{self._profile.name} makes no sound")
        self.latency = early + int(np.median(onsets)) - round(LEAD_SECONDS * self._rate)
        self.jitter_seconds = float(np.ptp(onsets)) / self._rate

    def close(self) -> None:
        """Let go of ports, and take down what was started."""
        self._disconnect()
        with suppress(Exception):
            import sounddevice

            sounddevice._terminate()  # it must go before its server
        if self._programs:
            self._programs.stop()

    def _hear(self) -> int | None:
        """Samples from the message to the sound of a test note; None when there is no sound."""
        sound = np.abs(self._play_one(CHECK, {}, self._rate // 2, settle=True)).max(axis=0)
        loud = np.flatnonzero(sound > max(0.05 * sound.max(), SILENCE))
        return int(loud[0]) if len(loud) else None

    def _connect(self) -> None:
        import mido
        import sounddevice

        owns_programs = self._programs is not None
        backend = mido.Backend("mido.backends.rtmidi/UNIX_JACK" if owns_programs else "mido.backends.rtmidi")

        def ports() -> list[str]:
            try:
                return list(backend.get_output_names())
            except Exception:  # rtmidi's own errors, while the server is starting
                return []

        def midi() -> Any:
            return next((name for name in ports() if re.search(self._midi_port, name)), None)

        name = wait_for(f"the MIDI port {self._midi_port}", self._profile.start_seconds, midi, self._check, ports)
        self._output = backend.open_output(name)
        wanted = self._audio_device or (self._profile.ports.audio[0].partition(":")[0] if owns_programs else "")

        def device() -> Any:
            with suppress(sounddevice.PortAudioError):  # the list of devices is made when PortAudio starts
                sounddevice._terminate()
                sounddevice._initialize()
            return next(([i] for i, name in inputs() if re.search(wanted, name)), None)

        def inputs() -> list[tuple[int, str]]:
            return [
                (i, d["name"])
                for i, d in enumerate(sounddevice.query_devices())
                if d["max_input_channels"]
                and (not owns_programs or "JACK" in sounddevice.query_hostapis(d["hostapi"])["name"])
            ]

        self._device = wait_for(
            f"an audio device {wanted or 'to record from'}",
            self._profile.start_seconds,
            device,
            self._check,
            lambda: [name for _, name in inputs()],
        )[0]
        channels = min(
            max(len(self._profile.ports.audio), 1), sounddevice.query_devices(self._device)["max_input_channels"]
        )
        self._recorder = _Recorder(self._rate, channels)
        self._stream = sounddevice.InputStream(
            device=self._device,
            channels=channels,
            samplerate=self._rate,
            dtype="float32",
            latency="low",
            callback=self._recorder,
        )
        self._stream.start()
        wait_for("sound from the audio device", 5, lambda: self._recorder.frames > self._rate // 4, self._check)

    def _disconnect(self) -> None:
        for closable in (self._stream, self._output):
            if closable is not None:
                with suppress(Exception):
                    closable.close()
        self._stream = self._output = None

    def _check(self) -> None:
        if self._programs:
            self._programs.check()

    def _send(self, message: bytes) -> None:
        import mido

        self._output.send(mido.Message.from_bytes(message))

    def _play_one(self, performance: Performance, patch: Mapping[str, float], samples: int, *, settle: bool) -> Audio:
        profile = self._profile
        self._send_all(row_messages(profile, patch, self._presets))
        if patch and profile.primer_seconds:
            time.sleep(profile.control_seconds)
            self._send_all([bytes((0x90, key, 100)) for key in first_keys(performance)])
            time.sleep(profile.primer_seconds)
            self._send_all([bytes((0x80, key, 0)) for key in first_keys(performance)])
            self._send_all([bytes.fromhex(message) for message in profile.reset])
        time.sleep(profile.settle_seconds if settle else max(profile.control_seconds, 0.1))
        self._recorder.dropped = False
        began = time.perf_counter()
        start = self._recorder.frame_at(began)
        self._recorder.keep_from(start - self._rate)
        for seconds, message in performance.events:
            if seconds * self._rate < samples:
                _sleep_until(began + seconds)
                self._send(message)
        first = start + self.latency
        deadline = began + 5 + 2 * (samples + self.latency) / self._rate
        while self._recorder.frames < first + samples:
            self._check()
            if time.perf_counter() > deadline:
                raise CaptureError("the audio device gives no more sound")
            time.sleep(0.005)
        return self._recorder.cut(first, samples)

    def _send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._send(message)


def _sleep_until(moment: float) -> None:
    """Sleep until a moment; sleeping is precise to a tenth of a millisecond, and looking at the clock instead would
    keep the recorder waiting.
    """
    while (left := moment - time.perf_counter()) > 0:
        time.sleep(left)


class _Recorder:
    """Everything that comes from the audio device since `keep_from`, and which frame belongs to which moment."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._blocks: deque[tuple[int, Audio]] = deque()
        self._offsets: deque[float] = deque(maxlen=400)
        self._kept = 0
        self.frames, self.dropped = 0, False

    def __call__(self, block: Audio, frames: int, moment: Any, status: Any) -> None:
        """Called by the audio device."""
        if status.input_overflow:  # what the clock says of frames before does not hold any more
            self.dropped = True
            self._offsets.clear()
        self._offsets.append(time.perf_counter() - (self.frames + frames) / self._rate)
        self._blocks.append((self.frames, block.T.copy()))
        self.frames += frames
        while self._blocks and self._blocks[0][0] + self._blocks[0][1].shape[1] < min(
            self._kept, self.frames - self._rate
        ):
            self._blocks.popleft()

    def frame_at(self, moment: float) -> int:
        """The frame that is recorded at a moment: blocks come late, never early, so the earliest of the last ones tell
        the time.
        """
        return round((moment - min(tuple(self._offsets))) * self._rate)

    def keep_from(self, frame: int) -> None:
        """Forget what came before."""
        self._kept = frame

    def cut(self, first: int, samples: int) -> Audio:
        """Frames `first` on: float32 (channels, samples)."""
        out = np.zeros((self._channels, samples), np.float32)
        for start, block in tuple(self._blocks):
            a, b = max(first, start), min(first + samples, start + block.shape[1])
            if a < b:
                out[:, a - first : b - first] = block[:, a - start : b - start]
        return out
