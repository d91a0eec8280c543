"""Pictures of a run, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a back end that needs no screen


def save(figure: Any, path: Path) -> None:
    """Write a figure and let go of it."""
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def title_of(name: str) -> str:
    """A parameter's name as a title: "distortion.low_shelf_q" is "distortion: low shelf q"."""
    return name.replace(".", ": ").replace("_", " ")


def loss_curves(epochs: list[dict[str, float]], path: Path) -> None:
    """Training and validation loss over the epochs; the best epoch is marked."""
    figure, axes = plt.subplots(figsize=(6, 3.6))
    x = [row["epoch"] for row in epochs]
    validation = [row["validation_loss"] for row in epochs]
    axes.plot(x, [row["train_loss"] for row in epochs], label="training")
    axes.plot(x, validation, label="validation")
    best = int(np.argmin(validation))
    axes.plot(x[best], validation[best], "o", color="C1", label=f"best: epoch {x[best]:.0f}, {validation[best]:.4f}")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    save(figure, path)


def modulations(gamma: NDArray[Any], beta: NDArray[Any], classes: Sequence[str], path: Path) -> None:
    """What the last FiLM layer does to each channel for each certain class [shape=(classes, channels) both]
    (D'Hooghe 2022, Figure C.2).
    """
    figure, grid = plt.subplots(2, 1, figsize=(11, 1.2 + 0.5 * len(classes)), layout="constrained", sharex=True)
    for axes, (title, values, middle) in zip(grid, (("gamma", gamma, 1.0), ("beta", beta, 0.0)), strict=True):
        reach = max(float(np.abs(values - middle).max()), 1e-6)
        shown = axes.imshow(
            values, aspect="auto", cmap="RdBu_r", vmin=middle - reach, vmax=middle + reach, interpolation="nearest"
        )
        axes.set_yticks(range(len(classes)), classes, fontsize=8)
        axes.set_title(title, fontsize=9)
        figure.colorbar(shown, ax=axes)
    grid[-1].set_xlabel("channel")
    save(figure, path)


def equaliser_filters(
    given: NDArray[Any],
    filters_: NDArray[Any],
    residual: NDArray[Any],
    latent: NDArray[Any],
    changed: NDArray[Any],
    path: Path,
) -> None:
    """The front end's filters as they were given and as they were learned [shape=(128, 64) both], in the order of their
    given centre frequencies: in time, their spectra, what was learned, and what they make of a frame, before and after
    the latent network.
    """
    spectra = [np.abs(np.fft.rfft(one, 256)) for one in (given, filters_)]
    power = spectra[0] ** 2
    order = np.argsort((power * np.arange(power.shape[1])).sum(axis=1) / power.sum(axis=1), kind="stable")
    decibels = [20 * np.log10(one[order] / spectra[0].max() + 1e-4) for one in spectra]
    figure, grid = plt.subplots(2, 4, figsize=(14, 7), layout="constrained")
    largest = float(np.abs(given).max())
    pictures = (
        ("filters, given", given[order], "RdBu_r", "samples", (-largest, largest)),
        ("filters, learned", filters_[order], "RdBu_r", "samples", (-largest, largest)),
        ("what was learned (same scale)", (filters_ - given)[order], "RdBu_r", "samples", (-largest, largest)),
        ("|residual| of a frame", np.abs(residual[order]), "magma", "samples", (None, None)),
        ("spectra, given, dB", decibels[0], "magma", "frequency", (-80, 0)),
        ("spectra, learned, dB", decibels[1], "magma", "frequency", (-80, 0)),
        # a few edges of frames are far above the rest
        ("latent values", latent[order], "magma", "place", (None, float(np.quantile(latent, 0.995)))),
        ("after the latent network", changed[order], "magma", "place", (None, float(np.quantile(changed, 0.995)))),
    )
    for axes, (title, picture, colours, below, (low, high)) in zip(grid.flat, pictures, strict=True):
        axes.imshow(picture, aspect="auto", origin="lower", cmap=colours, interpolation="nearest", vmin=low, vmax=high)
        axes.set_title(title, fontsize=9)
        axes.set(xlabel=below, yticks=[])
    for axes in grid[:, 0]:
        axes.set_ylabel("filters, low to high")
    save(figure, path)


def transformation(sounds: dict[str, NDArray[Any]], rate: int, path: Path) -> None:
    """Waveforms and spectrograms of input, target and output, side by side [shape=(samples,) each]."""
    figure, grid = plt.subplots(2, len(sounds), figsize=(4.2 * len(sounds), 5), sharex=True, layout="constrained")
    top = max(float(np.abs(sound).max()) for sound in sounds.values())
    for column, (name, sound) in enumerate(sounds.items()):
        grid[0, column].plot(np.arange(len(sound)) / rate, sound, linewidth=0.4)
        grid[0, column].set(ylim=(-1.05 * top, 1.05 * top), title=name)
        with np.errstate(divide="ignore"):  # digital silence
            grid[1, column].specgram(sound + 1e-7, NFFT=1024, Fs=rate, noverlap=768, vmin=-130, vmax=-40, cmap="magma")
        grid[1, column].set(xlabel="s")
    grid[1, 0].set_ylabel("Hz")
    save(figure, path)


