"""The page of a run: `timbre-data look RUN`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbre_data.commands.pages.dataset_page import FORMAT, PageReport, written_columns
from timbre_data.commands.pages.evaluated_rows import EvaluatedRows, open_evaluation, read_metrics
from timbre_data.commands.pages.page_folder import PageFolder, page_folder
from timbre_data.commands.pages.page_sounds import SpectrogramPictures, write_row
from timbre_data.commands.pages.result_charts import calibration, confusion, residuals, tables_of
from timbre_data.commands.pages.row_table import Column
from timbre_data.commands.pages.row_versions import Versions
from timbre_data.models.evaluation import epochs
from timbre_data.models.training.runs import SETTINGS
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.arrays import Audio

PAGE = "page"
"""Of an evaluation, in its folder."""
SOUNDS = 24
"""Rows with sounds on the page of an evaluation."""
MOST_PROBABLE = 5
IN_REAL_TIME = 6
"""Rows at most of a synth that plays in real time, four times each."""


def write_run_page(
    run: Path, evaluation: Path, out: Path, *, sounds: int, refine: int = 0, wav: bool = False
) -> PageReport:
    """Write the page of an evaluation as a folder: rows from best to worst with their sounds (`sounds` of them, with
    `wav` as files, too), charts, learning curves and tables. `refine` renders of a search come closer to each of these
    rows.

    Raises `UsageError` where the run was not evaluated, or something else is at `out`.
    """
    metrics = read_metrics(evaluation)
    evaluated = open_evaluation(run, evaluation)
    about = _about(run, evaluation, metrics)
    with page_folder(out, "run") as page:
        if evaluated is not None:
            columns = row_columns(evaluated)
            sampled = chosen_rows(evaluated, min(sounds, IN_REAL_TIME) if _plays_in_real_time(evaluated) else sounds)
            versions = Versions(evaluated, refine)
            refined = _write_sounds(page, evaluated, versions, sampled, wav)
            about |= _rows(evaluated, columns, sampled, versions, refined)
            written_columns(page, columns)
        else:
            about |= _recordings(page, evaluation)
        for picture in sorted(evaluation.glob("*.png")):
            page.write(f"pictures/{picture.name}", picture.read_bytes())
        about["pictures"] = [picture.name for picture in sorted(evaluation.glob("*.png"))]
        page.script("data/about.js", "about", about)
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    count = about["rows"]
    return PageReport(str(out / "index.html"), str(run), evaluation.name, count, len(about["sampled"]), written)


def _plays_in_real_time(evaluated: EvaluatedRows) -> bool:
    chains = [data.recipe.chain for data in evaluated.datasets]
    return evaluated.regression and any(chain.synth is not None and chain.synth.synth == "midi" for chain in chains)


def chosen_rows(evaluated: EvaluatedRows, count: int) -> NDArray[np.int64]:
    """The rows whose sounds are on the page: evenly spaced from the best to the worst; of classes, two of every
    confusion first.
    """
    order = np.argsort(evaluated.errors, kind="stable")
    first: list[int] = []
    if not evaluated.regression and not evaluated.trained.multi_label:
        true, guess = evaluated.present.argmax(axis=1), evaluated.predicted.argmax(axis=1)
        pairs = sorted(
            set(zip(true.tolist(), guess.tolist(), strict=True)), key=lambda pair: (pair[0] == pair[1], pair)
        )
        for one, other in pairs:
            first += order[(true[order] == one) & (guess[order] == other)][::-1][:2].tolist()
        first = first[: 2 * count // 3]
    left = np.setdiff1d(order, first, assume_unique=True)
    spaced = left[np.linspace(0, len(left) - 1, min(max(count - len(first), 0), len(left))).astype(int)]
    return np.union1d(np.array(first, np.int64), spaced).astype(np.int64)


def row_columns(evaluated: EvaluatedRows) -> list[Column]:
    """What is known of every evaluated row."""
    columns = [Column("error", "error", "number", evaluated.errors.astype(np.float32), group="result")]
    if evaluated.regression:
        columns += _parameter_columns(evaluated)
    else:
        columns += _class_columns(evaluated)
    if len(evaluated.datasets) > 1:
        sources = tuple(data.name for data in evaluated.datasets)
        columns.append(Column("dataset", "dataset", "category", evaluated.dataset.astype(np.int32), texts=sources))
    columns.append(Column("row", "row of the dataset", "number", evaluated.row.astype(np.int32)))
    if np.isfinite(evaluated.notes).any():
        columns.append(Column("note", "MIDI note", "number", evaluated.notes))
    texts, codes = np.unique(evaluated.dry_names.astype(str), return_inverse=True)
    columns.append(Column("dry sound", "dry sound", "text", codes.astype(np.int32), texts=tuple(texts.tolist())))
    return columns


def _parameter_columns(evaluated: EvaluatedRows) -> list[Column]:
    columns = []
    for k, parameter in enumerate(evaluated.parameters):
        name, unit, applies = evaluated.outputs[k], parameter.unit_text, evaluated.mask[:, k]
        for key, what, labels in (("true", "true", evaluated.labels), ("predicted", "predicted", evaluated.predicted)):
            values = parameter.to_value(np.clip(labels[:, k], 0, 1)).astype(np.float32)
            values[~applies] = np.nan
            columns.append(Column(f"{key}: {name}", f"{name}, {what}", "number", values, unit, group="result"))
        rest = np.where(applies, evaluated.predicted[:, k] - evaluated.labels[:, k], np.nan).astype(np.float32)
        columns.append(
            Column(f"rest: {name}", f"{name}, predicted less true (normalized)", "number", rest, group="result")
        )
    return columns


def _class_columns(evaluated: EvaluatedRows) -> list[Column]:
    if evaluated.trained.multi_label:
        texts = [", ".join(np.array(evaluated.outputs)[one]) or "none" for one in evaluated.present]
        said = [", ".join(np.array(evaluated.outputs)[one > 0.5]) or "none" for one in evaluated.predicted]
        columns = []
        for key, label, values in (("true", "true classes", texts), ("predicted", "predicted classes", said)):
            names, codes = np.unique(np.array(values), return_inverse=True)
            kept = tuple(names.tolist())
            columns.append(Column(key, label, "text", codes.astype(np.int32), texts=kept, group="result"))
        return columns
    return [
        Column(key, label, "category", values.argmax(axis=1).astype(np.int32), texts=evaluated.outputs, group="result")
        for key, label, values in (("true", "true class", evaluated.present), ("predicted", "predicted class", evaluated.predicted))
    ]  # fmt: skip


def _about(run: Path, evaluation: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    tables = evaluation / "tables.md"
    settings = json.loads((run / SETTINGS).read_text(encoding="utf-8"))["settings"]
    return {
        "format": FORMAT,
        "kind": "run",
        "name": run.name,
        "version": "",
        "evaluation": evaluation.name,
        "model": metrics.get("model", ""),
        "split": metrics.get("split", ""),
        "data": list(metrics["data"]),
        "rows": 0,
        "usable": 0,
        "sampled": [],
        "cards": {},
        "columns": [],
        "parameters": [],
        "checks": [],
        "versions": [],
        "warnings": [],
        "epochs": epochs.read(run),
        "tables": tables_of(tables.read_text(encoding="utf-8")) if tables.is_file() else [],
        "texts": {"Settings": json.dumps(settings, indent=2)},
    }


def _rows(
    evaluated: EvaluatedRows,
    columns: Sequence[Column],
    sampled: NDArray[np.int64],
    versions: Versions,
    refined: dict[int, NDArray[np.float32]],
) -> dict[str, Any]:
    audio = evaluated.datasets[0].recipe.audio
    shown = residuals(evaluated)
    spread = {one["name"]: one["rmse"] for one in shown}
    return {
        "rows": len(evaluated.row),
        "usable": len(evaluated.row),
        "seconds": audio.seconds,
        "rate": audio.rate,
        "sampled": sampled,
        "versions": list(versions.names),
        "outputs": list(evaluated.outputs) if evaluated.regression else [],
        "cards": {row: {one.key: one.shown(row) for one in columns} for row in sampled.tolist()},
        "answers": {
            row: _answer(evaluated, row, spread, refined.get(row))
            if evaluated.regression
            else _probabilities(evaluated, row)
            for row in sampled.tolist()
        },
        "columns": [one.described(k) for k, one in enumerate(columns)],
        "calibration": calibration(evaluated),
        "residuals": shown,
        "confusion": confusion(evaluated),
    }


def _answer(
    evaluated: EvaluatedRows, row: int, spread: dict[str, float], refined: NDArray[np.float32] | None
) -> dict[str, Any]:
    """Labels beside predictions of a row, with the error that is usual for each."""
    lines = []
    for k, parameter in enumerate(evaluated.parameters):
        if not evaluated.mask[row, k]:
            continue
        true, guess = float(evaluated.labels[row, k]), float(np.clip(evaluated.predicted[row, k], 0, 1))
        usual = spread.get(evaluated.outputs[k], 0.0)
        low, high = (float(np.clip(guess + sign * usual, 0, 1)) for sign in (-1, 1))
        line: dict[str, Any] = {
            "name": evaluated.outputs[k],
            "true": parameter.describe(true),
            "predicted": parameter.describe(guess),
            "unit_true": true,
            "unit_predicted": guess,
            "unit_low": low,
            "unit_high": high,
            "heard": bool(evaluated.identifiable[row, k]),
        }
        if refined is not None:
            line |= {"refined": parameter.describe(float(np.clip(refined[k], 0, 1)))}
        lines.append(line)
    return {"parameters": lines}


def _probabilities(evaluated: EvaluatedRows, row: int) -> dict[str, Any]:
    """The most probable classes of a row."""
    order = np.argsort(-evaluated.predicted[row])
    shown = order[:MOST_PROBABLE].tolist()
    shown += [k for k in np.flatnonzero(evaluated.present[row]).tolist() if k not in shown]
    return {
        "classes": [
            {
                "name": evaluated.outputs[k],
                "probability": float(evaluated.predicted[row, k]),
                "true": bool(evaluated.present[row, k]),
            }
            for k in shown
        ]
    }


def _write_sounds(
    page: PageFolder, evaluated: EvaluatedRows, versions: Versions, rows: NDArray[np.int64], wav: bool
) -> dict[int, NDArray[np.float32]]:
    """Sounds and pictures of rows; the refined parameters of each."""
    pictures: dict[int, SpectrogramPictures] = {}
    refined: dict[int, NDArray[np.float32]] = {}
    for number, data in enumerate(evaluated.datasets):
        pictures[number] = SpectrogramPictures(data.recipe.audio.samples, data.recipe.audio.rate)

    def do(row: int) -> None:
        number = int(evaluated.dataset[row])
        rate = evaluated.datasets[number].recipe.audio.rate
        sounds, better = versions.of(row)
        if better is not None:
            refined[row] = better
        write_row(page, row, sounds, rate, pictures[number], wav)

    together = available_cores() if all(data.recipe.chain.synth is None for data in evaluated.datasets) else 1
    try:
        with ThreadPoolExecutor(together) as pool:
            list(pool.map(do, rows.tolist()))
    finally:
        close_instruments()
    return refined


def _recordings(page: PageFolder, evaluation: Path) -> dict[str, Any]:
    """The recordings that an evaluation left beside its tables (input, target and output of an equaliser)."""
    files: dict[int, dict[str, Path]] = {}
    for file in sorted((evaluation / "listen").glob("*-*.wav")):
        place, _, version = file.stem.partition("-")
        if place.isdigit():
            files.setdefault(int(place) - 1, {})[version] = file
    if not files:
        return {}
    names = [name for name in ("input", "target", "output") if name in files[min(files)]]
    seconds, rate = 0.0, 0
    for number, versions in files.items():
        sounds: dict[str, Audio] = {}
        for name in names:
            sound, rate = soundfile.read(versions[name], dtype="float32", always_2d=True)
            sounds[name] = np.ascontiguousarray(sound.T)
            seconds = sound.shape[0] / rate
        write_row(page, number, sounds, rate, SpectrogramPictures(sounds[names[0]].shape[1], rate), as_wav=False)
    rows = sorted(files)
    return {
        "rows": len(rows),
        "usable": len(rows),
        "sampled": rows,
        "cards": {row: {} for row in rows},
        "versions": names,
        "seconds": seconds,
        "rate": rate,
    }
