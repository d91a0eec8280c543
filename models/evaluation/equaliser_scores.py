"""Evaluating a learned transformation: the paper's losses beside ours, what frequencies it lets through, pictures, and
sounds to hear.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures.eq_autoencoder import HOP, EqAutoencoder, EqOptions, filter_bank
from timbre_data.models.data.pairs import Pairs, setting_text, to_frames
from timbre_data.models.evaluation import epochs, equaliser_losses, plots, published
from timbre_data.models.evaluation.equaliser_losses import Losses
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number
from timbre_data.pipeline.sound.audio import write_wav
from timbre_data.pipeline.store.columns import RESPONSE, SPLITS
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Evaluated

LOW_HZ, HIGH_HZ = 50.0, 6000.0
"""Frequencies at which the learned response is compared with the target's."""
ENOUGH_DB = -60.0
"""A frequency counts where the input has this much of its loudest."""
SECONDS = 4.0
SETTINGS = 16
"""Held-out settings at which a run that knows many is measured with noise, at most as many as notes are scored."""
HEARD = 3
"""Notes written as WAV files."""


def evaluate_transformation(evaluated: Evaluated) -> EvaluationResult:
    """Score a run on up to `sounds` notes of a split; pictures and sounds go into its folder."""
    trained, run, split, folder = evaluated.trained, evaluated.run, evaluated.split, evaluated.folder
    notes = evaluated.sounds
    network = cast(EqAutoencoder, trained.network.network).eval()
    options = EqOptions.model_validate(trained.options)
    data = evaluated.datasets[0]
    pairs = Pairs(data, options.level_db)
    every = pairs.where(SPLITS.index(split)) if evaluated.row_indices is None else evaluated.row_indices
    if not len(every):
        raise UsageError(f"the {split} split is empty: render more rows.")
    indices = every[np.linspace(0, len(every) - 1, min(max(notes, 1), len(every))).astype(int)]
    ours = equaliser_losses.validate(network, pairs, indices, 1)
    first = type(network)(trained.shape.conditioning, options.back_end, options.latent)
    stage = run / equaliser_losses.FIRST_STAGE
    rebuilt: Losses | None = None
    if stage.is_file():
        first.load_state_dict(torch.load(stage, map_location="cpu", weights_only=True))
        rebuilt = equaliser_losses.validate(first, pairs, indices, 0, 4 * HOP)  # neighbours are much alike
    nothing = equaliser_losses.losses_over(pairs, indices, lambda before, after, _: [(before, after)])
    course = epochs.read(run)
    seconds, waiting = sum(row["seconds"] for row in course), epochs.waiting_share(course) or 0.0
    speed = _speed(network, data.recipe.audio.rate, options, trained.shape.conditioning)
    result: dict[str, Any] = {
        "notes": len(indices),
        "rows": len(indices),
        "losses": _as_data(ours),
        "first_stage": None if rebuilt is None else _as_data(rebuilt),
        "identity": _as_data(nothing),
        "real_time": speed,
        "training_seconds": seconds,
        "waiting_share": waiting,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    rows = [("this run", *_numbers(ours)), ("input as it is", *_numbers(nothing))]
    if rebuilt is not None:
        rows.append(("reconstruction, after the first stage", *_numbers(rebuilt)))
    ratio = ours.total / max(nothing.total, 1e-12)
    result["relative_loss"] = ratio
    rows.append(("this run, relative to the input", "-", "-", "-", number(ratio)))
    for one in published.beside(evaluated.about):
        rows.append((one.name, *(number(one.values[key]) for key in ("kl", "mse", "mae", "loss"))))
        said = {"input": "input as it is", "reconstruction": "reconstruction", "relative": "relative to the input"}
        rows += [
            (f"{one.name}, {what}", "-", "-", "-", number(one.values[key]))
            for key, what in said.items()
            if key in one.values
        ]
    tables = [
        Table(
            f"Losses over {len(indices)} notes of the {split} split",
            ("", "KL", "MSE", "MAE", "sum"),
            tuple(rows),
            note="KL of magnitudes normalized to a sum of 1, mean squares of magnitudes (FFT of 1,024 Hann-windowed samples), mean absolute waveform difference; notes at "
            f"{options.level_db:g} dB. The paper's piano is sampled.",
        )
    ]
    if data.has(RESPONSE):
        responses, table = _responses(network, pairs, indices, options)
        result["response"] = responses["figures"]
        tables.append(table)
        plots.responses(responses["hertz"], responses["target"], responses["curves"], folder / "response.png")
        if responses["settings"]:
            plots.responses_at(responses["hertz"], responses["settings"], folder / "settings.png")
    _pictures(network, pairs, indices, folder)
    _sounds(network, pairs, indices, options, data.recipe.audio.rate, folder)
    tables.append(
        Table(
            "Speed",
            ("processing, one core", "training", "waiting for data", "parameters"),
            ((f"{speed:.2f} x real time", f"{seconds:.0f} s", f"{100 * waiting:.2g} %", str(result["parameters"])),),
        )
    )
    return result, tuple(tables)


def _as_data(losses: Losses) -> dict[str, float]:
    return {"kl": losses.kl, "mse": losses.mse, "mae": losses.mae, "loss": losses.total}


def _numbers(losses: Losses) -> tuple[str, ...]:
    return tuple(number(value) for value in (losses.kl, losses.mse, losses.mae, losses.total))


def _speed(network: EqAutoencoder, rate: int, options: EqOptions, condition: int) -> float:
    """Measure how much faster than real time a sound is processed on one core."""
    sound = np.random.default_rng(0).uniform(-1, 1, round(SECONDS * rate)).astype(np.float32)
    given = torch.zeros(condition) if condition else None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    equaliser_losses.play(network, sound[:rate], options.level_db, given)
    begun = time.perf_counter()
    equaliser_losses.play(network, sound, options.level_db, given)
    seconds = time.perf_counter() - begun
    torch.set_num_threads(threads)
    return SECONDS / seconds


def probes(rate: int) -> dict[str, NDArray[np.float32]]:
    """A logarithmic sweep from 20 Hz to half the rate, and white noise, 4 s each, peak at 1."""
    from scipy import signal

    count = round(SECONDS * rate)
    time_ = np.arange(count) / rate
    sweep = signal.chirp(time_, 20, SECONDS, 0.49 * rate, method="logarithmic")
    noise = np.random.default_rng(0).uniform(-1, 1, count)
    return {"sweep": sweep.astype(np.float32), "noise": noise.astype(np.float32)}


def measured_response(
    before: NDArray[Any], after: NDArray[Any], rate: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Gain in dB by frequency (cross-spectrum over power), and where the input has enough: (hertz, gain, enough)
    [shape=(513,) each].
    """
    from scipy import signal

    hertz, cross = signal.csd(before, after, fs=rate, nperseg=1024)
    _, power = signal.welch(before, fs=rate, nperseg=1024)
    gain = 20 * np.log10(np.maximum(np.abs(cross) / np.maximum(power, 1e-20), 1e-6))
    enough = 10 * np.log10(np.maximum(power, 1e-20) / power.max()) > ENOUGH_DB
    return hertz, gain, enough & (hertz >= LOW_HZ) & (hertz <= HIGH_HZ)


def _responses(
    network: EqAutoencoder, pairs: Pairs, indices: NDArray[np.int64], options: EqOptions
) -> tuple[dict[str, Any], Table]:
    """The response to a sweep, to noise and to the held-out notes, against the target's."""
    rate = pairs.data.recipe.audio.rate
    position = int(indices[0])
    condition = pairs.condition_of(position, 1)
    target = pairs.data.read(RESPONSE, int(pairs.rows[position]))
    same = [int(one) for one in indices if np.array_equal(pairs.condition[one], pairs.condition[position])]
    inputs = probes(rate) | {"notes": np.concatenate([pairs.sounds(one)[0].numpy() for one in same[:16]])}
    figures: dict[str, dict[str, float]] = {}
    curves: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    hertz = np.linspace(0, rate / 2, len(target))
    for name, sound in inputs.items():
        output = equaliser_losses.play(network, sound, options.level_db, condition)
        _, gain, enough = measured_response(sound, output, rate)
        figures[name] = _differences([(gain, target, enough)])
        curves[name] = (gain, enough)
    settings: dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]] = {}
    if pairs.condition.shape[1]:
        settings[setting_text(pairs, position)] = (curves["noise"][0], target, curves["noise"][1])
        for one in indices[1:SETTINGS].tolist():
            output = equaliser_losses.play(network, inputs["noise"], options.level_db, pairs.condition_of(one, 1))
            _, gain, enough = measured_response(inputs["noise"], output, rate)
            settings[setting_text(pairs, one)] = (gain, pairs.data.read(RESPONSE, int(pairs.rows[one])), enough)
        figures[f"noise, {len(settings)} held-out settings"] = _differences(list(settings.values()))
    table = Table(
        f"Learned response against the target's, {LOW_HZ:g} Hz to {HIGH_HZ:g} Hz where the input has energy ({ENOUGH_DB:g} dB of its loudest)",
        ("measured with", "mean difference", "largest", "mean, where the target passes more than -20 dB", "largest"),
        tuple((name, *(f"{value:.2f} dB" for value in each.values())) for name, each in figures.items()),
    )
    return {"figures": figures, "hertz": hertz, "target": target, "curves": curves, "settings": settings}, table


