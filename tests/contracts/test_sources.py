"""Every source, of dry sound or of notes: distinct named notes, pure rendering, the asked-for format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.fixtures.idmt_smt_audio_effects import make
from tests.fixtures.midi import write_song
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.catalogue.source import DrySource, MidiSource, Source
from timbre_data.schemas.errors import MissingDependencyError


def settings_for(name: str, folder: Path) -> dict[str, Any]:
    """What each source needs to be opened here; a new source without required settings needs nothing."""
    if name == "wav_folder":
        rng = np.random.default_rng(0)
        for i in range(4):
            soundfile.write(folder / f"{i}.wav", rng.uniform(-0.5, 0.5, (30_000, 1 + i % 2)), 44_100)
        return {"path": folder}
    if name == "idmt_smt_audio_effects":
        make(folder)
        return {"path": folder}
    if name == "midi_file":
        write_song(folder / "song.mid")
        return {"path": folder, "seconds": 1.0}
    return {}


SOFT = {"sung_phonemes": 0.006}
"""How loud a sound must be at once, where it may begin with a soft consonant; else a tenth of its peak."""
AUDIO = [name for name in registry.names("source") if registry.load("source", name).gives == "audio"]
MIDI = [name for name in registry.names("source") if registry.load("source", name).gives == "midi"]


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> DrySource:
    kind: Source = registry.load("source", request.param)
    try:
        return kind.open(kind.settings.model_validate(settings_for(request.param, tmp_path)))
    except MissingDependencyError as error:
        pytest.fail(f"install what the tests need (scripts/setup): {error}")


@pytest.mark.parametrize("source", AUDIO, indirect=True)
class TestSource:
    def test_notes_have_distinct_identities(self, source: DrySource) -> None:
        identities = [note.identity for note in source.notes]
        assert len(set(identities)) == len(identities) > 0

    @pytest.mark.parametrize("channels", [1, 2])
    def test_gives_the_format_that_is_asked_for(self, source: DrySource, channels: int) -> None:
        sound = source.render(0, 22_050, channels, 11_025)
        assert sound.shape == (channels, 11_025)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert 0.1 < np.abs(sound).max() <= 1.0 + 1e-6

    def test_a_note_is_the_same_whatever_came_before(self, source: DrySource) -> None:
        last = min(3, len(source.notes) - 1)
        first = source.render(last, 22_050, 1, 8000)
        source.render(0, 22_050, 1, 8000)
        assert np.array_equal(first, source.render(last, 22_050, 1, 8000))

    def test_a_note_begins_at_its_onset(self, source: DrySource, request: pytest.FixtureRequest) -> None:
        at_once = SOFT.get(request.node.callspec.params["source"], 0.1)
        sound = source.render(0, 22_050, 1, 22_050)[0]
        loud = np.flatnonzero(np.abs(sound) > at_once * np.abs(sound).max())
        assert loud[0] < 0.05 * 22_050  # a soft recorded attack takes a while


@pytest.mark.parametrize("source", MIDI, indirect=True)
class TestMidiSource:
    def test_notes_have_distinct_identities(self, source: MidiSource) -> None:
        identities = [note.identity for note in source.notes]
        assert len(set(identities)) == len(identities) > 0

    def test_every_performance_plays_from_its_first_moment(self, source: MidiSource) -> None:
        for index in range(len(source.notes)):
            performance = source.performance(index)
            assert performance.notes[0].start_seconds == 0
            assert all(
                1 <= note.velocity <= 127 and note.stop_seconds > note.start_seconds for note in performance.notes
            )
            assert [seconds for seconds, _ in performance.events] == sorted(
                seconds for seconds, _ in performance.events
            )

    def test_what_is_stored_plays_the_same(self, source: MidiSource) -> None:
        performance = source.performance(0)
        assert Performance.from_text(performance.to_text()).to_text() == performance.to_text()
