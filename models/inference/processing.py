"""Sending sound files through a learned transformation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
import soxr
import torch

from timbre_data.models.architectures.eq_autoencoder import EqAutoencoder, EqOptions
from timbre_data.models.evaluation.equaliser_losses import play
from timbre_data.models.inference.sound_files import LONGEST_SECONDS, reading
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Trained
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, write_wav
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter


def process_file(run: Path, file: Path, out: Path, step: str | None, at: dict[str, float]) -> dict[str, Any]:
    """Send a file of any rate, length and number of channels through a run, into a WAV file of the same rate and
    length. Returns what was done.

    Raises `UsageError` for files that cannot be read or are silent, and for settings that the run does not know.
    """
    trained = checkpoints.load(run).for_inference()
    network = cast(EqAutoencoder, trained.network.network)
    options = EqOptions.model_validate(trained.options)
    condition = condition_from(trained, at, step)
    with reading(file):
        about = soundfile.info(file)
        if about.duration > LONGEST_SECONDS:
            raise UsageError(f"{file}: {about.duration:.0f} s is too long, {LONGEST_SECONDS:g} s at most: cut it.")
        sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
    if not sound.size or not np.isfinite(sound).all() or np.abs(sound).max() < SILENCE_PEAK:
        raise UsageError(f"{file}: {'holds no samples' if not sound.size else 'silent, or not finite'}.")
    resampled = sound if rate == trained.rate else soxr.resample(sound, rate, trained.rate)
    channels = [play(network, np.ascontiguousarray(one), options.level_db, condition) for one in resampled.T]
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


def condition_from(trained: Trained, given: dict[str, float], step: str | None) -> torch.Tensor | None:
    """The condition of chosen settings [shape=(c,)], in the units of the parameters. Raises `UsageError` for what the
    run does not know.
    """
    described = [Parameter.model_validate(one) for one in trained.parameters]
    if not trained.shape.conditioning:
        if given or step:
            raise UsageError("this run learned one fixed transformation: it takes no settings.")
        return None
    if trained.effects and step not in trained.effects:
        raise UsageError(f"this run knows {', '.join(trained.effects)}: choose one with --effect.")
    steps = trained.effects or tuple(dict.fromkeys(one.name.partition(".")[0] for one in described))
    if step and step not in steps:
        raise UsageError(f"this run knows {', '.join(steps)}, not {step}.")
    if len(steps) == 1:
        step = steps[0]
    described_here = [one for one in described if not step or one.name.startswith(f"{step}.")]
    known = {one.name.removeprefix(f"{step}."): one for one in described_here} | {
        one.name: one for one in described_here
    }
    unknown = [name for name in given if name not in known]
    if unknown or len({known[name].name for name in given}) < len(described_here):
        raise UsageError(
            f"--at needs {', '.join(one.name for one in described_here)}"
            + (f"; it does not know {', '.join(unknown)}" if unknown else "")
            + "."
        )
    for name, value in given.items():
        low, high = known[name].bounds
        if not low <= value <= high:
            raise UsageError(
                f"--at {name}={value:g}: this run learned {low:g} to {high:g} {known[name].unit_text}".strip() + "."
            )
    values = {known[name].name: known[name].to_unit(value) for name, value in given.items()}
    used = [float(step == one) for one in trained.effects]
    return torch.tensor([*(float(values.get(one.name, 0.0)) for one in described), *used], dtype=torch.float32)
