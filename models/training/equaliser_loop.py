"""Learning a transformation of sound from pairs: the end-to-end equaliser, trained frame by frame and played by overlap and add.

RUN/settings.json, epochs.csv, model.pt    as for every run; an "epoch" is `ROUND` iterations
RUN/first-stage.pt                         the autoencoder after the first stage
RUN/state.pt                               where training goes on
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP, EqAutoencoder, EqOptions
from timbre_data.models.data.pairs import EDGE, OVERLAP, Pairs, added, hann, padded, to_frames
from timbre_data.models.training import checkpoints, epochs
from timbre_data.models.training.checkpoints import Standardised, Trained
from timbre_data.pipeline.build.machine import available_cores
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import InterruptedBuildError, UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.settings import TrainSettings

ROUND = 50
"""Iterations between two looks at the validation notes."""
BLOCK = 128
"""Frames that go through the network together when sounds are played."""
FLOOR = 1e-3
"""Added to magnitudes before they are normalised: 108 dB below a full-scale sine's. Without it frames of silence, of which only rounding is left, decide the gradient."""
FIRST_STAGE, STATE = "first-stage.pt", "state.pt"
Compared = list[tuple[torch.Tensor, torch.Tensor]]
"""Outputs, and the frames that they should be."""


@dataclass(frozen=True)
class Losses:
    """The paper's loss and its parts, averaged over frames."""

    kl: float
    mse: float
    mae: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.kl + self.mse + self.mae