def _differences(measured: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]) -> dict[str, float]:
    """Differences in dB between learned and true responses (gain, target, where the input has enough), all together."""
    result: dict[str, float] = {}
    for key, lowest in (("", -np.inf), ("_above_-20", -20.0)):
        parts = []
        for gain, target, enough in measured:
            floored = np.maximum(target, -120)
            parts.append(np.abs(gain - floored)[enough & (floored > lowest)])
        joined = np.concatenate(parts)
        result |= {
            f"mean_db{key}": float(joined.mean()) if len(joined) else float("nan"),
            f"largest_db{key}": float(joined.max()) if len(joined) else float("nan"),
        }
    return result


@torch.inference_mode()
def _pictures(network: EqAutoencoder, pairs: Pairs, indices: NDArray[np.int64], folder: Path) -> None:
    """Filters as they began and as they are, their spectra, what they make of a frame, the latent values before and
    after, and a note's waveforms and spectrograms.
    """
    position = int(indices[len(indices) // 2])
    before, after = pairs.sounds(position)
    frames = to_frames(before, 1024)[4:5]
    latent, _, residual = network.encode(frames)
    changed = network.transform(latent, pairs.condition_of(position, 1))
    filters = network.filters.detach().numpy()
    given = filter_bank().numpy()
    plots.equaliser_filters(
        given, filters, residual[0].numpy(), latent[0].numpy(), changed[0].numpy(), folder / "filters.png"
    )
    condition = pairs.condition_of(position, 1)
    output = equaliser_losses.play(
        network, before.numpy(), 20 * np.log10(max(float(before.abs().max()), 1e-9)), condition
    )
    plots.transformation(
        {"input": before.numpy(), "target": after.numpy(), "output": output},
        pairs.data.recipe.audio.rate,
        folder / "note.png",
    )


def _sounds(
    network: EqAutoencoder, pairs: Pairs, indices: NDArray[np.int64], options: EqOptions, rate: int, folder: Path
) -> None:
    """Input, target and output of some notes as WAV files."""
    listen = folder / "listen"
    listen.mkdir(exist_ok=True)
    for k, position in enumerate(
        indices[np.linspace(0, len(indices) - 1, min(HEARD, len(indices))).astype(int)].tolist()
    ):
        before, after = (sound.numpy() for sound in pairs.sounds(position))
        output = equaliser_losses.play(network, before, options.level_db, pairs.condition_of(position, 1))
        for name, sound in (("input", before), ("target", after), ("output", output)):
            write_wav(np.clip(sound, -1, 1)[None], rate, listen / f"{k + 1}-{name}.wav")
