"""What the recogniser does for its page: recognise a sound, play a dry one through settings, play a patch, write a
script.
"""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from timbre_data.commands.pages.page_sounds import SpectrogramPictures
from timbre_data.models.inference import matching
from timbre_data.models.inference.note_stream import note_prediction
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.report import Setting, as_data
from timbre_data.models.inference.sound_files import reading
from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter

SHOWN_SECONDS = 12.0
"""Sound at most that a spectrogram shows."""


class Recogniser:
    """A run at work. Raises `UsageError` for runs that predict neither effects, parameters nor tags of notes."""

    def __init__(self, run: Path) -> None:
        self.name = run.name
        self.predictor = Predictor(run)
        if self.predictor.target.windows or self.predictor.target.learns_from == "pairs":
            raise UsageError(f"{run.name} learned {self.predictor.trained.target}: the page shows runs of notes.")
        self._busy = threading.Lock()  # networks and synths are used by one at a time
        noise = np.random.default_rng(0).uniform(-1, 1, (1, self.predictor.samples)).astype(np.float32)
        dry = noise if self.predictor.needs_dry else None
        self.predictor.predict_arrays(noise, np.full(1, np.nan, np.float32), dry)  # the first answer takes no longer

    def describe(self) -> dict[str, Any]:
        """What the page needs to know of the run."""
        trained = self.predictor.trained
        return {
            "name": self.name,
            "model": trained.model,
            "target": trained.target,
            "rate": self.predictor.rate,
            "seconds": self.predictor.samples / self.predictor.rate,
            "synth": self.predictor.of_a_synth,
            "knobs": self._knobs(),
            "needs_pitch": self.predictor.needs_pitch,
            "needs_dry": self.predictor.needs_dry,
        }

    def _knobs(self) -> dict[str, list[dict[str, Any]]]:
        """The parameters of every effect, or of the synth."""
        knobs: dict[str, list[dict[str, Any]]] = {}
        trained = self.predictor.trained
        for described, effect in zip(trained.parameters, trained.effects, strict=True):
            knobs.setdefault(effect, []).append(knob(Parameter.model_validate(described)))
        return knobs

    def recognise(self, file: Path, dry: Path | None = None) -> dict[str, Any]:
        """Recognise a sound file: notes, probabilities, effects with settings, parameters. Raises `UsageError`."""
        with self._busy:
            prediction = self.predictor.predict(file, dry=dry)
            try:
                steps = self.predictor.steps(prediction)
            except UsageError:  # a class without known parameters
                steps = []
        data = as_data(prediction, steps)
        data.pop("file")
        choices = {
            effect: {"effect": effect, "parameters": self.predictor.steps(prediction, effect)[0].values}
            for effect in dict.fromkeys(self.predictor.trained.effects)
            if not self.predictor.of_a_synth
        }
        return data | {"labels": prediction.labels, "choices": choices}

    def play_patch(self, labels: Mapping[str, float]) -> tuple[Audio, int]:
        """What the run's synth plays with normalized knobs, on the first note of its dataset: float32 [shape=(channels,
        samples)] and the rate. Raises `UsageError`.
        """
        if not self.predictor.of_a_synth:
            raise UsageError(f"{self.name} has no synth to play.")
        names = list(self.predictor.trained.outputs)
        if set(labels) != set(names) or not all(0 <= value <= 1 for value in labels.values()):
            raise UsageError("a patch has every knob of the run, from 0 to 1.")
        with self._busy:
            return matching.played(self.predictor, labels), self.predictor.rate

    def hear_note(self, start: int, note: Audio) -> dict[str, Any]:
        """What is said of a single note [shape=(samples,)] of a running sound, which sets in at sample `start`."""
        prediction = note_prediction(self.predictor, start, note)
        try:
            steps: Sequence[Setting] = self.predictor.steps(prediction)
        except UsageError:  # settings of several effects, and nobody to say which: all of them
            steps = [
                step
                for effect in dict.fromkeys(self.predictor.trained.effects)
                for step in self.predictor.steps(prediction, effect)
            ]
        return {
            "onset_seconds": round(prediction.notes[0].onset_seconds, 4),
            "probabilities": prediction.probabilities,
            "effects": [{"effect": step.effect, "texts": step.texts, "parameters": step.values} for step in steps],
        }


def knob(parameter: Parameter) -> dict[str, Any]:
    """A parameter as a knob."""
    low, high = parameter.bounds
    return {
        "name": parameter.name,
        "short": parameter.name.rpartition(".")[2],
        "low": low,
        "high": high,
        "kind": parameter.kind,
        "unit": parameter.unit_text,
        "positions": list(parameter.positions),
        "description": parameter.description,
    }


