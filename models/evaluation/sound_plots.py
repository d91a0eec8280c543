"""Pictures of re-rendered sounds: how far they are over all test rows, and the nearest and farthest beside what was
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from scipy.signal import spectrogram, welch

from timbre_data.models.evaluation.plots import save
from timbre_data.schemas.arrays import Audio

SHOWN_DB = 80.0


def distribution(values: Mapping[str, NDArray[np.float64]], heading: str, path: Path) -> None:
    """Histograms of one distance, of each predictor over the same rows (Assayag 2020, Figure 16)."""
    every = np.concatenate(list(values.values()))
    edges = np.linspace(0, max(float(every.max()), 1e-9), 31).tolist()
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for number, (name, each) in enumerate(values.items()):
        axes.hist(each, edges, histtype="step", color=f"C{number}", label=f"{name}: median {np.median(each):.3g}")
        axes.axvline(float(np.median(each)), color=f"C{number}", linestyle=":", linewidth=1)
    axes.set(xlabel=heading, ylabel=f"of {len(every) // len(values)} sounds")
    axes.legend()
    save(figure, path)


def examples(sounds: Mapping[str, tuple[Audio, Audio]], rate: int, path: Path) -> None:
    """For each title the sound that was asked for and the one that was made [shape=(samples,) both]: spectrograms, and
    power spectra one over the other (Assayag 2020, Figure 15).
    """
    figure, grid = plt.subplots(len(sounds), 3, figsize=(11, 2.6 * len(sounds)), layout="constrained", squeeze=False)
    for row, (title, pair) in zip(grid, sounds.items(), strict=True):
        for axes, name, sound in zip(row, ("asked for", "made"), pair, strict=False):
            hertz, seconds, power = spectrogram(sound, rate, nperseg=min(1024, len(sound)))
            decibels = 10 * np.log10(power + 1e-20)
            top = float(decibels.max())
            extent = (0.0, float(seconds[-1]), 0.0, float(hertz[-1]) / 1000)
            axes.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=top - SHOWN_DB, vmax=top)
            axes.set(title=f"{title}: {name}", xlabel="s", ylabel="kHz")
            found, density = welch(sound, rate, nperseg=min(2048, len(sound)))
            level = 10 * np.log10(density / max(float(density.max()), 1e-20) + 1e-20)
            row[2].plot(found / 1000, np.maximum(level, -SHOWN_DB), label=name, linewidth=1)
        row[2].set(title="power spectra", xlabel="kHz", ylabel="dB")
        row[2].legend()
    save(figure, path)
