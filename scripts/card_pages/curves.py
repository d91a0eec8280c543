"""Losses of trainings side by side, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from card_pages import Results


def draw_losses(results: Results, runs: Mapping[str, str], what: str, path: Path) -> None:
    """Training and validation loss of each epoch, a panel for each title and run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    if not runs:
        return
    figure, grid = plt.subplots(
        1, len(runs), figsize=(3.2 * len(runs), 2.8), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (title, run) in zip(grid[0], runs.items(), strict=True):
        losses = results.training(run)["losses"]
        for column, label in enumerate(("training", "validation")):
            axes.plot(range(1, len(losses) + 1), [one[column] for one in losses], label=label)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("epoch")
        axes.set_yscale("log")
    grid[0][0].set_ylabel(what)
    grid[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)
