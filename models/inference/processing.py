"""Sending sound files through a learned transformation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
import soxr

from timbre_data.models.architectures.eq_autoencoder import EqAutoencoder, EqOptions
from timbre_data.models.inference.sound_files import LONGEST_SECONDS, reading
from timbre_data.models.training import checkpoints, equaliser_loop
from timbre_data.models.training.runs import open_run
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, write_wav
from timbre_data.schemas.errors import UsageError


def is_transformation(run: Path) -> bool:
    """Whether a run maps sounds to sounds."""
    return open_run(run).settings.target == "transformation"


def process_file(run: Path, file: Path, out: Path, step: str | None, at: dict[str, float]) -> dict[str, Any]:
    """Send a file of any rate, length and number of channels through a run, into a WAV file of the same rate and length. Returns what was done.

    Raises `UsageError` for files that cannot be read or are silent, and for settings that the run does not know.
    """
    trained = checkpoints.load(run)
    network = cast(EqAutoencoder, trained.network.network).eval()
    options = EqOptions.model_validate(trained.options)
    condition = equaliser_loop.condition_from(trained, at, step)
    with reading(file):
        about = soundfile.info(file)
        if about.duration > LONGEST_SECONDS:
            raise UsageError(f"{file}: {about.duration:.0f} s is too long, {LONGEST_SECONDS:g} s at most: cut it.")
        sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
    if not sound.size or not np.isfinite(sound).all() or np.abs(sound).max() < SILENCE_PEAK:
        raise UsageError(f"{file}: {'holds no samples' if not sound.size else 'silent, or not finite'}.")
    heard = sound if rate == trained.rate else soxr.resample(sound, rate, trained.rate)
    channels = [equaliser_loop.play(network, np.ascontiguousarray(one), options.level_db, condition) for one in heard.T]
    changed = np.stack(channels)
    if rate != trained.rate:
        changed = soxr.resample(changed.T, trained.rate, rate).T
    whole = np.zeros((sound.shape[1], len(sound)), np.float32)
    count = min(changed.shape[1], len(sound))
    whole[:, :count] = changed[:, :count]
    peak = float(np.abs(whole).max())
    gain = min(1.0, 1.0 / peak) if peak > 0 else 1.0
    write_wav(whole * np.float32(gain), rate, out)
    return {
        "file": str(file),
        "out": str(out),
        "rate": rate,
        "resampled_to": trained.rate if rate != trained.rate else None,
        "gain": gain,
        "seconds": len(sound) / rate,
    }


def as_text(done: dict[str, Any]) -> str:
    """What was done, for people."""
    text = f"{done['file']}: {done['seconds']:.2f} s through the run, in {done['out']}"
    if done["resampled_to"]:
        text += f"; resampled from {done['rate']} to {done['resampled_to']} Hz and back, so nothing above {done['resampled_to'] // 2} Hz is left"
    if done["gain"] < 1:
        text += f"; turned down by {-20 * np.log10(done['gain']):.1f} dB, which would have clipped"
    return text
