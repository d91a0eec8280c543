"""Vital inside its host process, through the `vita` wheel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.synths.hosting.vst3 import fitted
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import MissingDependencyError

INSTALL = "pip install 'timbre-data[vital]'"
SETTLE_SECONDS = 0.5


def require_vita() -> None:
    """Raise `MissingDependencyError` where vita is not installed."""
    try:
        import vita  # noqa: F401  # only whether it is there
    except ImportError:
        raise MissingDependencyError(f"vital: the vita package is missing; {INSTALL}.") from None


class HostedVital:
    """Vital with its initial preset; controls set by name as normalized values."""

    def __init__(
        self, rate: int, channels: int, fixed: Mapping[str, float], modulations: Sequence[tuple[str, str]]
    ) -> None:
        require_vita()
        self._rate, self._channels, self._fixed, self._modulations = rate, channels, fixed, modulations
        self.reopen()

    def reopen(self) -> None:
        """Make a new synth."""
        import vita

        self._synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++
        self._synth.set_sample_rate(self._rate)
        self._synth.load_init_preset()
        for source, destination in self._modulations:
            self._synth.connect_modulation(source, destination)
        self._controls = self._synth.get_controls()

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples). Vita plays single notes, so those of a chord or phrase
        are added up.
        """
        rows = []
        for performance, patch in zip(performances, values, strict=True):
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
