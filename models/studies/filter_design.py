"""First-layer filter shapes for a dataset: how far its sounds reach in frequency and in time, measured instead of
judged by eye.

Pons et al. 2017 looked at spectrograms and asked which stretch of frequency and of time a filter must see. Here, in
every frame that sounds:

*spectral extent*: bands between the points where a twentieth and nineteen twentieths of what stands out of the floor
are reached; *temporal extent*: frames until the spectrum has changed, that is until its correlation with this frame's
falls below `SIMILAR`.

The proposal has two heights (half of all frames reach no farther, and nine tenths) and three widths (one frame, a
quarter, three quarters of all durations), in the published proportions of counts, within the parameters of the
published network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.data.windows import Windows
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.layers.shaped_filters import FilterShape, ShapedFilters
from timbre_data.models.training.preparing import default_target, prepare, resolve
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

SIMILAR = 0.8
SOUNDING = 0.1
"""A frame sounds where what stands out of the floor is this share of the loudest frame's."""
HEIGHTS, WIDTHS = (0.5, 0.9), (0.25, 0.75)
COUNTS = (4, 2, 1)
"""Filters of one frame, of a short and of a long stretch (as in Pons et al. 2017)."""
MOST_SOUNDS = 400
STEP = 3
"""Every so many-th frame is measured."""


@dataclass(frozen=True)
class Design:
    """The measured extents (in bands and frames, one number a frame) and the filter shapes that follow from them."""

    spectral: NDArray[np.int64]
    temporal: NDArray[np.int64]
    shapes: tuple[FilterShape, ...]
    parameters: int
    published_parameters: int
    settings: dict[str, Any]
    table: Table


