"""Sounds made from predictions: a dry recording through the predicted effects, the predicted knobs of a synth, and
settings that come closer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from timbre_data.models.evaluation.resynthesis import rerender, with_constants
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.report import Prediction, Setting
from timbre_data.models.inference.sound_files import cut_notes, load_sound, note_starts, reading
from timbre_data.models.inference.spectral_search import Task, search_one
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, write_wav
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe

PHRASE_SECONDS = 8.0
"""Of a phrase, so much is played at most, for each setting that is tried."""


def refine(
    predictor: Predictor, steps: Sequence[Setting], file: Path, dry: Path, evaluations: int
) -> tuple[list[Setting], tuple[float, float]]:
    """Better settings for a file, by a search (CMA-ES) on the distance (MRSTFT) of the dry sound through them, from
    `steps` on; and the distance before and after.
    """
    task = task_of(predictor, steps, file, dry)
    space, labels = Chain(task.recipe.chain).space, task.labels
    best, gain = search_one(task, labels[0], np.ones(labels.shape[1], bool), evaluations, seed=0)
    refined: list[Setting] = []
    first = 0
    for step in steps:
        described = list(zip(step.values, space.parameters[first : first + len(step.values)], strict=True))
        units = best[first : first + len(step.values)]
        values = {name: float(p.to_value(unit)) for (name, p), unit in zip(described, units, strict=True)}
        texts = {name: p.describe(float(unit)) for (name, p), unit in zip(described, units, strict=True)}
        refined.append(Setting(step.effect, values, texts))
        first += len(described)
    return refined, gain


def task_of(predictor: Predictor, steps: Sequence[Setting], file: Path, dry: Path) -> Task:
    """A file and its dry sound, as `beside` gives them, and the effects between them with what was predicted."""
    note, dry_note = beside(predictor, file, dry)
    steps_ = [{"effect": step.effect, "name": f"step{k}"} for k, step in enumerate(steps)]
    recipe = Recipe.model_validate(
        {
            "name": "match",
            "chain": {"steps": steps_},
            "audio": {"rate": predictor.rate, "seconds": note.shape[1] / predictor.rate},
        }
    )
    given = [value for step in steps for value in step.values.values()]
    space = Chain(recipe.chain).space
    labels = np.array([[p.to_unit(value) for p, value in zip(space, given, strict=True)]], np.float32)
    return Task(recipe, dry_note, note, labels, np.arange(len(steps), dtype=np.int8)[None])


def beside(predictor: Predictor, file: Path, dry: Path) -> tuple[Audio, Audio]:
    """A file and its dry sound from their first notes on, at peaks of 1 [shape=(1, samples) each]: where both have as
    many notes, the whole phrase, so that echoes of a note are heard in the next; else the first note alone.
    """
    rate, samples = predictor.rate, predictor.samples
    sounds = [load_sound(path, rate) for path in (file, dry)]
    starts = [note_starts(sound, rate, samples) for sound in sounds]
    if len(starts[0]) == len(starts[1]) > 1:
        rest = min(len(sound) - onsets[0] for sound, onsets in zip(sounds, starts, strict=True))
        samples = max(samples, min(rest, round(PHRASE_SECONDS * rate)))
    cut = [cut_notes(sound, onsets[:1], samples) for sound, onsets in zip(sounds, starts, strict=True)]
    return cut[0] / np.abs(cut[0]).max(), cut[1] / np.abs(cut[1]).max()


def first_note(predictor: Predictor, path: Path) -> Audio:
    """The first note of a file at a peak of 1, as long as a run takes them [shape=(samples,)]."""
    whole = load_sound(path, predictor.rate)
    (note,) = cut_notes(whole, note_starts(whole, predictor.rate, predictor.samples)[:1], predictor.samples)
    return note / np.abs(note).max()


def match(dry: Path, steps: Sequence[Setting]) -> tuple[Audio, int]:
    """Play a dry recording, at its own rate and with its own channels, through effects: float32 (channels, samples) and
    the rate.

    Raises `UsageError` for a file that cannot be read.
    """
    with reading(dry):
        sound, rate = soundfile.read(dry, dtype="float32", always_2d=True)
    wet = np.ascontiguousarray(sound.T)
    if not wet.size:
        raise UsageError(f"{dry}: holds no samples.")
    peak = np.abs(wet).max()
    if peak < SILENCE_PEAK:
        raise UsageError(f"{dry}: silent.")
    wet = wet / peak  # effects were learned on notes at full scale, and a distortion hears the level
    for step in steps:
        effect: Effect = EFFECTS.load(step.effect)
        wet = effect.render(wet, rate, step.values)
    return wet / max(float(np.abs(wet).max()), 1e-9), rate


def played(predictor: Predictor, labels: Mapping[str, float]) -> Audio:
    """What a run's synth plays with normalized knobs (those that its dataset never moves as there), on the first note
    of its dataset [shape=(channels, samples)].
    """
    data, names = predictor.data, list(labels)
    values = np.array([[labels[name] for name in names]], np.float32)
    whole = with_constants(data, np.array([0]), names, values)[0]
    try:
        return rerender(data, Chain(data.recipe.chain), 0, whole)
    finally:
        close_instruments()


def write_played(predictor: Predictor, prediction: Prediction, out: Path) -> None:
    """Write what a synth plays with predicted knobs (`played`). Raises `UsageError` when the file cannot be written."""
    write_wav(played(predictor, prediction.labels), predictor.rate, out)


def write_match(dry: Path, steps: Sequence[Setting], out: Path) -> None:
    """Write a dry recording played through effects, as 24-bit WAV, whole or not at all. Raises `UsageError`."""
    wet, rate = match(dry, steps)
    write_wav(wet, rate, out)
