"""A listening test: its trials and sounds, and what only the one who analyses it knows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import Field
from scipy.signal import butter, sosfiltfilt

from timbre_data.commands.pages.evaluated_rows import EvaluatedRows, open_evaluation
from timbre_data.commands.pages.page_folder import PageFolder, page_folder
from timbre_data.commands.pages.page_sounds import flac
from timbre_data.commands.pages.row_versions import HEADROOM, Versions, loudness_db
from timbre_data.commands.pages.run_page import chosen_rows
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.sound.audio import write_wav
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import CorruptDataError, NotFoundError, UsageError

PAGE, KEY, WEBMUSHRA = "page", "key.json", "webmushra"
REFERENCE, ANCHOR = "reference", "anchor"
"""Conditions that every MUSHRA trial has: the target itself, and the target without what lies above 3.5 kHz."""
ANCHOR_HZ = 3500.0
CONDITIONS = ("predicted", "refined", "mean", "random", "dry")
REFINE = 160
"""Renders of a search for the refined condition."""
Kind = Literal["mushra", "abx", "pairwise"]


class Stimulus(Frozen):
    """A sound of a trial: an id that tells nothing, its condition, and its distances from the target by name."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$", description="id that the listener's browser sees")
    condition: str = Field(description="condition of the sound")
    distances: dict[str, float] = Field({}, description="distance from the target, by name")


class Trial(Frozen):
    """One trial: the row of the evaluation it is of, the open reference, and the sounds to be judged."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$", description="id that the listener's browser sees")
    row: int = Field(ge=0, description="row of the evaluation")
    reference: str = Field(description="id of the open reference's sound")
    stimuli: tuple[Stimulus, ...] = Field(description="sounds to be judged")


class Key(Frozen):
    """What a listener must not know: `key.json` beside the page."""

    format: Literal[1] = Field(1, description="version of this file")
    test: str = Field(pattern=r"^[0-9a-f]{16}$", description="id of the test")
    run: str = Field(description="name of the run")
    kind: Kind = Field(description="what listeners are asked")
    conditions: tuple[str, ...] = Field(description="conditions that are compared")
    trials: tuple[Trial, ...] = Field(description="trials")

    def trial(self, name: str) -> Trial | None:
        """The trial of an id."""
        return next((trial for trial in self.trials if trial.id == name), None)


@dataclass(frozen=True)
class MadeTest:
    """What was made: the page, the key, and of what size."""

    page: str
    key: str
    kind: str
    trials: int
    sounds: int
    loudness_lufs: float


def make_test(run: Path, out: Path, *, kind: Kind, conditions: Sequence[str], trials: int, seed: int = 0) -> MadeTest:
    """Make a listening test of a run's evaluation: `out/page` for listeners, `out/key.json` for who analyses it, and
    with MUSHRA `out/webmushra`, a configuration of webMUSHRA with its sounds.

    Rows are evenly spaced from the best to the worst; all sounds have one loudness (ITU-R BS.1770). Raises `UsageError`
    for conditions that there are not, and where something else is at `out`.
    """
    evaluated = open_evaluation(run, run / "evaluation")
    if evaluated is None or not evaluated.regression:
        raise UsageError(f"{run.name} predicts no parameters: there is nothing to render and to compare by ear.")
    if (out / KEY).exists():
        raise UsageError(f"{out} holds a listening test already, whose answers need its key: choose another --out.")
    versions = Versions(evaluated, REFINE if "refined" in conditions else 0, seed)
    unknown = [one for one in conditions if one not in CONDITIONS or one not in versions.names]
    if unknown or not conditions:
        known = [one for one in versions.names if one in CONDITIONS]
        raise UsageError(f"--conditions {','.join(unknown)}: choose of {', '.join(known)}.")
    if kind == "pairwise" and len(conditions) < 2:
        raise UsageError("a pairwise test compares two conditions or more: give them with --conditions.")
    rows = chosen_rows(evaluated, trials).tolist()
    with ThreadPoolExecutor(available_cores() if "refined" in conditions else 1) as pool:
        made = list(pool.map(lambda row: _sounds_of(evaluated, versions, row, conditions), rows))
    level, scaled = at_one_loudness(made, [_rate(evaluated, row) for row in rows])
    random = secrets.SystemRandom()  # who listens must not be able to tell
    ids = iter(lambda: secrets.token_hex(6), "")
    key_trials: list[Trial] = []
    with page_folder(out / PAGE, "listen") as page:
        for row, sounds in zip(rows, scaled, strict=True):
            rate = _rate(evaluated, row)
            distances = _distances(sounds, rate)
            for shown in _stimuli(kind, conditions):
                reference = next(ids)
                _write(page, reference, sounds[REFERENCE], rate)
                stimuli = []
                for condition in shown:
                    stimulus = Stimulus(id=next(ids), condition=condition, distances=distances[condition])
                    _write(page, stimulus.id, sounds[condition], rate)
                    stimuli.append(stimulus)
                random.shuffle(stimuli)
                key_trials.append(Trial(id=next(ids), row=row, reference=reference, stimuli=tuple(stimuli)))
        key = Key(
            test=secrets.token_hex(8), run=run.name, kind=kind, conditions=tuple(conditions), trials=tuple(key_trials)
        )
        page.script("data/about.js", "about", _public(key))
    if kind == "mushra":
        _write_webmushra(out / WEBMUSHRA, run.name, rows, scaled, evaluated)
    write_whole(out / KEY, json.dumps(key.model_dump(mode="json"), indent=2) + "\n")
    count = sum(len(trial.stimuli) + 1 for trial in key_trials)
    return MadeTest(str(out / PAGE / "index.html"), str(out / KEY), kind, len(key_trials), count, level)


def read_key(folder: Path) -> Key:
    """The key of a listening test. Raises `NotFoundError` where there is none, `CorruptDataError` for damage."""
    file = folder / KEY
    if not file.is_file():
        raise NotFoundError(f"{folder} is no listening test: make one with timbre-data listen make RUN.")
    try:
        return Key.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptDataError(f"{file} is damaged ({str(error).splitlines()[0]}): restore it from a copy.") from None


def _rate(evaluated: EvaluatedRows, row: int) -> int:
    return evaluated.datasets[int(evaluated.dataset[row])].recipe.audio.rate


def _stimuli(kind: Kind, conditions: Sequence[str]) -> list[tuple[str, ...]]:
    """The conditions of each trial that one row gives."""
    if kind == "mushra":
        return [(REFERENCE, *conditions, ANCHOR)]
    if kind == "abx":
        return [(REFERENCE, condition) for condition in conditions]
    return list(combinations(conditions, 2))


def _sounds_of(evaluated: EvaluatedRows, versions: Versions, row: int, conditions: Sequence[str]) -> dict[str, Audio]:
    sounds, _ = versions.of(row)
    target = sounds["target"]
    return {
        REFERENCE: target,
        ANCHOR: low_passed(target, _rate(evaluated, row)),
        **{name: sounds[name] for name in conditions},
    }


def low_passed(sound: Audio, rate: int) -> Audio:
    """A sound without what lies above 3.5 kHz, without delay: the low anchor of BS.1534."""
    edge = min(ANCHOR_HZ, 0.45 * rate)
    sections = butter(8, edge, fs=rate, output="sos")
    return np.ascontiguousarray(sosfiltfilt(sections, sound.astype(np.float64), axis=-1), np.float32)


def at_one_loudness(
    trials: Sequence[Mapping[str, Audio]], rates: Sequence[int]
) -> tuple[float, list[dict[str, Audio]]]:
    """All sounds of all trials at one loudness in LUFS, the highest at which none clips; silent ones stay as they
    are.
    """
    levels = [
        {name: loudness_db(sound, rate) for name, sound in trial.items()}
        for trial, rate in zip(trials, rates, strict=True)
    ]
    reachable = [
        level + 20 * np.log10(HEADROOM / float(np.abs(trial[name]).max()))
        for trial, known in zip(trials, levels, strict=True)
        for name, level in known.items()
        if np.isfinite(level)
    ]
    common = float(min(reachable, default=-23.0))
    return common, [
        {
            name: (sound * 10 ** ((common - known[name]) / 20)).astype(np.float32)
            if np.isfinite(known[name])
            else sound
            for name, sound in trial.items()
        }
        for trial, known in zip(trials, levels, strict=True)
    ]


def _distances(sounds: Mapping[str, Audio], rate: int) -> dict[str, dict[str, float]]:
    target = sounds[REFERENCE].mean(axis=0)
    computed = {name: DISTANCES.load(name).compute for name in DISTANCES.names()}
    return {
        condition: {name: float(compute(sound.mean(axis=0), target, rate)) for name, compute in computed.items()}
        for condition, sound in sounds.items()
    }


def _write(page: PageFolder, name: str, sound: Audio, rate: int) -> None:
    page.script(f"sounds/{name}.js", "sound", name, {"sound": flac(sound, rate)})


def _public(key: Key) -> dict[str, Any]:
    """What listeners' browsers are told: ids alone."""
    return {
        "kind": "listen",
        "test": key.test,
        "ask": key.kind,
        "trials": [
            {"id": trial.id, "reference": trial.reference, "stimuli": [one.id for one in trial.stimuli]}
            for trial in key.trials
        ],
    }