def extents(spectrogram: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Spectral and temporal extents of the frames that sound, in one spectrogram on a logarithmic scale [shape=(bands,
    frames)].
    """
    above = np.maximum(spectrogram - np.quantile(spectrogram, 0.1), 0.0).astype(np.float64)
    total = above.sum(axis=0)
    if total.max() <= 0:
        return [], []
    centred = above - above.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    spectral: list[int] = []
    temporal: list[int] = []
    for t in np.flatnonzero(total > SOUNDING * total.max())[::STEP].tolist():
        reached = np.cumsum(above[:, t]) / total[t]
        spectral.append(int(np.searchsorted(reached, 0.95) - np.searchsorted(reached, 0.05)) + 1)
        later = centred[:, t:].T @ centred[:, t] / np.maximum(length[t:] * length[t], 1e-12)
        changed = np.flatnonzero(later < SIMILAR)
        if len(changed):  # a sound that goes on to the end of the row says nothing about its duration
            temporal.append(int(changed[0]))
    return spectral, temporal


def design(name: str, model: str) -> Design:
    """Measure a dataset as a model hears it, and propose shapes for the model's first layer.

    Raises `UsageError` for models whose first layer has no shapes to choose.
    """
    kind: Model = MODELS.load(model)
    if "shapes" not in kind.options.model_fields:
        raise UsageError(
            f"{model} has no layer of filter shapes; jingju_proposed, irmas_single, irmas_multi and mtt_proposed have."
        )
    data = Dataset(name)
    settings = TrainSettings(model=model, data=(name,), target="frames" if kind.context else None, limit=MOST_SOUNDS)
    if not kind.context:
        settings = settings.model_copy(update={"target": default_target(settings, [data])})
    rows, _ = prepare(resolve(settings), [data])
    spectral, temporal = _measure(_spectrograms(rows.audio, rows.where(0)))
    if len(spectral) < 10 or len(temporal) < 10:
        raise UsageError(f"{name} has too few sounds in its training split to measure: render more.")
    samples = data.recipe.audio.samples
    shape = Shape(0, len(rows.class_names), samples=samples, rate=data.recipe.audio.rate)
    published = _layer(kind.build(shape, kind.options()))
    bands, frames = rows.audio.shape[1:]
    before = parameter_count(kind.build(shape, kind.options()), statistics=kind.counts_statistics)
    once = _propose(spectral, temporal, bands, frames)
    weights = sum(one.count * one.height * one.width for one in published.shapes)
    times = max(1, weights // sum(one.count * one.height * one.width for one in once)) + 1
    after = before + 1
    while after > before and times > 1:  # as many as published weights allow, in this layer and behind it
        times -= 1
        shapes = tuple(replace(one, count=times * one.count) for one in once)
        options = {"shapes": [asdict(one) for one in shapes]}
        network = kind.build(shape, kind.options.model_validate(options))
        after = parameter_count(network, statistics=kind.counts_statistics)
    return Design(
        spectral,
        temporal,
        shapes,
        after,
        before,
        {"model": model, "data": [name], "options": options},
        _table(name, model, spectral, temporal, shapes, after, before),
    )


def write(design: Design, out: Path) -> None:
    """Write the proposal as a settings file for `timbre-data train`. Raises `UsageError` where there is one already."""
    if out.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--out {out}: give a file name that ends in .yaml.")
    if out.exists():
        raise UsageError(f"{out} exists already: choose another --out, or delete it first.")
    head = (
        "# Proposed by timbre-data design-filters; measured extents in bands and frames (quantiles .1 .25 .5 .75 .9):\n"
    )
    for title, values in (("spectral", design.spectral), ("temporal", design.temporal)):
        text = " ".join(f"{value:.0f}" for value in np.quantile(values, (0.1, 0.25, 0.5, 0.75, 0.9)))
        head += f"# {title}: {text}\n"
    head += f"# {design.parameters} parameters; with the published shapes {design.published_parameters}\n"
    try:
        write_whole(out, head + yaml.safe_dump(design.settings, sort_keys=False, default_flow_style=None))
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}).") from None


def _spectrograms(audio: Any, row_indices: NDArray[np.int64]) -> Iterable[NDArray[Any]]:
    """Spectrograms of the training sounds; of recordings cut into frames, each recording's own."""
    if not isinstance(audio, Windows):
        yield from (audio[k].astype(np.float32) for k in row_indices)
        return
    index = torch.from_numpy(row_indices)
    for first, last in sorted(set(zip(audio.first[index].tolist(), audio.last[index].tolist(), strict=True))):
        yield audio.frames[first : last + 1].float().numpy().T


def _measure(spectrograms: Iterable[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    spectral: list[int] = []
    temporal: list[int] = []
    for spectrogram in spectrograms:
        high, wide = extents(spectrogram)
        spectral += high
        temporal += wide
    return np.array(spectral, np.int64), np.array(temporal, np.int64)


def _layer(network: torch.nn.Module) -> ShapedFilters:
    return next(module for module in network.modules() if isinstance(module, ShapedFilters))


def _propose(
    spectral: NDArray[np.int64], temporal: NDArray[np.int64], bands: int, frames: int
) -> tuple[FilterShape, ...]:
    """Two heights that still can shift, three widths up to half of what is seen, in the smallest counts."""
    heights = sorted({int(np.clip(round(float(np.quantile(spectral, q))), 1, bands * 7 // 8)) for q in HEIGHTS})
    widths = [1, *(int(np.clip(round(float(np.quantile(temporal, q))), 2, max(2, frames // 2))) for q in WIDTHS)]
    shapes = [FilterShape(count, h, w) for h in heights for count, w in zip(COUNTS, widths, strict=True)]
    return tuple({(one.height, one.width): one for one in reversed(shapes)}.values())[::-1]


def _table(
    name: str,
    model: str,
    spectral: NDArray[np.int64],
    temporal: NDArray[np.int64],
    shapes: tuple[FilterShape, ...],
    after: int,
    before: int,
) -> Table:
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
    rows = [
        (title, *(number(float(np.quantile(values, q))) for q in quantiles))
        for title, values in (("spectral extent, bands", spectral), ("temporal extent, frames", temporal))
    ]
    text = ", ".join(f"{one.count} @ {one.height} x {one.width}" for one in shapes)
    return Table(
        f"{name} as {model} hears it",
        ("measured", *(f"quantile {q:g}" for q in quantiles)),
        tuple(rows),
        note=f"Proposed first layer (count @ bands x frames): {text}. {after} parameters; with the published shapes {before}.",
    )
