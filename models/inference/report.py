"""Predictions and their forms: plain data, text, a Praat TextGrid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbre_data.pipeline.catalogue.files import whole
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.models.inference.predicting import PredictResult


@dataclass(frozen=True)
class NotePrediction:
    """The prediction for one note: `probabilities` of the classes, `parameters` (physical values by
    `step.parameter`).
    """

    onset_seconds: float
    probabilities: dict[str, float]
    parameters: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """One effect with its predicted parameters: `values` for rendering, `texts` for people, with units."""

    effect: str
    values: dict[str, float]
    texts: dict[str, str]


@dataclass(frozen=True)
class Prediction:
    """The prediction for a file: each note, and all of them together (mean probability, median of each normalized
    parameter).

    `texts` are the parameters for people, without those that mean nothing beside the others (the knobs of an oscillator
    that is off). `segments` say what is heard when, for a run that names frames, with the mean probability of each.
    """

    file: str
    notes: tuple[NotePrediction, ...]
    probabilities: dict[str, float]
    parameters: dict[str, float]
    labels: dict[str, float]
    units: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    segments: tuple[tuple[float, float, str, float], ...] = ()

    def classes(self) -> list[str]:
        """Classes, most probable first."""
        return sorted(self.probabilities, key=lambda name: -self.probabilities[name])


def write_textgrid(prediction: Prediction, out: Path) -> None:
    """Write the segments of a prediction as a Praat TextGrid of one tier, whole or not at all. Raises `UsageError`."""
    from praatio import textgrid
    from praatio.utilities.constants import Interval

    if out.suffix != ".TextGrid":
        raise UsageError(f"--textgrid {out}: give a file name that ends in .TextGrid.")
    grid = textgrid.Textgrid()
    entries = [Interval(start, stop, label) for start, stop, label, _ in prediction.segments]
    grid.addTier(textgrid.IntervalTier("phonemes", entries, 0, prediction.segments[-1][1]))
    try:
        with whole(out) as partial:
            grid.save(str(partial), format="long_textgrid", includeBlankSpaces=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}).") from None


def shown(answer: PredictResult) -> tuple[dict[str, Any], str]:
    """An answer as plain data for JSON, and as text."""
    if answer.prediction is None:
        return answer.processed, processed_text(answer.processed)
    data, text = as_data(answer.prediction, answer.settings), as_text(answer.prediction, answer.settings)
    if answer.answers is None:
        return data, text
    from timbre_data.models.inference import several_answers

    return data | asdict(answer.answers), f"{text}\n{several_answers.as_text(answer.answers)}"


def processed_text(done: dict[str, Any]) -> str:
    """Describe a file that was processed by a learned transformation."""
    text = f"{done['file']}: {done['seconds']:.2f} s processed, in {done['out']}"
    if done["resampled_to"]:
        text += f"; resampled from {done['rate']} to {done['resampled_to']} Hz and back, so nothing above {done['resampled_to'] // 2} Hz is left"
    if done["gain"] < 1:
        text += f"; turned down by {-20 * math.log10(done['gain']):.1f} dB to avoid clipping"
    return text


def as_data(prediction: Prediction, steps: Sequence[Setting]) -> dict[str, Any]:
    """A prediction as plain data for JSON."""
    return {
        "file": prediction.file,
        "probabilities": prediction.probabilities,
        "effects": [{"effect": step.effect, "parameters": step.values} for step in steps],
        "parameters": prediction.parameters,
        "units": prediction.units,
        "notes": [vars(note) for note in prediction.notes],
        "segments": [
            {"start_seconds": start, "stop_seconds": stop, "label": label, "probability": probability}
            for start, stop, label, probability in prediction.segments
        ],
    }


def as_text(prediction: Prediction, steps: Sequence[Setting], shown: int = 5) -> str:
    """A prediction for people: classes, then the parameters of the chosen effects with units."""
    if prediction.segments:
        lines = [f"{prediction.file}: {len(prediction.segments)} segments"]
        lines += [
            f"  {start:8.2f} {stop:8.2f} s  {label:<20} {100 * p:5.1f} %"
            for start, stop, label, p in prediction.segments
        ]
        return "\n".join(lines)
    lines = [f"{prediction.file}: {len(prediction.notes)} note{'s' if len(prediction.notes) != 1 else ''}"]
    for name in prediction.classes()[:shown]:
        lines.append(f"  {name:<24} {100 * prediction.probabilities[name]:5.1f} %")
    for step in steps:
        lines.append(f"{step.effect}:")
        lines += [f"  {name:<24} {text}" for name, text in step.texts.items()]
    return "\n".join(lines)
