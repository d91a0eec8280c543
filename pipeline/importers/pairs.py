"""Pairs of one's own: sounds before and after a pedal, a console or an engineer, as two folders or two long recordings.

dry/x.wav, processed/x.wav      the same name on both sides, any number of files
dry.wav, processed.wav          or one long recording each, cut into pieces

The two sides need not begin together: the delay between them is estimated by cross-correlation (of the sounds at
16 kHz) and taken out, and stored with each row beside the gain, the polarity and the correlation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.importers._files import files_below, piece_starts, seconds_of
from timbre_data.pipeline.sound.riff import SUFFIXES
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UnusableSoundError
from timbre_data.schemas.recipe import AudioFormat

DRY, PROCESSED = "dry", "processed"
RATE = 16_000
"""Rate in Hz at which delays are estimated."""
LONGEST_SECONDS = 4 * 3600.0
LEAST_CORRELATION = 0.1
"""Below this two sounds have nothing to do with each other."""
MOST_DRIFT_SECONDS = 1e-3
TOGETHER = 8
"""Neighbouring pieces of a recording that a split keeps together."""


class PairsSettings(Frozen):
    """The folder of both sides, what the processing is, and how long a row is."""

    path: Path = Field(description="folder with dry/ and processed/, or with dry.wav and processed.wav")
    effect: str = Field("equaliser", description="what was done to the sounds, by the name of an effect")
    piece_seconds: float = Field(4.0, gt=0.05, le=600, description="length of a row in seconds")
    longest_delay: float = Field(2.0, gt=0, le=60, description="largest delay that is looked for, in seconds")
    licence: str = Field("", description="licence of the recordings, as an SPDX identifier")

    @property
    def steps(self) -> tuple[str, ...]:
        """The one effect of all rows."""
        return (self.effect.replace("-", "_"),)


@dataclass(frozen=True)
class Alignment:
    """How the processed side lies: so much later (seconds), louder (dB) and with which polarity, and how like the dry
    one it is (the normalised cross-correlation there).
    """

    delay_seconds: float
    gain_db: float
    polarity: float
    correlation: float


def align(dry: NDArray[np.float32], processed: NDArray[np.float32], rate: int, longest_delay: float) -> Alignment:
    """Align two sounds [shape=(samples,) each] by the peak of their cross-correlation (Knapp & Carter 1976, eq. 1),
    between samples by a parabola. The gain is that of the least squares at this delay.
    """
    from scipy.signal import correlate

    size = max(len(dry), len(processed))
    a, b = (np.pad(sound.astype(np.float64), (0, size - len(sound))) for sound in (dry, processed))
    furthest = min(round(longest_delay * rate), size - 1)
    correlation = correlate(b, a, method="fft")[size - 1 - furthest : size + furthest]
    peak = int(np.abs(correlation).argmax())
    value = correlation[peak]
    offset = 0.0
    if 0 < peak < len(correlation) - 1:
        before, here, after = np.abs(correlation[peak - 1 : peak + 2])
        curve = before - 2 * here + after
        offset = 0.5 * (before - after) / curve if curve else 0.0
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    gain = abs(value) / max(float((a**2).sum()), 1e-30)
    return Alignment(
        delay_seconds=(peak - furthest + offset) / rate,
        gain_db=20 * float(np.log10(max(gain, 1e-10))),
        polarity=float(np.sign(value) or 1),
        correlation=float(abs(value) / max(norm, 1e-30)),
    )


def _drift(dry: NDArray[np.float32], processed: NDArray[np.float32], longest_delay: float) -> float:
    """How much the delay changes from the first third of a recording to the last, in seconds."""
    third = min(len(dry), len(processed)) // 3
    if third < 10 * RATE:
        return 0.0
    ends = [align(dry[part], processed[part], RATE, longest_delay) for part in (slice(third), slice(-third, None))]
    return ends[1].delay_seconds - ends[0].delay_seconds


def _sides(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of both sides by their common names. Raises `NotFoundError`."""
    if (root / DRY).is_dir() and (root / PROCESSED).is_dir():
        dry, processed = (
            {
                path.relative_to(root / side).with_suffix("").as_posix(): path
                for path in files_below(root / side)
                if path.suffix.lower() in SUFFIXES
            }
            for side in (DRY, PROCESSED)
        )
        return dry, processed
    there = list(root.iterdir()) if root.is_dir() else []
    files = {path.stem: path for path in there if path.suffix.lower() in SUFFIXES and path.stem in (DRY, PROCESSED)}
    if len(files) < 2:
        raise NotFoundError(f"{root} holds neither the folders dry/ and processed/ nor dry.wav and processed.wav.")
    return {"recording": files[DRY]}, {"recording": files[PROCESSED]}


