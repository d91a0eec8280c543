"""The contract of effects: same shape, pure, finite over the whole range, and no label that does not reach the
sound.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.catalogue.effect import ByRows, Effect
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.schemas.arrays import Audio

RATE = 22_050


class EffectContract(Contract):
    """An effect maps sounds to sounds."""

    @cached_property
    def effect(self) -> Effect:
        """The effect, with its settings where it has some."""
        effect = EFFECTS.load(self.name)
        if self.settings and effect.configure is not None and effect.settings is not None:
            return effect.configure(effect.settings.model_validate(self.settings))
        return effect

    @cached_property
    def note(self) -> Audio:
        """A second of a plucked string."""
        source = SOURCES.load("plucked_string")
        note: Audio = source.open(source.settings()).render(40, RATE, 1, RATE)
        return note

    def values_at(self, unit: float) -> dict[str, float]:
        """Physical values of every parameter at one place of its range."""
        return {p.name: float(p.to_value(unit)) for p in self.effect.space}

    def check_says_what_it_is(self) -> None:
        """A summary, and parameters."""
        sentence(self.effect.summary)
        assert len(self.effect.space) or self.effect.family == "dry", "it has no parameters"

    def check_parameters_are_described(self) -> None:
        """A newcomer reads what each parameter is, and its unit."""
        for parameter in self.effect.space:
            assert parameter.description, f"{parameter.name} has no description"

    def check_keeps_shape_and_type(self) -> None:
        """float32 (channels, samples) in and out, at any rate."""
        for rate, channels in ((16_000, 1), (44_100, 1), (16_000, 2), (44_100, 2)):
            sound = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, 3000)).astype(np.float32)
            out = self.effect.render(sound, rate, self.values_at(0.5))
            assert out.shape == sound.shape, f"{sound.shape} became {out.shape}"
            assert out.dtype == np.float32, f"it returns {out.dtype}, not float32"

    def check_is_pure_and_thread_safe(self) -> None:
        """The same input gives the same bytes, whatever came before and in any thread; the input is not changed."""
        before, values = self.note.copy(), self.values_at(0.37)
        first = self.effect.render(self.note, RATE, values)
        self.effect.render(self.note, RATE, self.values_at(0.9))
        with ThreadPoolExecutor(4) as pool:
            repeats = list(pool.map(lambda _: self.effect.render(self.note, RATE, values), range(8)))
        assert np.array_equal(self.note, before), "it changes its input"
        assert all(np.array_equal(first, one) for one in repeats), "two renders of one sound differ"

    def check_renders_rows_together_as_alone(self) -> None:
        """Where several rows share a call, each gets the bytes that it gets alone."""
        if not isinstance(self.effect.render, ByRows):
            return
        units = np.random.default_rng(0).random((7, len(self.effect.space)))
        units[:2] = [[0.0], [1.0]]
        values = self.effect.space.to_values(units.astype(np.float32))
        for channels in (1, 2):
            sounds = np.stack([np.roll(np.repeat(self.note, channels, axis=0), 100 * k, axis=1) for k in range(7)])
            together = np.empty_like(sounds)
            self.effect.render.rows(sounds, RATE, dict(zip(self.effect.space.names, values.T, strict=True)), together)
            for row, (sound, one) in enumerate(zip(sounds, values, strict=True)):
                alone = self.effect.render(sound, RATE, self.effect.space.as_mapping(one))
                assert np.array_equal(alone, together[row]), f"row {row} of {channels} channels differs"

    def check_survives_the_corners_of_its_range(self) -> None:
        """Finite with every parameter at its lowest and at its highest."""
        for corner in (0.0, 1.0):
            out = self.effect.render(self.note, RATE, self.values_at(corner))
            assert np.isfinite(out).all(), f"not finite at {corner:g} of every range"

    def check_every_parameter_is_audible(self) -> None:
        """Each parameter alone, from low to high, changes the sound: a label that does not is invalid."""
        middle = self.values_at(0.3) | {
            p.name: float(p.to_value(0.8)) for p in self.effect.space if p.name.endswith("gain_db")
        }
        for parameter in self.effect.space:
            low, high = (
                self.effect.render(self.note, RATE, middle | {parameter.name: float(parameter.to_value(u))})
                for u in (0.1, 0.9)
            )
            change = np.abs(low - high).max() / max(np.abs(low).max(), np.abs(high).max())
            assert change > 1e-3, f"{parameter.name} does not change the sound"

    def check_what_it_calls_unidentifiable_exists(self) -> None:
        """`unidentifiable` names parameters of the effect."""
        for unit in (0.0, 0.5, 1.0):
            assert self.effect.unidentifiable(self.values_at(unit), 1.5) <= set(self.effect.space.names)

    def check_what_it_calls_unidentifiable_cannot_be_heard(self) -> None:
        """Changing a parameter that is declared unidentifiable does not change the sound."""
        for unit in (0.0, 0.5):
            values = self.values_at(unit)
            for hidden in self.effect.unidentifiable(values, self.note.shape[1] / RATE):
                near = float(self.effect.space[hidden].to_value(0.05 if hidden == "centre_delay_ms" else 0.4))
                changed = self.effect.render(self.note, RATE, values | {hidden: near})
                same = np.allclose(self.effect.render(self.note, RATE, values), changed, atol=1e-4)
                assert same, f"{hidden} is called unidentifiable at {unit:g} of every range, and is audible"


CONTRACT = EffectContract
