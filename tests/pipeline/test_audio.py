"""Reading sound files: the numbers are those of soundfile, NumPy and soxr."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from timbre_data.pipeline.audio import read

RATE = 44_100


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("flac", "PCM_16"), ("aiff", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("ogg", "VORBIS")],
)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_are_read_as_they_are(tmp_path: Path, suffix: str, subtype: str, channels: int) -> None:
    path = tmp_path / f"sound.{suffix}"
    sound = np.random.default_rng(0).uniform(-1, 1, (5000, channels))
    sound[:2] = [[-1.0], [1.0]]
    soundfile.write(path, sound, RATE, subtype=subtype)
    told, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(read(path, RATE, channels), told.T)
    mono = told.mean(axis=1)
    assert np.allclose(read(path, RATE, 1)[0], mono, atol=1e-7)
    other = read(path, 16_000, 4)
    assert (other == other[0]).all()
    assert np.allclose(other[0], soxr.resample(mono, RATE, 16_000, quality="VHQ"), atol=1e-6)
