"""The sounds of a predicted row: dry, target, predicted, refined, mean and random, at equal loudness."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.pages.evaluated_rows import EvaluatedRows
from timbre_data.models.evaluation.metrics import random_predictor
from timbre_data.models.evaluation.resynthesis import rerender, with_constants
from timbre_data.models.inference.spectral_search import Task, search_one
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.store.columns import DRY_AUDIO, MASK, ORDER, PARAMS
from timbre_data.schemas.arrays import Audio

HEADROOM = 0.97
"""Peak of the loudest version."""
BLOCK_SECONDS = 0.4
"""Block of ITU-R BS.1770-4; shorter sounds are one block."""


class Versions:
    """Makes the versions of rows of an evaluation."""

    def __init__(self, evaluated: EvaluatedRows, refine: int = 0, seed: int = 0) -> None:
        self._evaluated, self._refine, self._seed = evaluated, refine, seed
        self._chains = [Chain(data.recipe.chain) for data in evaluated.datasets]
        self._mean = self._means() if evaluated.regression else np.empty(0, np.float32)
        self._random = random_predictor(len(evaluated.row), len(evaluated.outputs), seed)

    @property
    def names(self) -> tuple[str, ...]:
        """The versions that there are, in the order in which they are shown."""
        evaluated = self._evaluated
        dry = ("dry",) if all(data.has(DRY_AUDIO) for data in evaluated.datasets) else ()
        if not evaluated.regression:
            return (*dry, "sound")
        return (*dry, "target", "predicted", *(("refined",) if self._refines else ()), "mean", "random")

    @property
    def _refines(self) -> bool:
        return bool(self._refine) and all(chain.synth is None for chain in self._chains)

    def of(self, position: int) -> tuple[dict[str, Audio], NDArray[np.float32] | None]:
        """The versions of a row [shape=(channels, samples) each], at the loudness of the target; and its refined
        parameters, where there are some [shape=(outputs,)].
        """
        evaluated = self._evaluated
        number, row = int(evaluated.dataset[position]), int(evaluated.row[position])
        data = evaluated.datasets[number]
        only = np.array([row])
        sounds: dict[str, Audio] = {}
        if "dry" in self.names:
            sounds["dry"] = data.dry(only)[0]
        target = data.audio(only)[0]
        rate = data.recipe.audio.rate
        if not evaluated.regression:
            return equally_loud({**sounds, "sound": target}, "sound", rate), None
        made = {"predicted": evaluated.predicted[position], "mean": self._mean, "random": self._random[position]}
        refined = None
        if self._refines:
            made["refined"] = refined = self._refined(position, data.dry(only)[0], target)
        sounds["target"] = target
        for name, labels in made.items():
            whole = with_constants(data, only, evaluated.outputs, np.clip(labels, 0, 1)[None])
            sounds[name] = rerender(data, self._chains[number], row, whole[0])
        return equally_loud({name: sounds[name] for name in self.names}, "target", rate), refined

    def _means(self) -> NDArray[np.float32]:
        """The mean of each parameter over the rows of the datasets that were not evaluated [shape=(outputs,)]."""
        evaluated = self._evaluated
        means = np.full(len(evaluated.outputs), 0.5, np.float32)
        for number, data in enumerate(evaluated.datasets):
            others = np.setdiff1d(data.usable(), evaluated.row[evaluated.dataset == number])
            if not len(others):
                continue
            labels, mask = data.read(PARAMS)[others], data.read(MASK)[others]
            for column, name in enumerate(data.space.names):
                applies = mask[:, column]
                if name in evaluated.outputs and applies.any():
                    means[evaluated.outputs.index(name)] = labels[applies, column].mean(dtype=np.float64)
        return means

    def _refined(self, position: int, dry: Audio, target: Audio) -> NDArray[np.float32]:
        """Better parameters of a row by a search from the predicted ones."""
        evaluated = self._evaluated
        number, row = int(evaluated.dataset[position]), int(evaluated.row[position])
        data = evaluated.datasets[number]
        names = data.space.names
        predicted = np.clip(evaluated.predicted[position], 0, 1)
        start = with_constants(data, np.array([row]), evaluated.outputs, predicted[None])[0]
        varied = np.array([name in evaluated.outputs for name in names])
        order = data.read(ORDER, np.array([row]))
        whole = target[:1] / max(float(np.abs(target[:1]).max()), 1e-9)  # what is tried is compared at full scale
        task = Task(data.recipe, dry[:1], whole, start[None], order)
        best, _ = search_one(task, start, varied, self._refine, self._seed)
        out = predicted.copy()
        for column, name in enumerate(names):
            if name in evaluated.outputs:
                out[evaluated.outputs.index(name)] = best[column]
        return out


def loudness_db(sound: Audio, rate: int) -> float:
    """Integrated loudness in LUFS of a sound [shape=(channels, samples)] (ITU-R BS.1770-4); -inf for silence."""
    import pyloudnorm

    seconds = sound.shape[1] / rate
    meter = pyloudnorm.Meter(rate, block_size=min(BLOCK_SECONDS, seconds * 0.999))
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        return float(meter.integrated_loudness(np.asarray(sound.T, np.float64)))


def equally_loud(sounds: Mapping[str, Audio], reference: str, rate: int) -> dict[str, Audio]:
    """Sounds at the loudness of one of them, all turned down by as much as the loudest of them needs; silent ones stay
    as they are.
    """
    wanted = loudness_db(sounds[reference], rate)
    louder: dict[str, Audio] = {}
    for name, sound in sounds.items():
        level = loudness_db(sound, rate)
        known = np.isfinite(level) and np.isfinite(wanted)
        louder[name] = (sound * 10 ** ((wanted - level) / 20)).astype(np.float32) if known else sound
    peak = max(float(np.abs(sound).max(initial=0)) for sound in louder.values())
    scale = np.float32(min(1.0, HEADROOM / max(peak, 1e-9)))
    return {name: sound * scale for name, sound in louder.items()}