def loss_of(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The paper's loss: the sum of `loss_parts`."""
    kl, mse, mae = loss_parts(output, target)
    return kl + mse + mae


def loss_parts(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """KL divergence of magnitudes normalised to a sum of 1, mean square of magnitudes (FFT of 1,024), mean absolute waveform difference [both shape=(n, 1024)]."""
    ours, theirs = torch.fft.rfft(output).abs(), torch.fft.rfft(target).abs()
    p = (theirs + FLOOR) / (theirs + FLOOR).sum(dim=1, keepdim=True)
    q = (ours + FLOOR) / (ours + FLOOR).sum(dim=1, keepdim=True)
    kl = (p * torch.log(p / q)).sum(dim=1).mean()
    return kl, (ours - theirs).square().mean(), (output - target).abs().mean()


def fit(settings: TrainSettings, datasets: Sequence[Dataset], folder: Path, say: Callable[[str], None]) -> None:
    """Train on the pairs of a dataset, into a folder, by resolved settings; goes on where it stopped. Leaves `model.pt` there."""
    kind: Model = registry.load("model", settings.model)
    options = EqOptions.model_validate(settings.options)
    if len(datasets) != 1:
        raise UsageError(f"{settings.model} learns one transformation: give one dataset.")
    for name in ("initial", "conditioning", "limit", "train_rows", "features", "measure_energy", "optimizer_options"):
        if getattr(settings, name):
            raise UsageError(f"{settings.model} has no use for {name}: leave it out.")
    for name in ("optimizer", "learning_rate_decay", "max_epochs", "patience"):
        if getattr(settings, name) != getattr(kind, name):
            raise UsageError(
                f"{settings.model} is trained with {name} {getattr(kind, name)}: leave it out (its budget is options.first_stage and options.second_stage)."
            )
    if settings.precision != "32-true":
        raise UsageError(f"{settings.model} is trained in float32: leave out precision.")
    if settings.split != "note":
        raise UsageError(f"{settings.model} is divided by note: leave out --split {settings.split}.")
    data = datasets[0]
    if data.recipe.chain.synth or data.meta.get("kind") == "imported" or "dry/audio" not in data.root:
        raise UsageError(f"{data.name} has no pairs of sounds before and after effects: render some with --eq or --fx.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = Pairs(data, options.level_db, device)
    train_rows, validation = pairs.where(0), pairs.where(1)
    if not len(train_rows) or not len(validation):
        raise UsageError("there are too few rows for a training and a validation split: render more.")
    chosen = validation[np.linspace(0, len(validation) - 1, min(options.validation_notes, len(validation))).astype(int)]
    torch.set_num_threads(available_cores())
    torch.manual_seed(settings.seed)
    shape = Shape(0, 0, conditioning=pairs.condition.shape[1], samples=FRAME, rate=data.recipe.audio.rate)
    network = cast(EqAutoencoder, kind.build(shape, options)).to(device)
    rate = settings.learning_rate or kind.learning_rate
    optimizer = torch.optim.Adam(network.groups(), lr=rate)
    state = _State(folder, network, optimizer)
    try:
        for stage, iteration in state.remaining(options):
            begun = time.perf_counter()
            state.set_rate(rate, settings.schedule, options)
            rng = np.random.default_rng([settings.seed, stage, iteration])
            places = rng.choice(train_rows, settings.batch_size or kind.batch_size)
            before, after, condition = pairs.frames(places.tolist(), settings.frame_step)
            waited = time.perf_counter() - begun
            loss = _step(network, optimizer, before, after, condition, stage)
            state.done(loss, time.perf_counter() - begun, waited)
            last = iteration + 1 == (options.first_stage, options.second_stage)[stage]
            if (iteration + 1) % ROUND == 0 or last:
                found = validate(network, pairs, chosen, stage, 4 * HOP)
                if last and stage == 0:
                    with whole(folder / FIRST_STAGE) as aside:
                        torch.save(network.state_dict(), aside)
                state.close_round(stage, found, say)
    except KeyboardInterrupt:
        raise InterruptedBuildError(
            f"interrupted: rounds up to the last whole one are kept in {folder}; the same command goes on from there."
        ) from None
    network.load_state_dict(state.best)
    network.cpu()
    trained = Trained(
        model=settings.model,
        network=Standardised(network, 0),
        shape=shape,
        options=settings.options,
        features=(),
        feature_names=(),
        outputs=(),
        target="transformation",
        rate=data.recipe.audio.rate,
        samples=data.recipe.audio.samples,
        parameters=tuple(one for one in data.parameters if one["name"] in pairs.names),
        effects=tuple(pairs.steps),
    )
    checkpoints.save(trained, folder)


def _step(
    network: EqAutoencoder,
    optimizer: torch.optim.Optimizer,
    before: torch.Tensor,
    after: torch.Tensor,
    condition: torch.Tensor | None,
    stage: int,
) -> float:
    """One iteration on frames of notes, dry and filtered [shape=(n, 1024) both]."""
    optimizer.zero_grad()
    total = 0.0
    for source, target in ((before, before), (after, after)) if stage == 0 else ((before, after),):
        output = network.reconstruct(source) if stage == 0 else network(source, condition)
        loss = loss_of(output, target) / (2 if stage == 0 else 1)
        torch.autograd.backward(loss)
        total += loss.item()
    optimizer.step()
    return total


def validate(network: EqAutoencoder, pairs: Pairs, places: NDArray[np.int64], stage: int, hop: int = HOP) -> Losses:
    """Losses over some notes: of mapping (stage 1), or of reconstructing inputs and targets (stage 0)."""

    def compared(before: torch.Tensor, after: torch.Tensor, place: int) -> Compared:
        if stage == 0:
            return [(network.reconstruct(before), before), (network.reconstruct(after), after)]
        return [(network(before, pairs.condition_of(place, len(before))), after)]

    return losses_over(pairs, places, compared, hop)


@torch.inference_mode()
def losses_over(
    pairs: Pairs,
    places: NDArray[np.int64],
    compared: Callable[[torch.Tensor, torch.Tensor, int], Compared],
    hop: int = HOP,
) -> Losses:
    """Losses over some notes, of what `compared` makes of their frames before and after the filter, a block at a time [shape=(n, 1024)], and of their place."""
    sums, count = np.zeros(3), 0
    for place in places.tolist():
        before, after = (to_frames(sound, hop).split(BLOCK) for sound in pairs.sounds(place))
        for x, y in zip(before, after, strict=True):
            for output, target in compared(x, y, place):
                sums += len(target) * np.array([float(one) for one in loss_parts(output, target)])
                count += len(target)
    return Losses(*(sums / count).tolist())


@torch.inference_mode()
def play(
    network: EqAutoencoder, sound: NDArray[np.float32], level_db: float, condition: torch.Tensor | None = None
) -> NDArray[np.float32]:
    """Send a sound of any length [shape=(samples,)] through a trained network at the level it learned at, and back to the sound's own."""
    peak = float(np.abs(sound).max())
    scale = 10 ** (level_db / 20) / max(peak, 1e-9)
    around = padded(torch.from_numpy(sound * np.float32(scale)))
    out = torch.zeros_like(around)
    count = (len(around) - FRAME) // HOP + 1
    for first in range(0, count, BLOCK):
        here = slice(first * HOP, (min(first + BLOCK, count) - 1) * HOP + FRAME)
        frames = around[here].unfold(0, FRAME, HOP) * hann()
        given = None if condition is None else condition.expand(len(frames), -1)
        out[here] += added(network(frames, given))
    return np.asarray(out[EDGE : EDGE + len(sound)].numpy() / np.float32(OVERLAP * scale))


def condition_from(trained: Trained, given: dict[str, float], step: str | None) -> torch.Tensor | None:
    """The condition of chosen settings [shape=(c,)], in the units of the parameters. Raises `UsageError` for what the run does not know."""
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
    own = [one for one in described if not step or one.name.startswith(f"{step}.")]
    known = {one.name.removeprefix(f"{step}."): one for one in own} | {one.name: one for one in own}
    unknown = [name for name in given if name not in known]
    if unknown or len({known[name].name for name in given}) < len(own):
        raise UsageError(
            f"--at needs {', '.join(one.name for one in own)}"
            + (f"; it does not know {', '.join(unknown)}" if unknown else "")
            + "."
        )
    for name, value in given.items():
        low, high = known[name].bounds
        if not low <= value <= high:
            raise UsageError(
                f"--at {name}={value:g}: this run learned {low:g} to {high:g} {known[name].unit}".strip() + "."
            )
    values = {known[name].name: known[name].to_unit(value) for name, value in given.items()}
    used = [float(step == one) for one in trained.effects]
    return torch.tensor([*(float(values.get(one.name, 0.0)) for one in described), *used], dtype=torch.float32)


class _State:
    """Where training is: kept whole after every round, so that it goes on from there."""

    def __init__(self, folder: Path, network: EqAutoencoder, optimizer: torch.optim.Optimizer) -> None:
        self._folder, self._network, self._optimizer = folder, network, optimizer
        self._stage, self._iteration = 0, 0
        self._losses: list[float] = []
        self._seconds = self._waited = 0.0
        self._rows: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        self._best_loss = math.inf
        if (folder / STATE).is_file():
            kept = torch.load(folder / STATE, map_location="cpu", weights_only=True)
            network.load_state_dict(kept["network"])
            optimizer.load_state_dict(kept["optimizer"])
            self._stage, self._iteration, self._rows = kept["stage"], kept["iteration"], kept["rows"]
            self.best, self._best_loss = kept["best"], kept["best_loss"]

    def remaining(self, options: EqOptions) -> Iterator[tuple[int, int]]:
        """Stage and iteration of all that is still to do."""
        for stage, count in enumerate((options.first_stage, options.second_stage)):
            for iteration in range(self._iteration if stage == self._stage else 0, count):
                if stage >= self._stage:
                    self._stage, self._iteration = stage, iteration
                    yield stage, iteration

    def set_rate(self, rate: float, schedule: str, options: EqOptions) -> None:
        """The learning rate of this iteration: constant, or along half a cosine over the stage."""
        if schedule == "cosine":
            count = (options.first_stage, options.second_stage)[self._stage]
            rate *= 0.5 * (1 + math.cos(math.pi * self._iteration / count))
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]

    def done(self, loss: float, seconds: float, waited: float) -> None:
        """Count an iteration, and how much of its time went into having its frames."""
        self._losses.append(loss)
        self._seconds += seconds
        self._waited += waited
        self._iteration += 1

    def close_round(self, stage: int, found: Losses, say: Callable[[str], None]) -> None:
        """Write epochs.csv and the state; the best round of the second stage is the result. Raises `UsageError` where training has diverged."""
        if not math.isfinite(found.total):
            raise UsageError(
                "the loss is not finite any more: train with a lower --set learning_rate under another --name."
            )
        row = {
            "epoch": float(len(self._rows) + 1),
            "train_loss": float(np.mean(self._losses)),
            "validation_loss": found.total,
            "seconds": round(self._seconds, 3),
            "waiting": round(self._waited, 3),
            "stage": float(stage + 1),
        }
        self._rows.append(row)
        self._losses, self._seconds, self._waited = [], 0.0, 0.0
        if stage == 1 and found.total < self._best_loss:
            self._best_loss = found.total
            self.best = {name: value.clone() for name, value in self._network.state_dict().items()}
        kept = {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "stage": self._stage,
            "iteration": self._iteration,
            "rows": self._rows,
            "best": self.best,
            "best_loss": self._best_loss,
        }
        with whole(self._folder / STATE) as aside:
            torch.save(kept, aside)
        epochs.write(self._folder, self._rows)
        say(
            f"stage {stage + 1}, iteration {self._iteration}: training loss {row['train_loss']:.5f}, validation {found.total:.5f} (kl {found.kl:.5f}, mse {found.mse:.5f}, mae {found.mae:.5f}), {row['seconds']:.1f} s"
        )
