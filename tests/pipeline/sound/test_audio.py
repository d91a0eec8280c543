"""Reading sound files: the numbers are those of soundfile, NumPy and soxr."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from timbre_data.pipeline.sound.audio import read
from timbre_data.pipeline.sound.mp3 import read_mp3
from timbre_data.schemas.errors import UnusableSoundError

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


ID3 = b"ID3\x03\x00\x00\x00\x00\x01\x00" + bytes(128)
"""A tag of 128 bytes in front of a file."""


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
@pytest.mark.parametrize("damage", ["none", "tagged", "cut short", "a WAV by that name"])
def test_mp3_from_memory_has_the_samples_that_soundfile_reads(
    tmp_path: Path, rate: int, channels: int, damage: str
) -> None:
    path = tmp_path / "sound.mp3"
    sound = np.cumsum(np.random.default_rng(0).standard_normal((3 * rate, channels)), axis=0)
    kind = "WAV" if damage == "a WAV by that name" else "MP3"
    soundfile.write(path, 0.5 * sound / np.abs(sound).max(), rate, format=kind)
    content = path.read_bytes()
    path.write_bytes(
        (ID3 if damage == "tagged" else b"") + content[: len(content) // 2 if damage == "cut short" else None]
    )
    with soundfile.SoundFile(path) as file:
        told = file.read(dtype="float32", always_2d=True)
    found = read_mp3(path)
    assert found is not None
    assert found[1] == rate
    assert np.array_equal(found[0], told)
    assert len(told) > rate
    assert np.array_equal(read(path, rate, channels), told.T)


@pytest.mark.parametrize("junk", ["random", "zeros", "ones", "text"])
@pytest.mark.parametrize(("rate", "channels", "mode"), [(44_100, 2, "CONSTANT"), (44_100, 1, "VARIABLE"), (22_050, 1, "AVERAGE"), (8_000, 1, "CONSTANT")])  # fmt: skip
def test_an_mp3_that_was_overwritten_in_the_middle_is_damaged(
    tmp_path: Path, rate: int, channels: int, mode: str, junk: str
) -> None:
    path = tmp_path / "sound.mp3"
    rng = np.random.default_rng(0)
    sound = 0.3 * rng.standard_normal((5 * rate, channels))
    soundfile.write(path, sound, rate, format="MP3", bitrate_mode=mode)
    content = path.read_bytes()
    assert read(path, rate, channels).shape[1] >= 5 * rate
    size = 3000
    noise = {"random": rng.bytes(size), "zeros": bytes(size), "ones": b"\xff" * size, "text": b"<html>" * (size // 6)}[
        junk
    ]
    for place in (len(content) // 3, len(content) // 2, 2 * len(content) // 3):
        path.write_bytes(content[:place] + noise + content[place + size :])
        with pytest.raises(UnusableSoundError, match=r"damaged: bytes [\d,]+ to [\d,]+ are no MPEG audio"):
            read(path, rate, channels)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(5000), b"APETAGEX" + bytes(200), b"\xff\xfb"])
def test_what_stands_around_the_frames_of_an_mp3_is_no_damage(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "sound.mp3"
    soundfile.write(path, 0.3 * np.random.default_rng(0).standard_normal(RATE * 2), RATE, format="MP3")
    before = read(path, RATE, 1)
    path.write_bytes(ID3 + path.read_bytes() + tail)
    assert np.array_equal(read(path, RATE, 1), before)


@pytest.mark.parametrize("content", [b"", b"no sound at all" * 100, b"\xff\xfb\x90\x00"])
def test_what_is_no_mp3_is_told_as_soundfile_tells_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(content)
    with pytest.raises(soundfile.LibsndfileError) as own:
        soundfile.SoundFile(path)
    with pytest.raises(UnusableSoundError) as told:
        read(path, RATE, 1)
    assert str(own.value).splitlines()[0].rstrip(".") in str(told.value)


@pytest.mark.parametrize(
    ("size", "said"), [(0, ""), (36 + 8000, ""), (0x7FFFFFFF, ""), (0xFFFFFFFF, ""), (36 + 9000, "8,044 of 9,044")]
)
def test_a_wav_with_less_than_its_header_says_is_cut_short(tmp_path: Path, size: int, said: str) -> None:
    """Sizes of programs that stream are no promise."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.full(4000, 0.5), RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    if said:
        with pytest.raises(UnusableSoundError, match=said):
            read(path, RATE, 1)
    else:
        assert read(path, RATE, 1).shape == (1, 4000)
