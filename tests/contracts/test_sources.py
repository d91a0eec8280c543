"""Every source of dry sound: distinct named notes, pure rendering, the asked-for format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.fixtures.idmt_smt_audio_effects import make
from timbre_data.pipeline import catalogue
from timbre_data.pipeline.kinds import DrySource, Source
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
    return {}


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> DrySource:
    kind: Source = catalogue.load("source", request.param)
    try:
        return kind.open(kind.settings.model_validate(settings_for(request.param, tmp_path)))
    except MissingDependencyError as error:
        pytest.fail(f"install what the tests need (scripts/setup): {error}")


@pytest.mark.parametrize("source", catalogue.names("source"), indirect=True)
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

    def test_a_note_begins_at_its_onset(self, source: DrySource) -> None:
        sound = source.render(0, 22_050, 1, 22_050)[0]
        loud = np.flatnonzero(np.abs(sound) > 0.1 * np.abs(sound).max())
        assert loud[0] < 0.05 * 22_050  # a soft recorded attack takes a while
