"""Vital inside its host process, through the `vita` wheel."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.synths.hosting.vst3 import fitted
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import MissingDependencyError, SynthError, UsageError
from timbre_data.schemas.presets import PRESET

INSTALL = "pip install 'timbre-data[vital]'"
SETTLE_SECONDS = 0.5
FRAME, LAST_FRAME, PARTIALS = 2048, 256, 400
"""Samples of one frame of a wavetable, the place of its last one, and how many partials ours have."""


def require_vita() -> None:
    """Raise `MissingDependencyError` where vita is not installed."""
    try:
        import vita  # noqa: F401  # only whether it is there
    except ImportError:
        raise MissingDependencyError(f"vital: the vita package is missing; {INSTALL}.") from None


def normalized(presets: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Values of controls in Vital's own units as places in [0, 1], clipped to their ranges; of each preset. Asked in a
    process of its own, as all of Vital. Raises `MissingDependencyError`, and `SynthError` where that process fails.
    """
    if importlib.util.find_spec("vita") is None:
        raise MissingDependencyError(f"vital: the vita package is missing; {INSTALL}.")
    code = f"from {__name__} import _answer; _answer()"
    asked = json.dumps([dict(values) for values in presets])
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, text=True)
    try:
        answer: list[dict[str, float]] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise SynthError("vital", [f"it does not say the ranges of its controls: {said[0][:200]}"]) from None
    return answer


def _answer() -> None:
    """In that process: read values from stdin, write places to stdout."""
    import vita

    synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++; its controls do not outlive it
    controls = synth.get_controls()
    answer = []
    for values in json.load(sys.stdin):
        places = {}
        for name, value in values.items():
            controls[name].set(float(value))
            places[name] = min(max(float(controls[name].get_normalized()), 0.0), 1.0)
        answer.append(places)
    print(json.dumps(answer), flush=True)
    os._exit(0)  # its bindings complain of leaks else


def morphing(preset: str) -> str:
    """A preset, as JSON, with a wavetable for its first oscillator that goes from a sine over a triangle and a saw to a
    square. The initial preset's has one frame only, and no place in it.
    """
    data = json.loads(preset)
    phase = np.arange(FRAME) / FRAME
    orders = np.arange(1, PARTIALS + 1)
    odd = orders % 2 == 1
    frames = (
        orders == 1,
        np.where(odd, np.where(orders % 4 == 1, 1.0, -1.0) / orders**2, 0.0),
        1.0 / orders,
        np.where(odd, 1.0 / orders, 0.0),
    )
    source = data["settings"]["wavetables"][0]["groups"][0]["components"][0]
    source["keyframes"] = []
    for place, amplitudes in zip(np.rint(np.linspace(0, LAST_FRAME, len(frames))), frames, strict=True):
        wave = amplitudes @ np.sin(2 * np.pi * np.outer(orders, phase))
        content = base64.b64encode((wave / np.abs(wave).max()).astype("<f4").tobytes()).decode()
        source["keyframes"].append({"position": int(place), "wave_data": content})
    return json.dumps(data)


class HostedVital:
    """Vital, its controls set by name as normalized values, with its initial preset or the one of a row."""

    def __init__(
        self,
        rate: int,
        channels: int,
        fixed: Mapping[str, float],
        modulations: Sequence[tuple[str, str]],
        presets: Sequence[str] | None = None,
    ) -> None:
        require_vita()
        self._rate, self._channels, self._fixed, self._modulations = rate, channels, fixed, modulations
        self._presets = presets
        self.reopen()

    def reopen(self) -> None:
        """Make a new synth."""
        import vita

        self._synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++
        self._synth.set_sample_rate(self._rate)
        self._synth.load_init_preset()
        if self._presets is None:
            self._synth.load_json(morphing(self._synth.to_json()))
            for source, destination in self._modulations:
                self._synth.connect_modulation(source, destination)
        self._controls = self._synth.get_controls()

    def _load(self, file: str) -> None:
        if not self._synth.load_preset(file):
            raise UsageError(f"presets: Vital does not take {file}: it is broken, or of a newer version.")

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples). Vita plays single notes, so those of a chord or phrase
        are added up.
        """
        rows = []
        for performance, sent in zip(performances, values, strict=True):
            patch = dict(sent)
            which = int(patch.pop(PRESET, 0))
            if self._presets is not None:
                self._load(self._presets[which])
            for name, value in self._fixed.items():
                self._controls[name].set(value)
            for name, value in patch.items():
                self._controls[name].set_normalized(value)
            if settle:
                self._synth.render(60, 0.0, 0.01, SETTLE_SECONDS)
            row = np.zeros((self._channels, samples), np.float32)
            for note in performance.notes:
                start = round(note.start_seconds * self._rate)
                if start >= samples:
                    continue
                left = samples - start
                held = min(note.stop_seconds - note.start_seconds, left / self._rate)
                sound = self._synth.render(note.key, note.velocity / 127, held, (left + 1) / self._rate)
                row[:, start:] += fitted(np.asarray(sound, np.float32), self._channels, left)
            rows.append(row)
        return np.stack(rows)

    def close(self) -> None:
        """The process ends soon."""