def settings_of(steps: Any) -> list[Setting]:
    """Effects with the values of their parameters, as a page gives them. Raises `UsageError` for anything that is not
    within their ranges.
    """
    if not isinstance(steps, list) or len(steps) > 16:
        raise UsageError("settings are a list of effects.")
    settings = []
    for step in steps:
        name, values = (step.get("effect"), step.get("values")) if isinstance(step, dict) else (None, None)
        if (
            not isinstance(name, str)
            or name not in EFFECTS.shipped()
            or name == "plugin"
            or not isinstance(values, dict)
        ):
            raise UsageError("an effect has the name of one that is shipped, and values.")
        effect: Effect = EFFECTS.load(name)
        if set(values) != set(effect.space.names):
            raise UsageError(f"{name} has the parameters {', '.join(effect.space.names) or 'none'}.")
        for parameter in effect.space:
            low, high = parameter.bounds
            value = values[parameter.name]
            if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
                raise UsageError(f"{name}.{parameter.name} lies between {low:g} and {high:g}.")
        texts = {p.name: p.describe(float(p.to_unit(values[p.name]))) for p in effect.space}
        settings.append(Setting(name, {key: float(value) for key, value in values.items()}, texts))
    return settings


def through(dry: Path, settings: Sequence[Setting]) -> tuple[Audio, int]:
    """A dry recording through effects: float32 [shape=(channels, samples)] and the rate. Raises `UsageError`."""
    return matching.match(dry, settings)


def picture_of(file: Path) -> str:
    """The spectrogram of a sound file as a PNG, base64. Raises `UsageError`."""
    with reading(file), soundfile.SoundFile(file) as opened:
        rate = opened.samplerate
        sound = opened.read(int(SHOWN_SECONDS * rate), dtype="float32", always_2d=True).T
    if not sound.size:
        raise UsageError(f"{file}: holds no samples.")
    return picture(sound, rate)


def picture(sound: Audio, rate: int) -> str:
    """The spectrogram of a sound [shape=(channels, samples)] as a PNG, base64."""
    shown = np.nan_to_num(sound[:, : int(SHOWN_SECONDS * rate)])
    return base64.b64encode(SpectrogramPictures(max(shown.shape[1], 1), rate)(shown)).decode("ascii")


PEDALBOARD = {
    "distortion": (
        "Distortion(drive_db={drive_db})",
        "LowShelfFilter({low_shelf_cutoff_hz}, {low_shelf_gain_db}, {low_shelf_q})",
        "HighShelfFilter({high_shelf_cutoff_hz}, {high_shelf_gain_db}, {high_shelf_q})",
    ),
    "delay": ("Delay(delay_seconds={delay_seconds}, feedback={feedback}, mix={mix})",),
    "feedback_delay": ("Delay(delay_seconds={delay_seconds}, feedback={feedback}, mix={mix})",),
    "slapback_delay": ("Delay(delay_seconds={delay_seconds}, feedback=0, mix={mix})",),
    "modulation": (
        "Chorus(rate_hz={rate_hz}, depth={depth}, centre_delay_ms={centre_delay_ms}, feedback={feedback}, mix={mix})",
    ),
    "flanger": (
        "Chorus(rate_hz={rate_hz}, depth={depth}, centre_delay_ms={centre_delay_ms}, feedback={feedback}, mix={mix})",
    ),
    "chorus": ("Chorus(rate_hz={rate_hz}, depth={depth}, centre_delay_ms={centre_delay_ms}, feedback=0, mix={mix})",),
    "vibrato": ("Chorus(rate_hz={rate_hz}, depth={depth}, centre_delay_ms=12.0, feedback=0, mix=1)",),
}
"""Effects that are pedalboard's plug-ins in a row."""


def script_of(settings: Sequence[Setting]) -> str:
    """A Python script that sends a sound file through these effects: with pedalboard alone where they are its plug-ins,
    else with timbre-data.
    """
    lines = [
        '"""Send a sound file through recognised settings: python script.py DRY.wav OUT.wav"""',
        "",
        "import sys",
        "",
    ]
    if all(setting.effect in PEDALBOARD for setting in settings):
        plugins = [part.format(**setting.values) for setting in settings for part in PEDALBOARD[setting.effect]]
        used = sorted({plugin.partition("(")[0] for plugin in plugins})
        lines += [
            f"from pedalboard import {', '.join(['Pedalboard', *used])}",
            "from pedalboard.io import AudioFile",
            "",
            "board = Pedalboard([",
            *(f"    {plugin}," for plugin in plugins),
            "])",
            "with AudioFile(sys.argv[1]) as file:",
            "    rate, dry = file.samplerate, file.read(file.frames)",
            "dry = dry / abs(dry).max()  # the settings were recognised of sounds at full scale",
            "wet = board(dry, rate)",
            'with AudioFile(sys.argv[2], "w", rate, len(wet)) as file:',
            "    file.write(wet / abs(wet).max())",
        ]
    else:
        lines += [
            "import soundfile",
            "from timbre_data import api",
            "",
            f"steps = {[(setting.effect, setting.values) for setting in settings]!r}",
            'dry, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)',
            "wet = dry.T / abs(dry).max()  # the settings were recognised of sounds at full scale",
            "for effect, values in steps:",
            '    wet = api.load_member("effect", effect).render(wet, rate, values)',
            "soundfile.write(sys.argv[2], wet.T / abs(wet).max(), rate)",
        ]
    return "\n".join(lines) + "\n"
