"""Sounds and their pictures as a page takes them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbre_data.commands.pages.page_folder import PageFolder
from timbre_data.pipeline.sound.mel_bands import mel_filters
from timbre_data.schemas.arrays import Audio

PICTURE_BANDS, PICTURE_FRAMES = 96, 240
"""Height and width at most of a spectrogram's picture."""
RANGE_DB = 80.0
"""Levels so far below the loudest are black."""


def flac(sound: Audio, rate: int) -> str:
    """A sound [shape=(channels, samples)] as 16-bit FLAC, base64."""
    return base64.b64encode(_file(sound, rate, "FLAC", "PCM_16")).decode("ascii")


def wav(sound: Audio, rate: int) -> bytes:
    """A sound [shape=(channels, samples)] as a 24-bit WAV file."""
    return _file(sound, rate, "WAV", "PCM_24")


def _file(sound: Audio, rate: int, form: str, subtype: str) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.clip(sound.T, -1, 1), rate, format=form, subtype=subtype)
    return content.getvalue()


def write_row(
    page: PageFolder, row: int, sounds: Mapping[str, Audio], rate: int, picture: SpectrogramPictures, as_wav: bool
) -> None:
    """Write the sounds of a row by name, and a picture of each; with `as_wav` as files of their own, too."""
    page.script(f"sounds/{row}.js", "sound", row, {name: flac(sound, rate) for name, sound in sounds.items()})
    for name, sound in sounds.items():
        page.write(f"pictures/{row}-{name}.png", picture(sound))
        if as_wav:
            page.write(f"wav/{row}-{name}.wav", wav(sound, rate))


class SpectrogramPictures:
    """Log-mel spectrograms of sounds of one length as small PNG files, low frequencies below."""

    def __init__(self, samples: int, rate: int, *, frames: int = PICTURE_FRAMES, bands: int = PICTURE_BANDS) -> None:
        from matplotlib import colormaps

        self._hop = max(64, -(-samples // frames))
        n_fft = 2 ** int(np.clip(np.ceil(np.log2(4 * self._hop)), 9, 13))
        self._window = np.hanning(n_fft + 1)[:-1]
        starts, counts, weights = mel_filters(rate, n_fft, bands, 0.0, rate / 2)
        self._bands = np.zeros((n_fft // 2 + 1, bands))
        ends = np.cumsum(counts)
        for band, (start, count, end) in enumerate(zip(starts, counts, ends, strict=True)):
            self._bands[start : start + count, band] = weights[end - count : end]
        self.colours = (colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)

    def shares(self, sound: Audio) -> NDArray[np.float64]:
        """Levels of a sound [shape=(channels, samples)] from 0, `RANGE_DB` below the loudest, to 1 [shape=(frames,
        bands)].
        """
        half = len(self._window) // 2
        padded = np.pad(sound.mean(axis=0, dtype=np.float64), half)
        frames = np.lib.stride_tricks.sliding_window_view(padded, len(self._window))[:: self._hop]
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2 @ self._bands
        levels = 10 * np.log10(np.maximum(power, 1e-12))
        return np.clip((levels - levels.max()) / RANGE_DB + 1, 0, 1)

    def __call__(self, sound: Audio) -> bytes:
        """The picture of a sound [shape=(channels, samples)]."""
        from PIL import Image

        image = Image.fromarray((self.shares(sound).T[::-1] * 255).astype(np.uint8))
        image.putpalette(self.colours.tobytes())
        content = io.BytesIO()
        image.save(content, "PNG", optimize=True)
        return content.getvalue()