def _write_webmushra(
    folder: Path, name: str, rows: Sequence[int], sounds: Sequence[Mapping[str, Audio]], evaluated: EvaluatedRows
) -> None:
    """A configuration of webMUSHRA and its sounds, under the folder that its `configs/resources` expects."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: list[dict[str, Any]] = []
    for number, (row, trial) in enumerate(zip(rows, sounds, strict=True), 1):
        files = {}
        for condition, sound in trial.items():
            file = f"trial{number:02d}-{condition}.wav"
            write_wav(sound, _rate(evaluated, row), folder / file)
            files[condition] = f"configs/resources/timbre-data/{file}"
        pages.append(
            {
                "type": "mushra",
                "id": f"trial{number:02d}",
                "name": f"Trial {number}",
                "content": "How much does each sound resemble the reference?",
                "showWaveform": False,
                "enableLooping": True,
                "reference": files[REFERENCE],
                "createAnchor35": False,
                "createAnchor70": False,
                "stimuli": {condition: path for condition, path in files.items() if condition != REFERENCE},
            }
        )
    config = {
        "testname": name,
        "testId": f"timbre-data-{name}",
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": "service/write.php",
        "pages": [
            {"type": "generic", "id": "welcome", "name": "Welcome", "content": "Please wear headphones."},
            {"type": "volume", "id": "volume", "name": "Volume", "content": "Set a comfortable volume.", "stimulus": pages[0]["reference"], "defaultVolume": 0.5},
            ["random", *pages],
            {"type": "finish", "name": "Thank you", "content": "Your answers are being sent.", "showResults": False, "writeResults": True},
        ],
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
