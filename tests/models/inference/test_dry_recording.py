"""The dry sound of each note of a file, from a recording of the same notes, of one note, or of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from timbre_data.models.inference.dry_recording import DryRecording
from timbre_data.schemas.errors import UsageError

RATE, SAMPLES = 22_050, 6000
NOTES = (220.0, 330.0, 440.0)


def note(hertz: float) -> NDArray[np.float32]:
    time = np.arange(SAMPLES) / RATE
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-12 * time), np.float32)


def recording(folder: Path, pitches: tuple[float, ...], gap: int = 4000) -> DryRecording:
    """Notes, each with silence after it."""
    sound = np.concatenate([np.pad(note(hertz), (0, gap)) for hertz in pitches])
    soundfile.write(folder / "dry.wav", sound, RATE, subtype="FLOAT")
    return DryRecording(folder / "dry.wav", RATE, SAMPLES)


def strongest(sound: NDArray[np.float32]) -> float:
    return float(np.abs(np.fft.rfft(sound)).argmax() * RATE / len(sound))


def test_note_by_note_where_there_are_as_many(tmp_path: Path) -> None:
    dry = recording(tmp_path, NOTES)
    found = dry.notes([500, 13_000, 26_000])  # the other sound is played slower
    assert [strongest(one) for one in found] == pytest.approx(NOTES, abs=5)
    assert dry.pitches(4) == pytest.approx([*NOTES, NOTES[-1]], rel=0.01)


def test_a_single_note_serves_all(tmp_path: Path) -> None:
    found = recording(tmp_path, NOTES[:1]).notes([0, 50_000])
    assert np.array_equal(found[0], found[1])
    assert strongest(found[0]) == pytest.approx(NOTES[0], abs=5)


def test_else_what_sounds_at_the_same_time(tmp_path: Path) -> None:
    dry = recording(tmp_path, NOTES)
    assert [strongest(one) for one in dry.notes([0, 20_000])] == pytest.approx([NOTES[0], NOTES[2]], abs=5)
    with pytest.raises(UsageError, match="ends before these"):
        dry.notes([0, 40_000])