def responses(
    hertz: NDArray[Any], target: NDArray[Any], curves: dict[str, tuple[NDArray[Any], NDArray[np.bool_]]], path: Path
) -> None:
    """Gain by frequency: the target's, and what was measured with each input where that has energy [shape=(f,)
    each].
    """
    figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
    axes.semilogx(hertz[1:], np.maximum(target[1:], -90), color="black", linewidth=2.2, label="target")
    for name, (gain, enough) in curves.items():
        axes.semilogx(hertz[1:], np.where(enough, gain, np.nan)[1:], linewidth=1, label=name)
    axes.set(
        xlabel="Hz",
        ylabel="gain, dB",
        xlim=(40, hertz[-1]),
        ylim=(max(-60, float(target.min()) - 5), float(target.max()) + 6),
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    save(figure, path)


def responses_at(
    hertz: NDArray[Any], settings: dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]], path: Path
) -> None:
    """Gain by frequency at several settings, a panel each: measured, target, and where the input has energy [shape=(f,)
    each].
    """
    across = min(4, len(settings))
    down = -(-len(settings) // across)
    figure, grid = plt.subplots(
        down, across, figsize=(2.8 * across, 1.9 * down), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(settings) :]:
        axes.set_visible(False)
    for axes, (title, (gain, target, enough)) in zip(grid.flat, settings.items(), strict=False):
        axes.semilogx(hertz[1:], target[1:], color="black", linewidth=2)
        axes.semilogx(hertz[1:], np.where(enough, gain, np.nan)[1:], color="C1", linewidth=1.2)
        axes.set_title(title, fontsize=8)
        axes.set(xlim=(40, hertz[-1]), ylim=(-42, 18))
        axes.grid(alpha=0.3)
    figure.supxlabel("Hz", fontsize=9)
    figure.supylabel("gain, dB (black: the target)", fontsize=9)
    save(figure, path)


def filters(shapes: list[tuple[str, NDArray[Any]]], path: Path, shown: int = 12) -> None:
    """First-layer filters by shape, each [shape=(count, bands, frames)]: of every shape those with the largest weights,
    low bands at the bottom.
    """
    widths = [min(len(weights), shown) * (weights.shape[2] + 1) for _, weights in shapes]
    heights = [weights.shape[1] for _, weights in shapes]
    figure, grid = plt.subplots(
        len(shapes),
        1,
        figsize=(9, sum(0.5 + min(h, 80) * 0.02 for h in heights)),
        squeeze=False,
        height_ratios=[0.5 + min(h, 80) * 0.02 for h in heights],
        layout="constrained",
    )
    for axes, (title, weights), width in zip(grid[:, 0], shapes, widths, strict=True):
        norm = np.sqrt((weights**2).sum(axis=(1, 2)))
        strongest = weights[np.argsort(-norm)[:shown]]
        canvas = np.full((weights.shape[1], width), np.nan)
        for k, one in enumerate(strongest):
            start = k * (weights.shape[2] + 1)
            canvas[:, start : start + weights.shape[2]] = one / np.abs(one).max()
        axes.imshow(canvas, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=8, loc="left")
        axes.set(xticks=[], ylabel="bands")
    save(figure, path)


def predicted_against_true(
    predicted: NDArray[Any], labels: NDArray[Any], mask: NDArray[np.bool_], names: tuple[str, ...], path: Path
) -> None:
    """One panel a parameter: density of (true, predicted), the diagonal, and the skill over the mean predictor."""
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.9 * columns, 2.9 * rows), squeeze=False, layout="constrained")
    for axes, i in zip(grid.flat, range(len(names)), strict=False):
        true, guess = labels[mask[:, i], i], predicted[mask[:, i], i]
        axes.hist2d(true, guess, bins=40, range=[[0, 1], [0, 1]], cmap="magma", norm=matplotlib.colors.PowerNorm(0.5))
        axes.plot([0, 1], [0, 1], color="white", linewidth=0.8)
        skill = 1 - np.mean((guess - true) ** 2) / max(float(np.var(true)), 1e-12) if len(true) else float("nan")
        axes.set_title(f"{title_of(names[i])}\nskill {skill:.2f}", fontsize=8)
        axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_aspect("equal")
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("true, normalized")
    figure.supylabel("predicted, normalized")
    save(figure, path)


