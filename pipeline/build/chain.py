"""A chain: effects, or a synth and effects. One joint parameter space, drawn row by row, rendered in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.around import Around
from timbre_data.pipeline.catalogue.effect import ByRows, Effect
from timbre_data.pipeline.catalogue.seeding import Stage, generator, number_of
from timbre_data.pipeline.catalogue.synth import Synth
from timbre_data.pipeline.catalogue.uniform_numbers import uniform_numbers
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import FloatArray
from timbre_data.schemas.presets import Presets, space_around
from timbre_data.schemas.recipe import ChainSpec, Step
from timbre_data.schemas.space import ParameterSpace

UNUSED = -1
"""Position, in `labels/order`, of a step that a row does not have."""


@dataclass(frozen=True)
class Draw:
    """The labels of some rows, drawn before any sound is made.

    `labels` normalized [shape=(n, p)] (0 where `mask` is false); `values` physical [shape=(n, p)], NaN where a preset
    has off what a parameter turns; `mask` which mean anything; `order` position of each step in the row's chain, or
    `UNUSED` [shape=(n, steps)].
    """

    labels: NDArray[np.float32]
    values: FloatArray
    mask: NDArray[np.bool_]
    order: NDArray[np.int8]

    def __getitem__(self, rows: slice) -> Draw:
        return Draw(self.labels[rows], self.values[rows], self.mask[rows], self.order[rows])


class Chain:
    """The effects of a recipe, ready to draw and to render. Parameters are named `step.parameter`."""

    def __init__(self, chain: ChainSpec) -> None:
        self._chain = chain
        self.step_names = tuple(step.label for step in chain.steps)
        self.synth: Synth | None = SYNTHS.load(chain.synth.synth) if chain.synth else None
        self.effects: tuple[Effect | None, ...] = tuple(
            _with_engine(_configured(step), chain.engine) if step.effect else None for step in chain.steps
        )
        self._spaces = [_drawn_space(step, self._own_space(i), i) for i, step in enumerate(chain.steps)]
        ends = np.cumsum([0, *map(len, self._spaces)])
        self._columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.space = ParameterSpace(
            parameters=tuple(
                parameter.model_copy(update={"name": f"{label}.{parameter.name}", "condition": None})
                for label, space in zip(self.step_names, self._spaces, strict=True)
                for parameter in space
            )
        )
        self._around = Around.of(self.presets, self._spaces[0], chain.steps[0].parameters)
        self._salt = number_of(" ".join(self.space.names))  # two chains of one seed draw independently
        self.always_whole = (
            not chain.shuffle and chain.choose is None and all(step.probability == 1 for step in chain.steps)
        )

    @cached_property
    def has_response(self) -> bool:
        """Whether all effects are filters, so that a row's gain at each frequency is known."""
        return all(effect is not None and effect.response is not None for effect in self.effects)

    def response_db(self, draw: Draw, rate: int, count: int) -> NDArray[np.float32]:
        """Gain of each row's filters at `count` frequencies from 0 to half the rate, floor -200 dB [shape=(n,
        count)].
        """
        hertz = np.linspace(0, rate / 2, count)
        out = np.zeros((len(draw.labels), count))
        for k in range(len(out)):
            for step, effect in enumerate(self.effects):
                if draw.order[k, step] == UNUSED or effect is None or effect.response is None:
                    continue
                gain = np.abs(effect.response(self.step_values(draw.values[k], step), rate, hertz))
                out[k] += 20 * np.log10(np.maximum(gain, 1e-10))
        return out.astype(np.float32)

    @cached_property
    def synth_settings(self) -> Any:
        """The settings of the chain's synth."""
        assert self.synth is not None
        assert self._chain.synth is not None
        return self.synth.settings.model_validate(self._chain.synth.settings)

    @cached_property
    def presets(self) -> Presets | None:
        """The presets that rows of the chain's synth are drawn around."""
        return getattr(self.synth_settings, "presets", None) if self.synth else None

    @property
    def families(self) -> list[str]:
        """The family of each step's effect; "synth" for a synth."""
        return [effect.family if effect else "synth" for effect in self.effects]

    def _own_space(self, step: int) -> ParameterSpace:
        effect = self.effects[step]
        if effect is not None:
            return effect.space
        assert self.synth is not None
        return space_around(self.synth.space(self.synth_settings), self.presets)

    def _unidentifiable(self, step: int) -> Callable[[Mapping[str, float], float], set[str]]:
        effect = self.effects[step]
        if effect is not None:
            return effect.unidentifiable
        assert self.synth is not None
        return self.synth.unidentifiable

    def draw(self, seed: int, rows: NDArray[np.int64], attempt: int = 0) -> Draw:
        """Draw the labels of `rows`: they depend on the recipe, the seed, the row and the attempt, on nothing else."""
        probability = uniform_numbers(seed, self._salt, rows, (Stage.LABELS, attempt), len(self.space))
        order = np.tile(np.arange(len(self.step_names), dtype=np.int8), (len(rows), 1))
        if not self.always_whole:
            for k, row in enumerate(rows.tolist()):
                order[k] = self._draw_order(generator(seed, self._salt, row, Stage.CHAIN, attempt))
        if self.space.sobol and attempt == 0:
            self._use_sobol(probability, seed, rows)
        labels = self.space.quantile(probability)
        if self._around is not None:
            columns = self._columns[0]
            labels[:, columns] = self._around.labels(probability[:, columns], labels[:, columns])
        values = self.space.to_values(labels)
        mask = self.active(values, order) & ~np.isnan(values)
        return Draw(labels=np.where(mask, labels, np.float32(0)), values=values, mask=mask, order=order)

    def active(self, values: FloatArray, order: NDArray[np.int8]) -> NDArray[np.bool_]:
        """The parameters that apply to each row: their step is used, and their conditions hold [shape=(n, p)]."""
        mask = np.empty(values.shape, bool)
        for step, (space, columns) in enumerate(zip(self._spaces, self._columns, strict=True)):
            mask[:, columns] = space.active(values[:, columns]) & (order[:, step] != UNUSED)[:, None]
        return mask

    def render(self, audio: Audio, rate: int, values: FloatArray, order: NDArray[np.int8]) -> Audio:
        """Send one sound through the effects of one row's chain: float32 (channels, samples), the same shape as
        `audio`.
        """
        for position, step in sorted(zip(order.tolist(), range(len(order)), strict=True)):
            effect = self.effects[step]
            if position == UNUSED or effect is None:
                continue
            audio = effect.render(audio, rate, self.step_values(values, step))
        return audio

    def render_rows(self, sounds: Audio, rate: int, values: FloatArray, order: NDArray[np.int8], out: Audio) -> None:
        """Send sounds [shape=(n, channels, samples)] through the chains of their rows, as `render` does each: in one
        call for all rows where the chain is an effect that can, on every row.
        """
        effect = self.effects[0]
        if len(self.effects) == 1 and self.always_whole and effect is not None and isinstance(effect.render, ByRows):
            effect.render.rows(sounds, rate, dict(zip(self._spaces[0].names, values.T, strict=True)), out)
            return
        for row, sound in enumerate(sounds):
            out[row] = self.render(sound, rate, values[row], order[row])

    def step_values(self, values: FloatArray, step: int) -> dict[str, float]:
        """Name the physical values of one step of one row."""
        return self._spaces[step].as_mapping(values[self._columns[step]])

    def identifiable(self, draw: Draw, seconds: float) -> NDArray[np.bool_]:
        """The labels that can be identified from the sound [shape=(n, p)]: false for the time of a delay at mix 0."""
        identifiable_mask = draw.mask.copy()
        for k in range(len(draw.labels)):
            for step, columns in enumerate(self._columns):
                if draw.order[k, step] == UNUSED:
                    continue
                unheard = self._unidentifiable(step)(self.step_values(draw.values[k], step), seconds)
                for name in unheard:
                    identifiable_mask[k, columns.start + self._spaces[step].names.index(name)] = False
        return identifiable_mask

    def _draw_order(self, rng: np.random.Generator) -> NDArray[np.int8]:
        steps = len(self.step_names)
        if self._chain.choose is not None:
            low, high = self._chain.choose
            steps_in_order = rng.permutation(steps)[: rng.integers(low, high + 1)]
        else:
            steps_in_order = np.flatnonzero(rng.random(steps) < [step.probability for step in self._chain.steps])
        steps_in_order = rng.permutation(steps_in_order) if self._chain.shuffle else np.sort(steps_in_order)
        order = np.full(steps, UNUSED, np.int8)
        order[steps_in_order] = np.arange(len(steps_in_order), dtype=np.int8)
        return order

    def _use_sobol(self, probability: FloatArray, seed: int, rows: NDArray[np.int64]) -> None:
        from scipy.stats import qmc

        columns = [i for i, parameter in enumerate(self.space) if parameter.distribution.type == "sobol"]
        for start, stop in _runs(rows):
            engine = qmc.Sobol(
                len(columns),
                scramble=True,
                rng=np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(self._salt,))),
            )
            engine.fast_forward(
                int(rows[start]) + 1
            )  # the first point is the same for all dimensions before scrambling
            probability[np.ix_(range(start, stop), columns)] = engine.random(stop - start)


def _runs(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Split positions into runs of consecutive rows."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return list(pairwise(edges)) if len(rows) else []


def _configured(step: Step) -> Effect:
    """The effect of a step, with its settings where it has some."""
    effect: Effect = EFFECTS.load(step.effect)
    if effect.configure is None or effect.settings is None:
        return effect
    return effect.configure(effect.settings.model_validate(step.settings))


def _with_engine(effect: Effect, engine: str) -> Effect:
    """The effect as the engine of a chain renders it."""
    if engine == "compiled" or effect.pedalboard is None:
        return effect
    return replace(effect, render=effect.pedalboard)


def _drawn_space(step: Step, space: ParameterSpace, position: int) -> ParameterSpace:
    if step.resolution is not None:
        space = ParameterSpace(
            parameters=tuple(p if p.steps else p.model_copy(update={"resolution": step.resolution}) for p in space)
        )
    overrides: Mapping[str, object] = step.parameters
    return space.overridden(overrides, where=f"chain.steps.{position}.parameters")
