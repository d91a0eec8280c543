"""Using a trained run on sound files: which effect made them, with which parameters, and the matched sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from timbre_data.models import checkpoints, training
from timbre_data.models.checkpoints import Trained
from timbre_data.models.data import class_of, family_probabilities
from timbre_data.models.evaluation.sounds import rerender, with_constants
from timbre_data.models.frames import windows_of
from timbre_data.models.kinds import Model
from timbre_data.models.spectral import Task, search_one
from timbre_data.pipeline import catalogue
from timbre_data.pipeline.audio import SILENCE_PEAK, decode, encode, onset, read_mono, storing_gains, write_wav
from timbre_data.pipeline.chain import EffectChain
from timbre_data.pipeline.features._frames import ShortTimeTransform, magnitude
from timbre_data.pipeline.features._onsets import first_onsets, log_filters, superflux
from timbre_data.pipeline.files import whole
from timbre_data.pipeline.instruments import close_instruments
from timbre_data.pipeline.kinds import Audio, Effect, FeatureSet, UnusableSoundError
from timbre_data.pipeline.store.layout import FRAME_SECONDS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.recipe import Recipe

SHORTEST_SECONDS = 0.1
"""Less than this is no note."""
LONGEST_SECONDS = 3600.0
BLOCK_SECONDS = 30.0
"""Onsets of long recordings are looked for in blocks of so much."""


@dataclass(frozen=True)
class NotePrediction:
    """What one note says: `probabilities` of the classes, `parameters` (physical values by `step.parameter`)."""

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
    """What a file says: every note, and all of them together (mean probability, median of each normalised parameter).

    `texts` are the parameters for people, without those that mean nothing beside the others (the knobs of an oscillator that is off).
    `segments` say what is heard when, for a run that names frames, with the mean probability of each.
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


