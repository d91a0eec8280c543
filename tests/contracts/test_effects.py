"""Every effect, whoever adds it: same shape, pure, whole range, no surprises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio

NAMES = [name for name in registry.names("effect") if name != "plugin"]
"""All but the plug-in, which is one only with a file: see tests/pipeline/effects/test_plugin.py."""
RATE = 22_050


@pytest.fixture(scope="module")
def note() -> Audio:
    source = registry.load("source", "plucked_string")
    return source.open(source.settings()).render(40, RATE, 1, RATE)


def values_at(effect: Effect, unit: float) -> dict[str, float]:
    return {p.name: float(p.to_value(unit)) for p in effect.space.each()}


@pytest.mark.parametrize("name", NAMES)
class TestEffect:
    def test_says_what_it_is(self, name: str) -> None:
        effect: Effect = registry.load("effect", name)
        assert effect.summary.endswith(".")
        assert len(effect.space) or effect.family == "dry"

    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("rate", [16_000, 44_100])
    def test_keeps_shape_and_type(self, name: str, rate: int, channels: int) -> None:
        effect: Effect = registry.load("effect", name)
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, 3000)).astype(np.float32)
        out = effect.render(sound, rate, values_at(effect, 0.5))
        assert out.shape == sound.shape
        assert out.dtype == np.float32

    def test_is_pure_and_thread_safe(self, name: str, note: Audio) -> None:
        effect: Effect = registry.load("effect", name)
        before, values = note.copy(), values_at(effect, 0.37)
        first = effect.render(note, RATE, values)
        effect.render(note, RATE, values_at(effect, 0.9))
        with ThreadPoolExecutor(4) as pool:
            again = list(pool.map(lambda _: effect.render(note, RATE, values), range(8)))
        assert np.array_equal(note, before)
        assert all(np.array_equal(first, one) for one in again)

    @pytest.mark.parametrize("corner", [0.0, 1.0])
    def test_survives_the_corners_of_its_range(self, name: str, corner: float, note: Audio) -> None:
        effect: Effect = registry.load("effect", name)
        assert np.isfinite(effect.render(note, RATE, values_at(effect, corner))).all()

    def test_every_parameter_is_heard(self, name: str, note: Audio) -> None:
        """A label that does not reach the sound is a lie: each parameter alone, from low to high, must change it."""
        effect: Effect = registry.load("effect", name)
        middle = values_at(effect, 0.3) | {
            p.name: float(p.to_value(0.8)) for p in effect.space.each() if p.name.endswith("gain_db")
        }
        for parameter in effect.space.each():
            low, high = (
                effect.render(note, RATE, middle | {parameter.name: float(parameter.to_value(u))}) for u in (0.1, 0.9)
            )
            change = np.abs(low - high).max() / max(np.abs(low).max(), np.abs(high).max())
            assert change > 1e-3, parameter.name

    def test_what_it_calls_unidentifiable_exists(self, name: str) -> None:
        effect: Effect = registry.load("effect", name)
        for unit in (0.0, 0.5, 1.0):
            assert effect.unidentifiable(values_at(effect, unit), 1.5) <= set(effect.space.names)

    def test_what_it_calls_unidentifiable_cannot_be_heard(self, name: str, note: Audio) -> None:
        effect: Effect = registry.load("effect", name)
        for unit in (0.0, 0.5):
            values = values_at(effect, unit)
            for hidden in effect.unidentifiable(values, note.shape[1] / RATE):
                near = float(effect.space[hidden].to_value(0.05 if hidden == "centre_delay_ms" else 0.4))
                changed = effect.render(note, RATE, values | {hidden: near})
                assert np.allclose(effect.render(note, RATE, values), changed, atol=1e-4), (unit, hidden)
