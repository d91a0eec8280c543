"""Drawing the sweeps of a check, as PNG, PDF or SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from timbre_data.pipeline.build.profiling.checking import PROBLEMS, Check
from timbre_data.pipeline.build.profiling.quantities import QUANTITIES
from timbre_data.pipeline.build.profiling.verdicts import MIDDLE, Verdict

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a back end that needs no screen

COLUMNS = 4
COLOURS = {"": "C0", "masked": "C1"}
SHOWN_INSTEAD = "level"


def draw(check: Check, path: Path, kind: str = "png") -> None:
    """Write a picture of some kind, with one panel per knob: the quantity that it changes most, over its range, and a
    line for each setting of the others.
    """
    rows = -(-len(check.verdicts) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(3.4 * COLUMNS, 2.5 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat[len(check.verdicts) :]:
        axes.axis("off")
    for axes, verdict in zip(grid.flat, check.verdicts, strict=False):
        name = _shown(verdict)
        q = list(QUANTITIES).index(name)
        sweeps = check.sweeps[verdict.name]
        parameter = check.profile.space()[verdict.name]
        colour = COLOURS.get(verdict.problem, "C3")
        for number, one in enumerate(sweeps):
            x = parameter.to_value(one.places)
            for each in one.quantities[:, :, q] if len(one.passes) > 1 else ():
                axes.plot(x, each, color=colour, alpha=0.15, linewidth=0.7)
            axes.plot(x, one.means[:, q], color=colour, alpha=1 - 0.2 * number, marker=".", markersize=4, linewidth=1.2)
        known = np.concatenate([one.means[:, q] for one in sweeps])
        if not np.isfinite(known).any():
            axes.set_ylim(0, 1)
        if parameter.kind == "choice":
            axes.set_xticks(range(len(parameter.positions)), parameter.positions, fontsize=7, rotation=30)
        elif parameter.kind == "switch":
            axes.set_xticks([0, 1], ["off", "on"], fontsize=7)
        problem = f" - {PROBLEMS[verdict.problem]}" if verdict.problem else ""
        axes.set_title(f"{verdict.name}{problem}", fontsize=9, color=colour if problem else "black")
        axes.set_ylabel(f"{name.replace('_', ' ')}, {QUANTITIES[name].unit}", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.suptitle(f"{check.profile.name}: what each knob does to a note, in {len(next(iter(check.sweeps.values())))} settings of the others", fontsize=10)  # fmt: skip
    figure.savefig(path, dpi=110, format=kind)
    plt.close(figure)


def _shown(verdict: Verdict) -> str:
    return next((name.removesuffix(MIDDLE) for name in verdict.response), SHOWN_INSTEAD)