class Predictor:
    """A run ready to hear sounds; a regressor brings the classifier that conditions it along.

    Raises `UsageError` for runs of an older version that do not say how a sound becomes their input.
    """

    def __init__(self, run: Path) -> None:
        made = training.open_run(run)
        self.trained = checkpoints.load(run)
        if not self.trained.rate:
            raise UsageError(f"{run} was trained by an older version and does not say what it hears: train it again.")
        self.rate, self.samples = self.trained.rate, self.trained.samples
        self.data = Dataset(made.settings.data[0], made.snapshots[made.settings.data[0]])
        self._audio = self.data.recipe.audio
        self.classifier: Trained | None = None
        if self.trained.task == "classification":
            self.classifier = self.trained
        elif made.settings.conditioning:
            self.classifier = checkpoints.load(training.find_run(made.settings.conditioning))

    @property
    def of_a_synth(self) -> bool:
        """Whether the run answers with the knobs of a synth."""
        return self.data.recipe.chain.synth is not None and self.trained.task == "regression"

    @property
    def of_frames(self) -> bool:
        """Whether the run says what is heard in every frame."""
        return self.trained.target == "frames"

    @property
    def peak(self) -> str:
        """How the sounds it learned from were brought to level: "normalise" or "fit"."""
        return self._audio.peak

    @property
    def needs_pitch(self) -> bool:
        """Whether the features were learned with the pitch of the dry note known."""
        models = [self.trained, *([self.classifier] if self.classifier else [])]
        return any("autofx163" in model.features for model in models)

    def hear(
        self, notes: Audio, f0_hz: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Class probabilities [shape=(n, classes)] and normalised parameters [shape=(n, p)] of notes [shape=(n, samples)]; None where the run has none."""
        stored = self._as_stored(notes)
        probabilities = labels = None
        if self.classifier is not None:
            probabilities = self._answer(self.classifier, stored, f0_hz)
        if self.trained.task == "regression":
            condition = None
            if probabilities is not None:
                assert self.classifier is not None
                condition = family_probabilities(probabilities, self.classifier.families, self.classifier.target)
            labels = self._answer(self.trained, stored, f0_hz, condition).numpy()
        return None if probabilities is None else probabilities.numpy(), labels

    def _answer(
        self, model: Trained, stored: Audio, f0_hz: NDArray[np.float32], condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What a model says of notes, by features or by the sounds themselves."""
        hears = torch.from_numpy(stored) if model.shape.samples else None
        return model.predict(self._features(model, stored, f0_hz), condition, hears)

    def _as_stored(self, notes: Audio) -> Audio:
        """Notes as the dataset would hold them: level and rounding."""
        notes = notes[:, None]
        peaks = np.maximum(np.abs(notes).max(axis=(1, 2)), SILENCE_PEAK).astype(np.float32)
        stored = np.empty(notes.shape, self._audio.dtype)
        encode(notes, storing_gains(peaks, self._audio.peak), stored)
        return np.ascontiguousarray(decode(stored)[:, 0])

    def _features(self, model: Trained, stored: Audio, f0_hz: NDArray[np.float32]) -> torch.Tensor:
        parts = [np.empty((len(stored), 0), np.float32)]
        for name in model.features:
            features: FeatureSet = catalogue.load("feature", name)
            settings = features.settings.model_validate(model.feature_settings[name])
            parts.append(features.compute(stored, self.rate, f0_hz, settings))
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def predict(self, path: Path, *, f0_hz: float = float("nan"), dry: Path | None = None) -> Prediction:
        """Predict one file. The pitch may be given, or a dry recording to measure it on.

        Raises `UsageError` for files that cannot be read, are silent or too short.
        """
        sound = load_sound(path, self.rate)
        if self.of_frames:
            return Prediction(str(path), (), {}, {}, {}, segments=self._segments(sound))
        starts = self._starts(sound)
        notes = np.zeros((len(starts), self.samples), np.float32)
        for k, start in enumerate(starts):
            part = sound[start : start + self.samples]
            notes[k, : len(part)] = part
        pitches = np.full(len(starts), f0_hz, np.float32)
        if dry is not None and not np.isfinite(f0_hz):
            pitches = self._pitches(load_sound(dry, self.rate), len(starts))
        probabilities, labels = self.hear(notes, pitches)
        names = self.classifier.outputs if self.classifier else ()
        described = [Parameter.model_validate(one) for one in self.trained.parameters]

        def named(values: NDArray[np.float32]) -> dict[str, float]:
            return {
                parameter.name: float(parameter.to_value(value))
                for parameter, value in zip(described, values, strict=True)
            }

        each = tuple(
            NotePrediction(
                onset_seconds=start / self.rate,
                probabilities={} if probabilities is None else _named(names, probabilities[k]),
                parameters={} if labels is None else named(labels[k]),
            )
            for k, start in enumerate(starts)
        )
        middle = None if labels is None else np.median(labels, axis=0)
        return Prediction(
            file=str(path),
            notes=each,
            probabilities={} if probabilities is None else _named(names, probabilities.mean(axis=0)),
            parameters={} if middle is None else named(middle),
            labels={} if middle is None else _named([parameter.name for parameter in described], middle),
            units={parameter.name: parameter.unit for parameter in described},
            texts={} if middle is None else self._texts(described, middle),
        )

    def _texts(self, parameters: Sequence[Parameter], labels: NDArray[np.float32]) -> dict[str, str]:
        """Parameters as text, without those that are masked by the predicted values of others."""
        active = dict.fromkeys((p.name for p in parameters), True)
        if self.of_a_synth:
            whole = with_constants(self.data, np.array([0]), list(active), labels[None])
            chain = EffectChain(self.data.recipe.chain)
            mask = chain.active(chain.space.to_values(whole), np.zeros((1, len(chain.labels)), np.int8))[0]
            active = dict(zip(self.data.space.names, mask.tolist(), strict=True))
        described = zip(parameters, labels.tolist(), strict=True)
        return {p.name: p.describe(label) for p, label in described if active[p.name]}

    def _segments(self, sound: Audio) -> tuple[tuple[float, float, str, float], ...]:
        """The most probable class of every frame, equal neighbours as one: start, stop, class, mean probability."""
        kind: Model = catalogue.load("model", self.trained.model)
        whole = training.hearing_whole(kind, self.trained.options, self.rate)
        spectrogram = whole(torch.from_numpy(sound / np.abs(sound).max())[None])[0].half()
        nothing = torch.empty(spectrogram.shape[1], 0)
        probabilities = self.trained.predict(nothing, None, windows_of(spectrogram, kind.context)).numpy()
        best = probabilities.argmax(axis=1)
        seconds = len(sound) / self.rate
        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        return tuple(
            (
                start * FRAME_SECONDS,
                min(stop * FRAME_SECONDS, seconds) if stop < len(best) else seconds,
                self.trained.outputs[int(best[start])],
                float(probabilities[start:stop, best[start]].mean()),
            )
            for start, stop in pairwise(edges)
            if start * FRAME_SECONDS < seconds
        )

    def _starts(self, sound: Audio) -> list[int]:
        """Where notes begin; for a run that knows tags, pieces side by side, the last one only if at least half of it is sound."""
        if self.trained.task == "classification" and self.trained.target == "tags":
            return list(range(0, max(1, len(sound) - self.samples // 2), self.samples))
        return note_starts(sound, self.rate, self.samples)

    def _pitches(self, dry: Audio, count: int) -> NDArray[np.float32]:
        """Pitch of each note of a dry recording with the same notes; its first where it has fewer."""
        from timbre_data.pipeline.features._pitch import note_f0

        starts = note_starts(dry, self.rate, self.samples)
        found = [note_f0(dry[start : start + self.samples], self.rate) for start in starts[:count]]
        return np.array([found[min(k, len(found) - 1)] for k in range(count)], np.float32)

    def steps(self, prediction: Prediction, effect: str | None = None) -> list[Setting]:
        """The effects to put a dry sound through, in order, with their parameters.

        `effect` chooses one by name or class; otherwise the most probable class, or with several labels all that are more likely
        than not. Raises `UsageError` where the run knows no parameters for it.
        """
        by_step: dict[tuple[str, str], Setting] = {}
        for (name, value), owner in zip(prediction.parameters.items(), self.trained.effects, strict=True):
            step, _, parameter = name.partition(".")
            setting = by_step.setdefault((step, owner), Setting(owner, {}, {}))
            setting.values[parameter] = value
            if name in prediction.texts:
                setting.texts[parameter] = prediction.texts[name]
        several = self.classifier is not None and self.classifier.target == "effects"
        if effect is not None:
            wanted = {effect.replace("-", "_")}
        elif several:
            wanted = {name for name, p in prediction.probabilities.items() if p > 0.5}
        elif prediction.probabilities:
            wanted = {prediction.classes()[0]}
        else:
            wanted = {owner for _, owner in by_step} if len(by_step) == 1 else set()
        family = self.classifier is not None and self.classifier.target == "family"
        chosen = [
            setting
            for (step, owner), setting in by_step.items()
            if wanted & {step, owner, class_of(owner), *([catalogue.load("effect", owner).family] if family else [])}
        ]
        if not chosen and wanted != {"dry"}:
            known = ", ".join(sorted({owner for _, owner in by_step})) or "none"
            raise UsageError(
                f"this run knows no parameters of {', '.join(sorted(wanted)) or 'one effect alone'}; it knows those of {known}: choose with --effect."
            )
        return chosen if several or effect is not None else chosen[:1]


def refine(predictor: Predictor, steps: Sequence[Setting], file: Path, dry: Path, evaluations: int) -> list[Setting]:
    """Better settings for the first note of a file, by a search (CMA-ES) on the distance of the dry sound through them, from `steps` on."""
    if not steps or not evaluations:
        return list(steps)
    names = [step.effect for step in steps]
    steps_ = [{"effect": name, "name": f"step{k}"} for k, name in enumerate(names)]
    recipe = Recipe.model_validate(
        {
            "name": "match",
            "chain": {"steps": steps_},
            "audio": {"rate": predictor.rate, "seconds": predictor.samples / predictor.rate},
        }
    )
    sounds = []
    for path in (dry, file):
        whole = load_sound(path, predictor.rate)
        start = note_starts(whole, predictor.rate, predictor.samples)[0]
        sound = np.zeros((1, predictor.samples), np.float32)
        part = whole[start : start + predictor.samples]
        sound[0, : len(part)] = part / np.abs(part).max()
        sounds.append(sound)
    space = EffectChain(recipe.chain).space
    given = [value for step in steps for value in step.values.values()]
    labels = np.array([[p.to_unit(value) for p, value in zip(space.each(), given, strict=True)]], np.float32)
    order = np.arange(len(steps), dtype=np.int8)[None]
    task = Task(recipe, sounds[0], sounds[1], labels, order)
    best = search_one(task, labels[0], np.ones(labels.shape[1], bool), evaluations, seed=0)
    found: list[Setting] = []
    place = 0
    for step in steps:
        own = list(zip(step.values, space.parameters[place : place + len(step.values)], strict=True))
        units = best[place : place + len(step.values)]
        values = {name: float(p.to_value(unit)) for (name, p), unit in zip(own, units, strict=True)}
        texts = {name: p.describe(float(unit)) for (name, p), unit in zip(own, units, strict=True)}
        found.append(Setting(step.effect, values, texts))
        place += len(own)
    return found


def _named(names: Sequence[str], values: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))


def load_sound(path: Path, rate: int) -> Audio:
    """Read any sound file as mono at `rate` [shape=(samples,)]. Raises `UsageError` in one line for what is no usable sound."""
    try:
        sound = read_mono(path, rate, LONGEST_SECONDS)
    except UnusableSoundError as error:
        raise UsageError(f"{path}: {error}.") from None
    if len(sound) < SHORTEST_SECONDS * rate:
        raise UsageError(
            f"{path}: {1000 * len(sound) / rate:.0f} ms is too short; a note takes at least {1000 * SHORTEST_SECONDS:.0f} ms."
        )
    if np.abs(sound).max() < SILENCE_PEAK:
        raise UsageError(f"{path}: silent.")
    return sound


def note_starts(sound: Audio, rate: int, window: int) -> list[int]:
    """Where notes begin, in samples: the first onset, then every onset at least one window after the last one taken.

    A window is as long as the sounds a model learned from, so an echo inside it is part of its note.
    """
    first = onset(sound[None], rate)
    starts = [first]
    if len(sound) - first < 1.2 * window:
        return starts
    n_fft, hop = 2048, 256
    starts_, counts, weights = log_filters(rate, n_fft)
    block = int(BLOCK_SECONDS * rate) // hop * hop
    peak = np.abs(sound).max()
    for begin in range(0, len(sound), block):
        part = np.ascontiguousarray(sound[max(0, begin - rate) : begin + block] / peak)
        transform = ShortTimeTransform(len(part), n_fft, hop)
        magnitudes = np.empty((transform.frames, n_fft // 2 + 1), np.float32)
        magnitude(transform(part), magnitudes)
        strength = superflux(magnitudes, starts_, counts, weights)
        times, _ = first_onsets(strength, rate / hop, 16 * int(BLOCK_SECONDS))
        for seconds in times[times > 0].tolist():
            at = max(0, begin - rate) + round(seconds * rate) - hop
            if (
                at - starts[-1] >= window
                and len(sound) - at > SHORTEST_SECONDS * rate
                and _rises(sound, at, rate, peak)
            ):
                starts.append(_sharpened(sound, at, rate))
    return starts


def _sharpened(sound: Audio, at: int, rate: int) -> int:
    """The 3 ms frame in which a note found by spectral flux sets in: a twentieth of the way up from what sounded before."""
    frame = max(1, round(0.003 * rate))
    begin = max(0, at - 2 * frame)
    near = sound[begin : begin + round(0.1 * rate)]
    energy = (near[: len(near) // frame * frame].reshape(-1, frame).astype(np.float64) ** 2).mean(axis=1)
    before = energy[:4].mean()
    risen = np.flatnonzero(energy > before + 0.05 * (energy.max() - before))
    return begin + max(0, int(risen[0]) - 1) * frame if len(risen) else at


def _rises(sound: Audio, at: int, rate: int, peak: float) -> bool:
    """Whether a sound is louder after a moment than before, and loud enough to be a note: the click of an end is neither."""
    span = rate // 20
    middle = at + 256
    before, after = sound[max(0, middle - span) : middle], sound[middle : middle + span]
    return bool((after**2).mean() > 1.5 * (before**2).mean() and np.abs(after).max() > 0.02 * peak)


def match(dry: Path, steps: Sequence[Setting]) -> tuple[Audio, int]:
    """Play a dry recording, at its own rate and with its own channels, through effects: float32 (channels, samples) and the rate.

    Raises `UsageError` for a file that cannot be read.
    """
    try:
        sound, rate = soundfile.read(dry, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UsageError(f"{dry}: not a readable sound file ({str(error).splitlines()[0].rstrip('.')}).") from None
    wet = np.ascontiguousarray(sound.T)
    if not wet.size:
        raise UsageError(f"{dry}: holds no samples.")
    peak = np.abs(wet).max()
    if peak < SILENCE_PEAK:
        raise UsageError(f"{dry}: silent.")
    wet = wet / peak  # effects were learned on notes at full scale, and a distortion hears the level
    for step in steps:
        effect: Effect = catalogue.load("effect", step.effect)
        wet = effect.render(wet, rate, step.values)
    return wet / max(float(np.abs(wet).max()), 1e-9), rate


def write_played(predictor: Predictor, prediction: Prediction, out: Path) -> None:
    """Write what a synth plays with predicted knobs (those that its dataset never moves as there), on the first note of its dataset.

    Raises `UsageError` when the file cannot be written.
    """
    data = predictor.data
    names = list(prediction.labels)
    values = np.array([[prediction.labels[name] for name in names]], np.float32)
    labels = with_constants(data, np.array([0]), names, values)[0]
    try:
        sound = rerender(data, EffectChain(data.recipe.chain), 0, labels)
    finally:
        close_instruments()
    write_wav(sound, predictor.rate, out)


def write_match(dry: Path, steps: Sequence[Setting], out: Path) -> None:
    """Write a dry recording played through effects, as 24-bit WAV, whole or not at all. Raises `UsageError`."""
    wet, rate = match(dry, steps)
    write_wav(wet, rate, out)


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
        with whole(out) as aside:
            grid.save(str(aside), format="long_textgrid", includeBlankSpaces=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}).") from None


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
