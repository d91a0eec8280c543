"""The page of a dataset: `timbre-data look DATASET`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.pages.checks import check_rows
from timbre_data.commands.pages.drawing import coverage, histograms, rejected_draws
from timbre_data.commands.pages.page_folder import PageFolder, packed, page_folder
from timbre_data.commands.pages.page_sounds import SpectrogramPictures, write_row
from timbre_data.commands.pages.row_table import Column, row_columns, rows_to_measure
from timbre_data.commands.pages.sound_map import FEWEST, SoundMap, features_for_map, sound_map
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.store.columns import DRY_AUDIO, SPLITS
from timbre_data.pipeline.store.reader import Dataset

FORMAT = 1
"""Version of the data that a page's scripts read."""


@dataclass(frozen=True)
class PageReport:
    """What was written: where, how many rows with their sounds, and how many bytes."""

    page: str
    dataset: str
    version: str
    rows: int
    sounds: int
    bytes: int
    warnings: tuple[str, ...] = ()


def write_dataset_page(
    data: Dataset,
    out: Path,
    *,
    sounds: int,
    rows: Sequence[int] = (),
    texts: Callable[[Dataset], dict[str, str]],
    wav: bool = False,
) -> PageReport:
    """Write the page of a dataset as a folder: tables of all rows, and the sounds of `sounds` of them: of `rows`, the
    worst by each rule and of others at random; with `wav` as files, too. `texts` gives what is known of the dataset in
    words, by title.

    Raises `UsageError` where something else is at `out`, and for rows that are not there.
    """
    measured = rows_to_measure(data)
    columns = row_columns(data, measured)
    checks = check_rows(columns, data.recipe.audio.seconds)
    sampled = sample(data, sounds, rows, [row for check in checks for row in check["rows"]])
    placed = sound_map(data)
    pairs = placed.closest_pairs() if placed else []
    if placed is not None:
        sampled = _with_pairs(sampled, pairs, sounds, keep=set(rows))
        columns = [*columns, *_map_columns(placed)]
    warnings = _warnings(data, measured, placed)
    with page_folder(out, "dataset") as page:
        about = _about(data, columns, sampled) | {"checks": checks, "measured": len(measured), "warnings": warnings}
        if placed is None:
            about["no_map"] = no_map(data)
        else:
            about["map"] = {"features": placed.features, "explained": placed.explained, "compared": placed.compared}
            about |= {"neighbours": placed.neighbours(sampled), "duplicates": pairs}
        page.script("data/about.js", "about", about | {"texts": texts(data)})
        written_columns(page, columns)
        _write_sounds(page, data, sampled, wav)
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return PageReport(
        str(out / "index.html"), data.location.address, data.version, data.n, len(sampled), written, warnings
    )


def sample(data: Dataset, count: int, asked: Sequence[int], suspect: Sequence[int]) -> NDArray[np.int64]:
    """The rows whose sounds are on the page: those asked for, then suspect ones (a third at most), then others
    at random.
    """
    usable = data.usable()
    rng = np.random.default_rng(0)
    chosen = list(dict.fromkeys(asked))
    there = set(usable.tolist())
    chosen += [row for row in dict.fromkeys(suspect) if row in there and row not in chosen][: count // 3]
    others = np.setdiff1d(usable, chosen)
    left = max(0, count - len(chosen))
    chosen += rng.permutation(others)[:left].tolist()
    return np.sort(np.array(chosen, np.int64))


def _with_pairs(
    rows: NDArray[np.int64], closest: Sequence[tuple[int, int, float]], count: int, keep: set[int]
) -> NDArray[np.int64]:
    """The sampled rows with the closest pairs among them, in place of the last ones that nobody asked for."""
    missing = dict.fromkeys(row for pair in closest for row in pair[:2] if row not in rows)
    pairs = list(missing)[: count // 10]
    droppable = [row for row in rows.tolist()[::-1] if row not in keep][: len(pairs)]
    return np.union1d(np.setdiff1d(rows, droppable), np.array(pairs, np.int64))


def _map_columns(placed: SoundMap) -> list[Column]:
    return [
        Column(f"map_{axis}", f"map {axis}", "number", placed.places[:, k], group="map") for k, axis in enumerate("xy")
    ]


def _warnings(data: Dataset, measured: NDArray[np.int64], placed: SoundMap | None) -> tuple[str, ...]:
    warnings = []
    if not data.complete():
        warnings.append(f"unfinished: {int(data.present().sum())} of {data.recipe.n} rows are there")
    if len(measured) < len(data.usable()):
        warnings.append(f"levels and silence were measured of {len(measured)} evenly spaced rows")
    if placed is None:
        warnings.append(no_map(data))
    return tuple(warnings)


def no_map(data: Dataset) -> str:
    """Why a dataset has no map."""
    if features_for_map(data) is None:
        return f"no map of the sounds: it needs features (timbre-data featurize {data.name})"
    return f"no map of the sounds: it needs {FEWEST} rows with features or more"


def _about(data: Dataset, columns: Sequence[Column], sampled: NDArray[np.int64]) -> dict[str, Any]:
    usable = data.usable()
    split = data.split()[usable]
    return {
        "format": FORMAT,
        "kind": "dataset",
        "name": data.name,
        "version": data.version,
        "digest": data.digest(),
        "made": data.made(),
        "description": data.recipe.description,
        "rows": data.n,
        "usable": len(usable),
        "seconds": data.recipe.audio.seconds,
        "rate": data.recipe.audio.rate,
        "channels": data.recipe.audio.channels,
        "splits": {name: int((split == k).sum()) for k, name in enumerate(SPLITS)},
        "versions": ["dry", "wet"] if data.has(DRY_AUDIO) else ["wet"],
        "parameters": histograms(data),
        "coverage": coverage(data),
        "rejected": rejected_draws(data),
        "sampled": sampled,
        "cards": {row: {one.key: one.shown(row) for one in columns} for row in sampled.tolist()},
        "columns": [one.described(k) for k, one in enumerate(columns)],
    }


def written_columns(page: PageFolder, columns: Sequence[Column]) -> None:
    """Write the columns of a page, each a script of its own."""
    for k, one in enumerate(columns):
        page.script(f"data/column-{k}.js", "column", one.key, packed(one.values), list(one.texts))


def _write_sounds(page: PageFolder, data: Dataset, rows: NDArray[np.int64], wav: bool) -> None:
    audio = data.recipe.audio
    picture = SpectrogramPictures(audio.samples, audio.rate)
    dry_there = data.has(DRY_AUDIO)

    def do(row: int) -> None:
        only = np.array([row])
        sounds = {"wet": data.audio(only)[0]} | ({"dry": data.dry(only)[0]} if dry_there else {})
        write_row(page, row, sounds, audio.rate, picture, wav)

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(do, rows.tolist()))
