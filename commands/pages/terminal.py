"""Small pictures in a terminal, where there is no browser: histograms as bars, spectrograms in colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from timbre_data.commands.pages.drawing import histograms
from timbre_data.commands.pages.page_sounds import SpectrogramPictures
from timbre_data.pipeline.store.columns import DRY_AUDIO
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.arrays import Audio

BARS = " ▁▂▃▄▅▆▇█"
SHADES = " ░▒▓█"
"""Levels where there are no colours."""
WIDTH, HEIGHT = 64, 12
"""Columns and lines of a spectrogram; a line shows two bands."""
SHOWN_ROWS = 2


def bars(counts: Sequence[float]) -> str:
    """Numbers from 0 as a line of bars, the largest one full."""
    most = max([*counts, 1e-12])
    return "".join(BARS[int(np.ceil((len(BARS) - 1) * max(count, 0) / most))] for count in counts)


def spectrogram(sound: Audio, rate: int, *, colours: bool = True) -> Text:
    """A sound [shape=(channels, samples)] as lines of half blocks in colours, or of shades without, low frequencies
    below.
    """
    picture = SpectrogramPictures(sound.shape[1], rate, frames=WIDTH, bands=2 * HEIGHT)
    levels = (picture.shares(sound)[:WIDTH] * 255).astype(int)
    text = Text()
    for line in range(HEIGHT):
        for frame in levels:
            upper, lower = frame[2 * HEIGHT - 1 - 2 * line], frame[2 * HEIGHT - 2 - 2 * line]
            if not colours:
                text.append(SHADES[max(upper, lower) * len(SHADES) // 256])
                continue
            text.append("▀", f"{_hex(picture.colours[upper])} on {_hex(picture.colours[lower])}")
        text.append("\n")
    return text


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour.tolist())


def histogram_lines(data: Dataset) -> list[str]:
    """A line for each label of a dataset: its histogram from low to high, with as much of it as was drawn."""
    described = histograms(data)
    width = max((len(one["name"]) for one in described), default=0)
    ends = max((len(f"{one['edges'][0]:.4g}") for one in described), default=0)
    return [
        f"{one['name']:<{width}}  {one['edges'][0]:>{ends}.4g} {bars(one['counts'])} {one['edges'][-1]:.4g} {one['unit']}".rstrip()
        for one in described
    ]


def draw_dataset(data: Dataset, console: Console | None = None) -> None:
    """Draw the histograms of a dataset's labels, and spectrograms of its first rows, dry above wet."""
    console = console or Console()
    for line in histogram_lines(data):
        console.print(line, highlight=False, markup=False)
    rate = data.recipe.audio.rate
    for row in data.usable()[:SHOWN_ROWS].tolist():
        only = np.array([row])
        sounds = {"dry": data.dry(only)[0]} if data.has(DRY_AUDIO) else {}
        for name, sound in {**sounds, "wet": data.audio(only)[0]}.items():
            console.print(f"row {row}, {name}", highlight=False)
            console.print(spectrogram(sound, rate, colours=console.color_system is not None))


def draw_evaluation(losses: Sequence[dict[str, float]], errors: NDArray[np.float64] | None) -> None:
    """Draw the course of a training's validation loss, and the histogram of the errors of its rows."""
    console = Console(stderr=True)
    course = [one["validation_loss"] for one in losses]
    parts = [float(np.mean(part)) for part in np.array_split(course, min(len(course), WIDTH))]
    low = min(0.0, *parts)
    console.print(
        f"validation loss  {parts[0]:.3g} {bars([part - low for part in parts])} {parts[-1]:.3g}", highlight=False
    )
    if errors is not None and len(errors):
        counts, edges = np.histogram(errors, WIDTH // 2)
        console.print(f"errors of rows   {edges[0]:.3g} {bars(counts.tolist())} {edges[-1]:.3g}", highlight=False)
