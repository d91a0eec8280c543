"""Every synth, whoever adds it: plays notes, chords and phrases in the asked-for format, and rows do not hear each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from timbre_data.pipeline.build.isolation import difference_db
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.hosting import client
from timbre_data.schemas.space import ParameterSpace

NAMES = registry.names("synth")
RATE, SAMPLES = 22_050, 11_025
NOTE = Performance.of(PlayedNote(0.0, 0.3, 60, 100))


def settings_for(name: str) -> dict[str, Any]:
    """What each synth needs to be opened here; a new synth without required settings needs nothing."""
    if name == "midi":
        return {"profile": "zynaddsubfx"}
    if name == "plugin":
        parameters = [{"name": "level"}, {"name": "detune", "target": "Detune (cents)"}]
        return {"path": "fake.vst3", "parameters": parameters}
    return {}


class Opened:
    """A synth with what the tests need of it."""

    def __init__(self, name: str) -> None:
        self.kind: Synth = registry.load("synth", name)
        self.settings = self.kind.settings.model_validate(settings_for(name))
        self.space: ParameterSpace = self.kind.space(self.settings)
        isolation = "settle" if "settle" in self.kind.isolations else self.kind.isolations[0]
        self.player: Instrument = self.kind.open(self.settings, RATE, 1, isolation)

    def patches(self, count: int) -> list[Mapping[str, float]]:
        chosen = 0.3 + 0.4 * np.random.default_rng(5).random((count, len(self.space)))
        chosen[:, [i for i, name in enumerate(self.space.names) if "attack" in name]] *= 0.2  # half a second is short
        drawn = self.space.quantile(chosen)
        return [self.space.as_mapping(row) for row in self.space.to_values(drawn)]


@pytest.fixture(scope="module")
def synth(request: pytest.FixtureRequest) -> Iterator[Opened]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plugin":
            real = client.Hosted.__init__

            def fake(self: Any, name: str, factory: Any, *rest: Any, **named: Any) -> None:
                real(self, name, ("tests.fixtures.plugin", "hosted"), *rest, **named)

            patch.setattr(client.Hosted, "__init__", fake)
        opened = Opened(request.param)
        yield opened
        opened.player.close()


@pytest.mark.parametrize("synth", NAMES, indirect=True)
class TestSynth:
    def test_says_what_it_is(self, synth: Opened) -> None:
        assert synth.kind.summary.endswith(".")
        assert len(synth.space)

    def test_plays_in_the_format_that_is_asked_for(self, synth: Opened) -> None:
        sounds = synth.player.play([NOTE] * 3, synth.patches(3), SAMPLES)
        assert sounds.shape == (3, 1, SAMPLES)
        assert sounds.dtype == np.float32
        assert np.isfinite(sounds).all()
        assert (np.abs(sounds).max(axis=(1, 2)) > 1e-3).all()

    def test_rows_do_not_hear_each_other(self, synth: Opened) -> None:
        patches = synth.patches(4)
        forwards = synth.player.play([NOTE] * 4, patches, SAMPLES)
        backwards = synth.player.play([NOTE] * 4, patches[::-1], SAMPLES)[::-1]
        assert difference_db(forwards, backwards) < -90

    def test_a_chord_and_a_later_note_are_played(self, synth: Opened) -> None:
        patch = synth.patches(1)
        later = Performance.of(PlayedNote(0.25, 0.4, 60, 100))
        chord = Performance.of(*(PlayedNote(0.0, 0.3, key, 100) for key in (60, 64, 67)))
        one, delayed, three = (synth.player.play([p], patch, SAMPLES)[0, 0] for p in (NOTE, later, chord))
        half = RATE // 4 - 200
        assert np.abs(delayed[:half]).max() < 1e-2 * np.abs(delayed).max()
        spectra = [np.abs(np.fft.rfft(sound[: RATE // 4] * np.hanning(RATE // 4))) for sound in (one, three)]
        assert difference_db(one[None, None], three[None, None]) > -30
        assert (spectra[1] > 0.1 * spectra[1].max()).sum() > (spectra[0] > 0.1 * spectra[0].max()).sum()

    def test_its_parameters_reach_the_sound(self, synth: Opened) -> None:
        """Two random patches sound different: labels that do not reach the synth are lies."""
        sounds = synth.player.play([NOTE] * 2, synth.patches(2), SAMPLES)
        assert np.abs(sounds[0] - sounds[1]).max() > 1e-2 * np.abs(sounds).max()