@lru_cache(maxsize=4)
def scan(settings: PairsSettings) -> Inventory:
    """List every piece of every pair, aligned, and every file that has no partner or does not fit it."""
    root = settings.path.expanduser()
    dry, processed = _sides(root)
    problems = {
        path.relative_to(root).as_posix(): f"missing: {other}/ has no sound of this name"
        for side, partner, other in ((dry, processed, PROCESSED), (processed, dry, DRY))
        for name, path in side.items()
        if name not in partner
    }
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for name in sorted(dry.keys() & processed.keys()):
        try:
            shown = processed[name].relative_to(root).as_posix()
            for origin, recording in _pieces(name, shown, dry[name], processed[name], settings, len(origins)):
                origins.append(origin)
                recordings.append(recording)
        except UnusableSoundError as error:
            problems[processed[name].relative_to(root).as_posix()] = str(error)
    return Inventory(tuple(recordings), tuple(origins), problems)


def _pieces(
    name: str, shown: str, dry: Path, processed: Path, settings: PairsSettings, first: int
) -> Iterator[tuple[Origin, Recording]]:
    """The pieces of one pair that are not silent, the rows called as the processed file. Raises `UnusableSoundError`
    where a file is unreadable, or the two do not fit.
    """
    from timbre_data.pipeline.sound.audio import (  # numba, which a list of importers waits not for
        SILENCE_PEAK,
        read_mono,
    )
    from timbre_data.pipeline.sound.note_pitch import note_f0

    for path in (dry, processed):
        if isinstance(wrong := seconds_of(path), str):
            raise UnusableSoundError(wrong if path == processed else f"{path.name}: {wrong}")
    before, after = (read_mono(path, RATE, LONGEST_SECONDS) for path in (dry, processed))
    found = align(before, after, RATE, settings.longest_delay)
    if found.correlation < LEAST_CORRELATION:
        raise UnusableSoundError(
            f"unlike {dry.name} (correlation {found.correlation:.2f} at best): not the same performance, or further apart than longest_delay"
        )
    drift = _drift(before, after, settings.longest_delay)
    if abs(drift) > MOST_DRIFT_SECONDS:
        raise UnusableSoundError(f"drifts by {1000 * drift:.1f} ms against {dry.name}: recorded by two clocks")
    starts = piece_starts(len(before) / RATE, settings.piece_seconds)
    labels: dict[str, float | str] = {
        "delay_seconds": found.delay_seconds,
        "gain_db": found.gain_db,
        "polarity": found.polarity,
        "correlation": found.correlation,
    }
    number = first
    for k, start in enumerate(starts):
        part = before[round(start * RATE) : round((start + settings.piece_seconds) * RATE)]
        begin = start + found.delay_seconds
        if np.abs(part).max(initial=0.0) < SILENCE_PEAK or begin < -settings.piece_seconds:
            continue
        identity = name if len(starts) == 1 else f"{name}#{k:04d}"
        group = name if len(starts) == 1 else f"{name}#{k // TOGETHER}"
        yield (
            Origin(identity=identity, group=group, file=dry, f0_hz=note_f0(part, RATE), start_seconds=start),
            Recording(
                file=processed,
                identity=shown,
                origin=number,
                step=settings.steps[0],
                labels=labels,
                start_seconds=begin,
            ),
        )
        number += 1


IMPORTER = Importer(
    summary="Pairs of one's own: sounds before and after a pedal, a console or an engineer, aligned by cross-correlation.",
    citation="Aligned after Knapp, C., & Carter, G. (1976). The generalized correlation method. IEEE TASSP 24(4), 320-327.",
    licence="LicenseRef-unstated",
    url="https://doi.org/10.1109/TASSP.1976.1162830",
    settings=PairsSettings,
    steps=("equaliser",),
    audio=AudioFormat(rate=16000, channels=1, seconds=4, peak="fit"),
    scan=scan,
)
