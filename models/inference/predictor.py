"""Using a trained run on sound files: which effect made them, with which parameters, and the matched sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.data.classes import family_probabilities
from timbre_data.models.inference.dry_recording import DryRecording
from timbre_data.models.inference.effect_settings import effect_settings
from timbre_data.models.inference.frame_segments import segments_of
from timbre_data.models.inference.report import NotePrediction, Prediction, Setting
from timbre_data.models.inference.sound_files import cut_notes, load_sound, note_starts
from timbre_data.models.targets import TARGETS
from timbre_data.models.targets._target import Target
from timbre_data.models.training import checkpoints, runs
from timbre_data.models.training.checkpoints import Trained
from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sound.audio import as_stored, decode
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import TimbreDataError, UsageError
from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


NOTES_AT_ONCE = 64
"""Notes of several files that go through the networks together."""


class Predictor:
    """A trained run, loaded for inference, with the classifier that conditions a regressor.

    Raises `UsageError` for runs of an older version that do not record how a sound becomes their input.
    """

    def __init__(self, run: Path) -> None:
        made = runs.open_run(run)
        self.trained = checkpoints.load(run).for_inference()
        if not self.trained.rate:
            raise UsageError(
                f"{run} was trained by an older version and does not record the format of its input: train it again."
            )
        self.rate, self.samples = self.trained.rate, self.trained.samples
        self._run = made
        self._audio = made.audio or self.data.recipe.audio
        self.classifier: Trained | None = None
        if self.trained.task == "classification":
            self.classifier = self.trained
        elif made.settings.conditioning:
            self.classifier = checkpoints.load(runs.classifier_of(run, made.settings))

    @cached_property
    def data(self) -> Dataset:
        """The first dataset that the run was trained on, or where that is not at hand the row of it that the run keeps;
        only synths and older runs need it.
        """
        from timbre_data.models.data.opening import open_named
        from timbre_data.pipeline.store.reader import Dataset

        name, example = self._run.settings.data[0], self._run.folder / runs.EXAMPLE
        try:
            return open_named(name, self._run.snapshots[name])
        except TimbreDataError:
            if not example.is_dir():
                raise
            return Dataset(str(example))

    @property
    def of_a_synth(self) -> bool:
        """Whether the run predicts the parameters of a synth."""
        synth = self._run.synth
        return self.trained.task == "regression" and (
            self.data.recipe.chain.synth is not None if synth is None else synth
        )

    @property
    def target(self) -> Target:
        """The target of the run."""
        return TARGETS.load(self.trained.target)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the run tells probabilities of: a classifier's classes, or the effects that a regressor recognises."""
        return self.classifier.outputs if self.classifier else self.trained.recognises

    @property
    def always(self) -> tuple[str, ...]:
        """The steps that every row of its datasets went through."""
        return self._run.always

    @property
    def peak(self) -> str:
        """How the training sounds were scaled: "normalise" or "fit"."""
        return self._audio.peak

    @property
    def needs_pitch(self) -> bool:
        """Whether the features were learned with the pitch of the dry note known."""
        models = [self.trained, *([self.classifier] if self.classifier else [])]
        return any("autofx163" in model.features for model in models)

    @property
    def classified(self) -> Target:
        """The target of the classifier, or of the run if it has none."""
        return TARGETS.load(self.classifier.target if self.classifier else self.trained.target)

    @property
    def needs_dry(self) -> bool:
        """Whether the run learned with the dry sound of each sound known."""
        return self.trained.shape.dry

    def predict_arrays(
        self, notes: Audio, f0_hz: NDArray[np.float32], dry: Audio | None = None
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Class probabilities [shape=(n, classes)] and normalized parameters [shape=(n, p)] of notes [shape=(n,
        samples)] and their dry sounds, where the run takes those [shape=(n, samples)]; None where the run has none.
        Raises `UsageError` for a run that needs dry sounds and gets none.
        """
        stored = self._as_stored(notes)
        probabilities = labels = None
        if self.classifier is not None:
            probabilities = self.classifier.decoded(self._outputs(self.classifier, stored, f0_hz))
        if self.trained.task == "regression":
            condition = None
            if probabilities is not None:
                assert self.classifier is not None
                condition = family_probabilities(
                    probabilities, self.classifier.families, multi_label=self.classified.always_multi_label
                )
            outputs = self._outputs(self.trained, stored, f0_hz, condition, dry)
            labels = self.trained.decoded(outputs).numpy()
            if self.trained.recognises:
                probabilities = self.trained.recognised(outputs)
        return None if probabilities is None else probabilities.numpy(), labels

    def _outputs(
        self,
        model: Trained,
        stored: Audio,
        f0_hz: NDArray[np.float32],
        condition: torch.Tensor | None = None,
        dry: Audio | None = None,
    ) -> torch.Tensor:
        """What a network says of notes, from features or audio [shape=(n, width)]."""
        sounds = stored
        if model.shape.dry:
            if dry is None:
                raise UsageError(
                    f"{self._run.folder.name} learned with the dry sound beside it: give that, too (--dry)."
                )
            sounds = np.concatenate([stored, self._as_stored(dry)], axis=1)
        audio = torch.from_numpy(sounds) if model.shape.samples else None
        return model.raw(self._features(model, stored, f0_hz), condition, audio)

    def raw(self, notes: Audio, f0_hz: NDArray[np.float32], dry: Audio | None = None) -> torch.Tensor:
        """What the network gives for notes [shape=(n, samples)] of a run without a classifier, of which draws are
        made.
        """
        return self._outputs(self.trained, self._as_stored(notes), f0_hz, None, dry)

    def with_labels(self, prediction: Prediction, labels: NDArray[np.float32]) -> Prediction:
        """The prediction with other normalized parameters of all notes together [shape=(p,)]."""
        other = self.prediction_of(prediction.file, [0.0], None, labels[None])
        return replace(prediction, parameters=other.parameters, labels=other.labels, texts=other.texts)

    def _as_stored(self, notes: Audio) -> Audio:
        """Notes as the dataset would hold them: level and rounding."""
        stored, _ = as_stored(notes[:, None], self._audio.dtype, self._audio.peak)
        return np.ascontiguousarray(decode(stored)[:, 0])

    def _features(self, model: Trained, stored: Audio, f0_hz: NDArray[np.float32]) -> torch.Tensor:
        parts = [np.empty((len(stored), 0), np.float32)]
        for name in model.features:
            features: FeatureSet = FEATURE_SETS.load(name)
            settings = features.settings.model_validate(model.feature_settings[name])
            parts.append(features.compute(stored, self.rate, f0_hz, settings))
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def notes_of(self, sound: Audio, most: int) -> Audio:
        """The first notes of a sound [shape=(samples,)] as a dataset would hold them [shape=(n, samples)]."""
        return self._as_stored(cut_notes(sound, self.starts(sound)[:most], self.samples))

    def predict(self, path: Path, *, f0_hz: float = float("nan"), dry: Path | None = None) -> Prediction:
        """Predict one file. The pitch may be given, or a dry recording to measure it on, which some runs need.

        Raises `UsageError` for files that cannot be read, are silent or too short.
        """
        (prediction,) = self.predict_many([path], f0_hz=f0_hz, dry=dry)
        if isinstance(prediction, UsageError):
            raise prediction
        return prediction

    def predict_many(
        self, paths: Iterable[Path], *, f0_hz: float = float("nan"), dry: Path | None = None
    ) -> Iterator[Prediction | UsageError]:
        """Predict files in order, the notes of several at once; a `UsageError` in place of a file that cannot be read,
        is silent or too short.
        """
        waiting: list[tuple[Path, list[int], Audio] | Prediction | UsageError] = []
        for path in paths:
            try:
                waiting.append(self._heard(path))
            except UsageError as error:
                waiting.append(error)
            if sum(len(one[1]) for one in waiting if isinstance(one, tuple)) >= NOTES_AT_ONCE:
                yield from self._predicted(waiting, f0_hz, dry)
                waiting = []
        yield from self._predicted(waiting, f0_hz, dry)

    def _heard(self, path: Path) -> tuple[Path, list[int], Audio] | Prediction:
        """The notes of a file: where they start, and their sounds [shape=(n, samples)]; for a run that names frames the
        prediction.
        """
        sound = load_sound(path, self.rate)
        if self.target.windows:
            return Prediction(str(path), (), {}, {}, {}, segments=segments_of(self.trained, sound))
        starts = self.starts(sound)
        return path, starts, cut_notes(sound, starts, self.samples)

    def _predicted(
        self, waiting: Sequence[tuple[Path, list[int], Audio] | Prediction | UsageError], f0_hz: float, dry: Path | None
    ) -> Iterator[Prediction | UsageError]:
        heard = [one for one in waiting if isinstance(one, tuple)]
        pitches = [np.full(len(starts), f0_hz, np.float32) for _, starts, _ in heard]
        probabilities = labels = dry_notes = None
        if heard:
            notes = np.concatenate([notes for _, _, notes in heard])
            if dry is not None:
                known = DryRecording(dry, self.rate, self.samples)
                if not np.isfinite(f0_hz):
                    pitches = [known.pitches(len(starts)) for _, starts, _ in heard]
                if self.needs_dry:
                    dry_notes = np.concatenate([known.notes(starts) for _, starts, _ in heard])
            probabilities, labels = self.predict_arrays(notes, np.concatenate(pitches), dry_notes)
        first = 0
        for one in waiting:
            if not isinstance(one, tuple):
                yield one
                continue
            path, starts, _ = one
            here = slice(first, first + len(starts))
            first += len(starts)
            yield self.prediction_of(
                str(path),
                [start / self.rate for start in starts],
                None if probabilities is None else probabilities[here],
                None if labels is None else labels[here],
            )

    def prediction_of(
        self,
        file: str,
        onsets: Sequence[float],
        probabilities: NDArray[np.float32] | None,
        labels: NDArray[np.float32] | None,
    ) -> Prediction:
        """A prediction from what `predict_arrays` gives for the notes of a file that set in at `onsets` (seconds)."""
        names = self.class_names
        described = self._described

        def named(values: NDArray[np.float32]) -> dict[str, float]:
            return {
                parameter.name: float(parameter.to_value(value))
                for parameter, value in zip(described, values, strict=True)
            }

        each = tuple(
            NotePrediction(
                onset_seconds=seconds,
                probabilities={} if probabilities is None else _named(names, probabilities[k]),
                parameters={} if labels is None else named(labels[k]),
            )
            for k, seconds in enumerate(onsets)
        )
        middle = None if labels is None else np.median(labels, axis=0)
        return Prediction(
            file=file,
            notes=each,
            probabilities={} if probabilities is None else _named(names, probabilities.mean(axis=0)),
            parameters={} if middle is None else named(middle),
            labels={} if middle is None else _named([parameter.name for parameter in described], middle),
            units={parameter.name: parameter.unit for parameter in described},
            texts={} if middle is None else self._texts(described, middle),
        )

    @cached_property
    def _described(self) -> list[Parameter]:
        return [Parameter.model_validate(one) for one in self.trained.parameters]

    def _texts(self, parameters: Sequence[Parameter], labels: NDArray[np.float32]) -> dict[str, str]:
        """Parameters as text, without those that are masked by the predicted values of others."""
        active = dict.fromkeys((p.name for p in parameters), True)
        if self.of_a_synth:
            from timbre_data.models.evaluation.resynthesis import with_constants
            from timbre_data.pipeline.build.chain import Chain

            whole = with_constants(self.data, np.array([0]), list(active), labels[None])
            chain = Chain(self.data.recipe.chain)
            mask = chain.active(chain.space.to_values(whole), np.zeros((1, len(chain.step_names)), np.int8))[0]
            active = dict(zip(self.data.space.names, mask.tolist(), strict=True))
        described = zip(parameters, labels.tolist(), strict=True)
        return {p.name: p.describe(label) for p, label in described if active[p.name]}

    def starts(self, sound: Audio) -> list[int]:
        """The starts of notes; for a run that knows tags, pieces side by side, the last one only if at least half of it
        is sound.
        """
        if self.target.side_by_side:
            return list(range(0, max(1, len(sound) - self.samples // 2), self.samples))
        return note_starts(sound, self.rate, self.samples)

    def steps(self, prediction: Prediction, effect: str | None = None) -> list[Setting]:
        """The effects to put a dry sound through, in order, with their parameters.

        `effect` chooses one by name or class; otherwise the most probable class, or with several labels all that are
        more likely than not; none of a prediction without parameters. Raises `UsageError` where the run knows no
        parameters for it.
        """
        return effect_settings(self, prediction, effect)


def _named(names: Sequence[str], values: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))
