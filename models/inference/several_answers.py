"""Several answers to one sound, each played and ranked by how close it sounds; what each knob may have been; and a
search from the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.evaluation.distances import DISTANCES, JUDGE
from timbre_data.models.evaluation.resynthesis import sounds_of, with_constants
from timbre_data.models.inference import matching
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.report import Prediction
from timbre_data.models.inference.spectral_search import render_labels, search
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter

DRAWS = 256
"""Draws from which marginals are told."""
PLAYED = 4
"""Draws that are played for each answer that is given."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
AT_ONCE = 16
"""Settings that are played together."""
PRIOR_DB = 0.05
"""What a setting that lies one bandwidth from the nearest draw costs a search, in dB of distance: where two settings
sound alike, the likelier one is taken.
"""


@dataclass(frozen=True)
class Answer:
    """One setting: how far its sound is from the one that was given (log-mel, dB), and its parameters, with units for
    people.
    """

    distance_db: float
    parameters: dict[str, float]
    texts: dict[str, str]


@dataclass(frozen=True)
class Answers:
    """Settings, the closest first, and of each knob what it may have been: quantiles of its value, or the probability
    of each position.
    """

    answers: tuple[Answer, ...]
    marginals: dict[str, dict[str, float]]


class Player:
    """Plays normalized settings of a run [shape=(k, p)] beside a file: its first note, or the phrase that
    `matching.beside` gives. `columns` of the run's outputs count, those of the synth or of the chosen effects.
    """

    def __init__(
        self, predictor: Predictor, prediction: Prediction, file: Path, dry: Path | None, effect: str | None
    ) -> None:
        self.predictor = predictor
        self.note = self.target = matching.first_note(predictor, file)
        outputs = predictor.trained.outputs
        if predictor.of_a_synth:
            self.columns = list(range(len(outputs)))
            self._data = predictor.data
            self._chain = Chain(self._data.recipe.chain)
            return
        if dry is None:
            raise UsageError("answers are played through the effect: give the dry sound with --dry.")
        steps = predictor.steps(prediction, effect)
        owners = [step.effect for step in steps]
        self.columns = [k for k, owner in enumerate(predictor.trained.effects) if owner in owners]
        self._task = matching.task_of(predictor, steps, file, dry)
        self.target = self._task.target[0]

    @property
    def dry(self) -> Audio | None:
        """The dry sound of the first note [shape=(1, samples)]; a synth has none."""
        return None if self.predictor.of_a_synth else self._task.dry[:, : self.predictor.samples]

    def __call__(self, labels: NDArray[np.floating[Any]]) -> Audio:
        """The sounds of settings, at a peak of 1 [shape=(k, samples)]."""
        parts = [self._played(labels[k : k + AT_ONCE].astype(np.float32)) for k in range(0, len(labels), AT_ONCE)]
        sounds = np.concatenate(parts)
        return sounds / np.maximum(np.abs(sounds).max(axis=1, keepdims=True), 1e-4)

    def _played(self, labels: NDArray[np.float32]) -> Audio:
        if self.predictor.of_a_synth:
            rows = np.zeros(len(labels), np.int64)
            whole = with_constants(self._data, rows, self.predictor.trained.outputs, labels)
            return sounds_of(self._data, self._chain, 0, whole)[0].mean(axis=1)[:, : len(self.target)]
        each = self._task.take(np.zeros(len(labels), np.int64))
        return render_labels(each.recipe, each.dry, labels[:, self.columns].astype(np.float64), each.order)

    def distances(self, labels: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """How far the sounds of settings are from the file's, log-mel in dB [shape=(k,)]."""
        compute: Callable[[Audio, Audio, int], float] = DISTANCES.load(JUDGE).compute
        return np.array([compute(sound, self.target, self.predictor.rate) for sound in self(labels)])


def answers(
    predictor: Predictor, prediction: Prediction, player: Player, count: int, f0_hz: float = float("nan")
) -> Answers:
    """The `count` closest of four times as many draws of a run, for the first note of a file. Raises `UsageError` for
    a run that gives one answer only.
    """
    draws = _drawn(predictor, player, f0_hz)
    tried = draws[: PLAYED * count]
    try:
        distances = player.distances(tried)
    finally:
        close_instruments()
    described = [Parameter.model_validate(one) for one in predictor.trained.parameters]
    names = [predictor.trained.outputs[column] for column in player.columns]
    found = []
    for k in np.argsort(distances, kind="stable")[:count].tolist():
        said = predictor.with_labels(prediction, tried[k])
        found.append(
            Answer(
                float(distances[k]),
                {name: said.parameters[name] for name in names},
                {name: said.texts[name] for name in names if name in said.texts},
            )
        )
    marginals = {described[k].name: _marginal(described[k], draws[:, k]) for k in player.columns}
    return Answers(tuple(found), marginals)


def refined(
    predictor: Predictor, prediction: Prediction, player: Player, evaluations: int, f0_hz: float = float("nan")
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Normalized settings [shape=(p,)] that sound closer to a file, after so many more renders: a search over knobs
    without positions; and the distance before and after.

    It starts from what was predicted, or of a run that can draw from the closest of some draws, no further than its
    draws lie apart; what is further from all draws than they are from each other costs more (`Prior`).
    """
    described = [Parameter.model_validate(one) for one in predictor.trained.parameters]
    start = point = np.array([prediction.labels[one.name] for one in described], np.float32)
    free = np.array([not one.steps for one in described]) & np.isin(np.arange(len(described)), player.columns)
    prior: Prior | None = None
    spread = None

    def cost(labels: NDArray[np.float64]) -> NDArray[np.float64]:
        far = player.distances(labels)
        return far if prior is None else far + PRIOR_DB * prior(labels[:, free])

    try:
        before = float(player.distances(start[None])[0])
        if predictor.trained.draws:
            draws = _drawn(predictor, player, f0_hz)
            tried = draws[: max(1, min(32, evaluations // 4))]
            distances = player.distances(tried)
            evaluations -= len(tried)
            if distances.min() < before:
                start = tried[int(distances.argmin())]
            spread = draws.std(axis=0).astype(np.float64)
            prior = Prior(draws[:, free]) if free.any() else None
        best, _ = search(cost, start, free, max(evaluations, 1), seed=0, spread=spread)
        after = float(player.distances(best[None])[0])
        if after > before:  # what is likelier may sound further off: that was not asked for
            best, after = point, before
    finally:
        close_instruments()
    return best, (before, after)


class Prior:
    """How unlikely settings are, by draws of them [shape=(n, p)]: the squared distance to the nearest draw, mean over
    knobs, in bandwidths of a kernel density (Silverman 1986, equation 4.14, of each knob).
    """

    def __init__(self, draws: NDArray[np.floating[Any]]) -> None:
        count, width = draws.shape
        self._draws = draws.astype(np.float64)
        self._bandwidths = np.maximum(self._draws.std(axis=0) * (4 / (count * (width + 2))) ** (1 / (width + 4)), 1e-3)

    def __call__(self, labels: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The cost of settings [shape=(k, p)], 0 at a draw [shape=(k,)]."""
        apart = (labels[:, None] - self._draws) / self._bandwidths
        nearest: NDArray[np.float64] = (apart**2).mean(axis=2).min(axis=1)
        return nearest


def _drawn(predictor: Predictor, player: Player, f0_hz: float) -> NDArray[np.float32]:
    if not predictor.trained.draws:
        raise UsageError("this run gives one answer only: several need a model that draws, such as inverse_flow.")
    raw = predictor.raw(player.note[None], np.array([f0_hz], np.float32), player.dry)
    return predictor.trained.draw(raw, np.zeros(1, np.int64), DRAWS)[0]


def _marginal(parameter: Parameter, draws: NDArray[np.float32]) -> dict[str, float]:
    """What a knob may have been."""
    if parameter.steps:
        places = np.rint(draws * (parameter.steps - 1)).astype(np.int64)
        shares = np.bincount(places, minlength=parameter.steps) / len(draws)
        return {parameter.describe(k / (parameter.steps - 1)): float(share) for k, share in enumerate(shares)}
    return {f"{100 * q:.0f} %": float(parameter.to_value(np.quantile(draws, q))) for q in QUANTILES}


def as_text(found: Answers) -> str:
    """Answers for people."""
    lines = []
    for number, answer in enumerate(found.answers, start=1):
        knobs = ", ".join(f"{name} {text}" for name, text in answer.texts.items())
        lines.append(f"answer {number}, {answer.distance_db:.2f} dB away: {knobs}")
    lines.append("may have been:")
    lines += [f"  {name:<32} {_told(marginal)}" for name, marginal in found.marginals.items()]
    return "\n".join(lines)


def _told(marginal: dict[str, float]) -> str:
    if all(key.endswith(" %") for key in marginal):
        low, middle, high = (marginal[f"{q} %"] for q in (5, 50, 95))
        return f"{middle:.4g} ({low:.4g} to {high:.4g} in 90 %)"
    likely: Sequence[tuple[str, float]] = sorted(marginal.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in likely[:3] if share > 0.005)
