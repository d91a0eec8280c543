"""The contract of synths: notes, chords and phrases in the requested format, and rows that do not depend on each
other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.build.isolation import difference_db
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter

RATE, SAMPLES = 22_050, 11_025
TRIED, FRAME, HEARD = 6, 2205, 1e-3
"""Patches in which a parameter may be heard; samples of a spectrum; share of the largest magnitude that is heard."""
NOTE = Performance.of(PlayedNote(0.0, 0.3, 60, 100))


class SynthContract(Contract):
    """A synth plays performances with a patch each."""

    @cached_property
    def kind(self) -> Synth:
        """The member that the module exposes."""
        return SYNTHS.load(self.name)

    @cached_property
    def parsed_settings(self) -> Any:
        """Its settings."""
        return self.kind.settings.model_validate(self.settings)

    @cached_property
    def player(self) -> Instrument:
        """The synth, opened with an isolation that keeps rows apart."""
        return self._opened(1)

    @cached_property
    def stereo_player(self) -> Instrument:
        """The same with two channels."""
        return self._opened(2)

    def _opened(self, channels: int) -> Instrument:
        isolation = "settle" if "settle" in self.kind.isolations else self.kind.isolations[0]
        return self.kind.open(self.parsed_settings, RATE, channels, isolation)

    def close(self) -> None:
        """Close the synth, where it was opened."""
        for name in ("player", "stereo_player"):
            if name in vars(self):
                vars(self)[name].close()

    def patches(self, count: int) -> list[Mapping[str, float]]:
        """Random patches from the middle of every range."""
        space = self.kind.space(self.parsed_settings)
        parsed_settings = 0.3 + 0.4 * np.random.default_rng(5).random((count, len(space)))
        parsed_settings[:, [i for i, name in enumerate(space.names) if "attack" in name]] *= (
            0.2  # half a second is short
        )
        return [space.as_mapping(row) for row in space.to_values(space.quantile(parsed_settings))]

    def check_says_what_it_is(self) -> None:
        """A summary, and parameters."""
        sentence(self.kind.summary)
        assert len(self.kind.space(self.parsed_settings)), "it has no parameters"

    def check_plays_in_the_requested_format(self) -> None:
        """float32 (n, channels, samples), finite and audible."""
        sounds = self.player.play([NOTE] * 3, self.patches(3), SAMPLES)
        assert sounds.shape == (3, 1, SAMPLES), f"asked for {(3, 1, SAMPLES)}, got {sounds.shape}"
        assert sounds.dtype == np.float32, f"it returns {sounds.dtype}, not float32"
        assert np.isfinite(sounds).all(), "not finite"
        assert (np.abs(sounds).max(axis=(1, 2)) > 1e-3).all(), "a note is silent"

    def check_rows_do_not_depend_on_each_other(self) -> None:
        """Four patches forwards and backwards sound the same."""
        patches = self.patches(4)
        forwards = self.player.play([NOTE] * 4, patches, SAMPLES)
        backwards = self.player.play([NOTE] * 4, patches[::-1], SAMPLES)[::-1]
        difference = difference_db(forwards, backwards)
        assert difference < -90, f"a row depends on the row before: {difference:.0f} dB"

    def check_chords_and_later_notes_are_played(self) -> None:
        """A later note comes later, and a chord has more partials than a note."""
        patch = self.patches(1)
        later = Performance.of(PlayedNote(0.25, 0.4, 60, 100))
        chord = Performance.of(*(PlayedNote(0.0, 0.3, key, 100) for key in (60, 64, 67)))
        one, delayed, three = (self.player.play([p], patch, SAMPLES)[0, 0] for p in (NOTE, later, chord))
        half = RATE // 4 - 200
        assert np.abs(delayed[:half]).max() < 1e-2 * np.abs(delayed).max(), "a later note does not come later"
        spectra = [np.abs(np.fft.rfft(sound[: RATE // 4] * np.hanning(RATE // 4))) for sound in (one, three)]
        assert difference_db(one[None, None], three[None, None]) > -30, "a chord sounds like one note"
        assert (spectra[1] > 0.1 * spectra[1].max()).sum() > (spectra[0] > 0.1 * spectra[0].max()).sum()

    def check_every_parameter_is_heard(self) -> None:
        """Each parameter that is drawn changes the sound of some patch: labels that do not reach it are invalid."""
        space = self.kind.space(self.parsed_settings)
        unheard = [each.name for each in space if each.distribution.type != "fixed" and not self._is_heard(each)]
        assert not unheard, f"no sound changes with {', '.join(unheard)}"

    def _is_heard(self, parameter: Parameter) -> bool:
        """Whether some patch sounds different, by more than two plays of it differ, at two values of a parameter.
        Phases do not count, as those of some synths run freely.
        """
        space = self.kind.space(self.parsed_settings)
        ends = parameter.to_value([0.0, 1.0] if parameter.steps else [0.1, 0.9]).tolist()
        for patch in self.patches(TRIED):
            low, high = ({**patch, parameter.name: value} for value in ends)
            active = space.active(np.array([[one[name] for name in space.names] for one in (low, high)]))
            unheard = self.kind.unidentifiable(high, SAMPLES / RATE)
            if not active[:, space.names.index(parameter.name)].all() or parameter.name in unheard:
                continue
            one, again, other = map(_spectra, self.stereo_player.play([NOTE] * 3, [low, low, high], SAMPLES))
            if np.abs(one - other).max() > max(HEARD * one.max(), 2 * np.abs(one - again).max()):
                return True
        return False


def _spectra(sound: Audio) -> NDArray[np.float64]:
    """Magnitudes of short spectra of a sound [shape=(channels, frames, bins)]."""
    frames = sound.reshape(len(sound), -1, FRAME)
    return np.abs(np.fft.rfft(frames * np.hanning(FRAME)))


CONTRACT = SynthContract
