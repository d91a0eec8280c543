"""A VST3 or Audio Unit instrument inside its host process, by pedalboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import NotFoundError, UsageError

SETTLE_SECONDS = 1.0


def load(path: str, plugin_name: str | None) -> Any:
    """Load a plug-in. Raises `NotFoundError` or `UsageError`."""
    from pedalboard import load_plugin  # type: ignore[attr-defined]  # the stubs leave it out

    if not Path(path).expanduser().exists():
        raise NotFoundError(f"plugin: there is no {path}. Give the path of a .vst3 or .component.")
    try:
        return load_plugin(str(Path(path).expanduser()), plugin_name=plugin_name or None)
    except (ImportError, ValueError, RuntimeError) as error:
        raise UsageError(f"plugin: {path} cannot be loaded ({' '.join(str(error).split())}).") from None


class HostedPlugin:
    """One plug-in, its parameters set by name as raw values in [0, 1]."""

    def __init__(
        self,
        path: str,
        plugin_name: str,
        rate: int,
        channels: int,
        names: Mapping[str, str],
        fixed: Mapping[str, float],
    ) -> None:
        self._path, self._plugin_name, self._rate, self._channels = path, plugin_name, rate, channels
        self._names, self._fixed = names, fixed
        self.reopen()

    def reopen(self) -> None:
        """Load the plug-in anew."""
        self._plugin = load(self._path, self._plugin_name)
        if not self._plugin.is_instrument:
            raise UsageError(f"plugin: {self._path} is an effect, not an instrument.")
        check_names(self._plugin, self._path, {*self._names.values(), *self._fixed})

    def play(
        self, performances: Sequence[Performance], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Play rows in order: float32 (n, channels, samples); `settle` lets silence run through the plug-in before
        each.
        """
        rows = []
        for performance, patch in zip(performances, values, strict=True):
            if settle:
                self._plugin([], duration=SETTLE_SECONDS, sample_rate=self._rate, num_channels=2, reset=False)
            for name, value in self._fixed.items():
                self._plugin.parameters[name].raw_value = value
            for name, value in patch.items():
                self._plugin.parameters[self._names[name]].raw_value = value
            messages = [(message, seconds) for seconds, message in performance.events]
            sound = self._plugin(
                messages, duration=samples / self._rate, sample_rate=self._rate, num_channels=2, reset=True
            )
            rows.append(fitted(np.asarray(sound, np.float32), self._channels, samples))
        return np.stack(rows)

    def close(self) -> None:
        """The process ends soon."""


class HostedEffect:
    """One effect plug-in; instead of performances it gets sounds, float32 (channels, samples)."""

    def __init__(
        self, path: str, plugin_name: str, rate: int, names: Mapping[str, str], fixed: Mapping[str, float]
    ) -> None:
        self._path, self._plugin_name, self._rate, self._names, self._fixed = path, plugin_name, rate, names, fixed
        self.reopen()

    def reopen(self) -> None:
        """Load the plug-in anew."""
        self._plugin = load(self._path, self._plugin_name)
        if not self._plugin.is_effect:
            raise UsageError(f"plugin: {self._path} is an instrument, not an effect: use it as a synth.")
        check_names(self._plugin, self._path, {*self._names.values(), *self._fixed})

    def play(
        self, performances: Sequence[Any], values: Sequence[Mapping[str, float]], samples: int, *, settle: bool
    ) -> Audio:
        """Send sounds through in order: float32 (n, channels, samples)."""
        rows = []
        for sound, patch in zip(performances, values, strict=True):
            for name, value in {**self._fixed, **{self._names[key]: value for key, value in patch.items()}}.items():
                self._plugin.parameters[name].raw_value = value
            wet = self._plugin.process(sound, self._rate, reset=True)
            rows.append(np.asarray(wet, np.float32)[:, :samples])
        return np.stack(rows)

    def close(self) -> None:
        """The process ends soon."""


def check_names(plugin: Any, path: str, wanted: set[str]) -> None:
    """Raise `UsageError` for parameters that a plug-in does not have."""
    unknown = sorted(wanted - set(plugin.parameters))
    if unknown:
        raise UsageError(f"plugin: {path} has no parameter {', '.join(unknown)}; see timbre-data synth inspect {path}.")


def fitted(sound: Audio, channels: int, samples: int) -> Audio:
    """Stereo as it came, mixed to one channel or repeated to more; cut or padded to `samples`."""
    sound = np.pad(sound[:, :samples], ((0, 0), (0, max(samples - sound.shape[1], 0))))
    if channels == 2 and len(sound) == 2:
        return sound
    return np.repeat(sound.mean(axis=0, keepdims=True), channels, axis=0)


def inspect(path: str, plugin_name: str | None = None) -> dict[str, Any]:
    """The draft of a plug-in's settings: every parameter with range and kind, and those that look unusable with the
    reason.
    """
    plugin = load(path, plugin_name)
    parameters: list[dict[str, Any]] = []
    unusable: dict[str, str] = {}
    for name, parameter in plugin.parameters.items():
        reason = why_unusable(name, parameter)
        if reason:
            unusable[name] = reason
            continue
        entry: dict[str, Any] = {"name": _unlike(_plain(name), parameters), "target": name}
        texts = (
            [str(value) for value in parameter.valid_values] if parameter.is_discrete or parameter.is_boolean else []
        )
        if parameter.is_boolean:
            entry["kind"] = "switch"
        elif 2 <= len(texts) <= 64:
            entry |= {"kind": "choice", "positions": texts}
        parameters.append(entry | {"description": f"{parameter.name}: {parameter.range} {parameter.label}".strip()})
    return {"path": path, "plugin_name": plugin_name or "", "instrument": bool(plugin.is_instrument), "parameters": parameters, "unusable": unusable}  # fmt: skip


def why_unusable(name: str, parameter: Any) -> str:
    """Why a parameter is no good as a label; empty where nothing speaks against it."""
    if name == "bypass" or name.startswith("bypass_"):
        return "switches the plug-in off"
    if "midi_cc" in name or name.startswith("midi_"):
        return "a MIDI controller under another name"
    if not parameter.is_automatable:
        return "cannot be automated"
    low, high, _ = parameter.range
    if low == high:
        return "has one value only"
    try:
        before = parameter.raw_value
        parameter.raw_value = 0.75 if before < 0.5 else 0.25
        moved = parameter.raw_value != before
        parameter.raw_value = before
    except Exception as error:
        return f"cannot be set ({error})"
    return "" if moved else "does not move when it is set"


def _unlike(name: str, others: Sequence[Mapping[str, Any]]) -> str:
    """The name, numbered where another parameter has it."""
    taken, number, unique = {one["name"] for one in others}, 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def _plain(name: str) -> str:
    text = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower()).strip("_")
    return text if text[:1].isalpha() else f"p_{text}"
