"""The contract of sources: distinct named notes, pure rendering, the requested format."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.sources import SOURCES

SOFT_ONSET = {"sung_phonemes": 0.006}
"""Least level at the onset, relative to the peak, of sounds that may begin with a soft consonant; a tenth for
others.
"""


class SourceContract(Contract):
    """A source makes dry sounds, or notes for a synth."""

    @cached_property
    def kind(self) -> Any:
        """The member that the module exposes."""
        return SOURCES.load(self.name)

    @cached_property
    def source(self) -> Any:
        """The source, opened."""
        return self.kind.open(self.kind.settings.model_validate(self.settings))

    def check_says_what_it_is(self) -> None:
        """A summary."""
        sentence(self.kind.summary)

    def check_notes_have_distinct_identities(self) -> None:
        """A note's identity is unique in its source."""
        identities = [note.identity for note in self.source.notes]
        assert identities, "it has no notes"
        assert len(set(identities)) == len(identities), "two notes have the same identity"

    def check_gives_the_requested_format(self) -> None:
        """float32 (channels, samples), finite, neither silent nor above full scale."""
        if self.kind.gives == "midi":
            return
        for channels in (1, 2):
            sound = self.source.render(0, 22_050, channels, 11_025)
            assert sound.shape == (channels, 11_025), f"asked for {(channels, 11_025)}, got {sound.shape}"
            assert sound.dtype == np.float32, f"it returns {sound.dtype}, not float32"
            assert np.isfinite(sound).all(), "not finite"
            assert 0.1 < np.abs(sound).max() <= 1.0 + 1e-6, "the peak is not between 0.1 and 1"

    def check_a_note_is_the_same_whatever_came_before(self) -> None:
        """Rendering is pure."""
        if self.kind.gives == "midi":
            return
        last = min(3, len(self.source.notes) - 1)
        first = self.source.render(last, 22_050, 1, 8000)
        self.source.render(0, 22_050, 1, 8000)
        assert np.array_equal(first, self.source.render(last, 22_050, 1, 8000)), "two renders of one note differ"

    def check_a_note_begins_at_its_onset(self) -> None:
        """A sound starts within 50 ms (a soft recorded attack takes a while)."""
        if self.kind.gives == "midi":
            return
        sound = self.source.render(0, 22_050, 1, 22_050)[0]
        loud = np.flatnonzero(np.abs(sound) > SOFT_ONSET.get(self.name, 0.1) * np.abs(sound).max())
        assert loud[0] < 0.05 * 22_050, f"the first sound comes after {loud[0] / 22_050:.2f} s"

    def check_every_performance_plays_from_its_first_moment(self) -> None:
        """Notes for synths: in order, with velocities from 1 to 127, the first at 0 s."""
        if self.kind.gives != "midi":
            return
        for index in range(len(self.source.notes)):
            performance = self.source.performance(index)
            assert performance.notes[0].start_seconds == 0, f"note {index} does not start at 0 s"
            assert all(
                1 <= note.velocity <= 127 and note.stop_seconds > note.start_seconds for note in performance.notes
            ), f"note {index} has an impossible velocity or duration"
            times = [seconds for seconds, _ in performance.events]
            assert times == sorted(times), f"the events of note {index} are not in order"

    def check_stored_performances_play_the_same(self) -> None:
        """The notes stored as text are those that were played."""
        if self.kind.gives != "midi":
            return
        text = self.source.performance(0).to_text()
        assert Performance.from_text(text).to_text() == text


CONTRACT = SourceContract