def confusion(matrix: NDArray[np.int64], names: tuple[str, ...], path: Path) -> None:
    """Confusion matrix in per cent of each true class, with counts."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(1.1 * len(names) + 2, 1.0 * len(names) + 1.5))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    for i in range(len(names)):
        for j in range(len(names)):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(
                j, i, f"{100 * share[i, j]:.1f} %\n{matrix[i, j]}", ha="center", va="center", color=color, fontsize=8
            )
    save(figure, path)


def distances(measured: dict[str, dict[str, NDArray[np.float64]]], headings: dict[str, str], path: Path) -> None:
    """Box plots of the sound distances of every predictor."""
    kinds = list(next(iter(measured.values())))
    figure, grid = plt.subplots(1, len(kinds), figsize=(3.6 * len(kinds), 3.4), layout="constrained")
    for axes, kind in zip(np.atleast_1d(grid), kinds, strict=True):
        axes.boxplot([measured[name][kind] for name in measured], tick_labels=list(measured), showfliers=False)
        axes.set_title(headings[kind])
        axes.tick_params(axis="x", rotation=30)
        axes.grid(alpha=0.3, axis="y")
    save(figure, path)


def knob_scores(each: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The score of every knob, over all rows and over those where it is audible: share of right positions, or skill
    over the mean.
    """
    figure, axes = plt.subplots(figsize=(max(7.0, 0.32 * len(each)), 4.6))
    at = np.arange(len(each))
    for key, offset, color, label in (
        ("score_swapped", -0.2, "tab:blue", "all rows"),
        ("score_audible", 0.2, "tab:orange", "rows where the knob is audible"),
    ):
        scores = np.array([np.nan if knob[key] is None else knob[key] for knob in each.values()], float)
        axes.bar(at + offset, np.clip(scores, -0.1, 1), width=0.38, color=color, label=label)
    for k, knob in enumerate(each.values()):
        if knob["positions"]:
            axes.hlines(1 / knob["positions"], k - 0.45, k + 0.45, color="black", linewidth=1.2)
    names = [
        f"{title_of(name.partition('.')[2] or name)}{' *' if knob['positions'] else ''}" for name, knob in each.items()
    ]
    axes.set_xticks(at, names, rotation=60, ha="right")
    axes.set_ylim(-0.1, 1.02)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_ylabel("share right (*, black: chance)\nor skill over the mean")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save(figure, path)


def labels_against_outputs(
    predicted: NDArray[Any], labels: NDArray[Any], identifiable: NDArray[np.bool_], names: tuple[str, ...], path: Path
) -> None:
    """Box plots of labels and of outputs, side by side for each parameter: a network that answers with the middle shows
    as flat boxes.
    """
    figure, axes = plt.subplots(figsize=(max(6, 0.8 * len(names)), 4.2))
    for shift, values, colour, label in ((-0.18, labels, "C0", "labels"), (0.18, predicted, "C1", "outputs")):
        shown = [values[identifiable[:, i], i] if identifiable[:, i].any() else np.zeros(1) for i in range(len(names))]
        boxes = axes.boxplot(
            shown, positions=np.arange(len(names)) + shift, widths=0.3, patch_artist=True, showfliers=False
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.6, label=None)
        axes.plot([], [], color=colour, linewidth=6, alpha=0.6, label=label)
    axes.set_xticks(
        range(len(names)), [title_of(name.partition(".")[2] or name) for name in names], rotation=60, ha="right"
    )
    axes.set(ylabel="normalized", ylim=(-0.03, 1.03))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save(figure, path)


def heat_map(
    values: NDArray[Any], rows: list[str], columns: list[str], labels: tuple[str, str], title: str, path: Path
) -> None:
    """A grid of scores with its numbers, dark where low; NaN where a trial is missing."""
    figure, axes = plt.subplots(figsize=(1.5 + 1.1 * len(columns), 1.5 + 0.7 * len(rows)))
    image = axes.imshow(values, cmap="viridis", aspect="auto")
    middle = np.nanmin(values) + 0.5 * (np.nanmax(values) - np.nanmin(values))
    for i, j in np.ndindex(*values.shape):
        if np.isfinite(values[i, j]):
            axes.text(
                j,
                i,
                f"{values[i, j]:.4g}",
                ha="center",
                va="center",
                color="white" if values[i, j] < middle else "black",
            )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylabel=labels[0], xlabel=labels[1], title=title)
    figure.colorbar(image)
    save(figure, path)


def calibration(places: Mapping[str, NDArray[Any]], together: NDArray[Any], path: Path, shown: int = 11) -> None:
    """Where labels lie among their draws, in [0, 1], by knob (flat histograms where draws are right), and how much of
    the labels is in a region that holds so much of the draws, of all knobs together.
    """
    columns = 4
    named = list(places.items())[:shown]
    height = -(-(len(named) + 1) // columns)
    figure, grid = plt.subplots(
        height, columns, figsize=(3 * columns, 2.2 * height), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(named) + 1 :]:
        axes.axis("off")
    grid.flat[0].plot(np.linspace(0, 1, len(together)), np.sort(together), label="all knobs together")
    grid.flat[0].plot((0, 1), (0, 1), "k:", linewidth=1)
    grid.flat[0].set(title="all knobs together (TARP)", xlabel="share of labels", ylabel="share of draws")
    for axes, (name, values) in zip(grid.flat[1:], named, strict=False):
        axes.hist(values, bins=16, range=(0, 1), density=True, color="C0")
        axes.axhline(1, color="k", linestyle=":", linewidth=1)
        axes.set(title=title_of(name), ylim=(0, 2.5))
    save(figure, path)
