"""Instruments, tags and phonemes: the timbre CNNs on stand-ins."""

from __future__ import annotations

import numpy as np
from scipy import stats

from card_pages import Card, Results, number, table
from timbre_data.models.evaluation.published import PONS

SHAPES = "timbre-shapes"
NETWORKS = {"single": "Single-layer", "multi": "Multi-layer", "han": "Han et al.", "svm": "Bosch et al."}
SCORES = tuple(f"{average}_{score}" for average in ("micro", "macro") for score in ("precision", "recall", "f1"))


def page(results: Results) -> list[str]:
    """Tables I, II and III on stand-ins, and the instrument CNN."""
    parts = [
        "All on rendered **stand-ins**: figures of the papers, on real recordings, stand beside them and do not compete."
    ]
    parts += _compared(
        results, "phonemes", "accuracy", "frame accuracy", "Phonemes: `sung-phonemes`, held-out singers (a stand-in)"
    )
    parts += _compared(results, "tags", "roc_auc", "ROC-AUC over tags", "Tags: `gm-tags`, held-out clips (a stand-in)")
    cnn = results.metrics("instruments-cnn")
    if cnn:
        parts += [
            table(
                "Instruments: `instrument-cnn` on single General MIDI instruments (a stand-in; the paper's accuracy is of four classes, not of these)",
                ("accuracy", "phrases"),
                [(f"{100 * cnn['accuracy']:.1f} %", str(cnn["clips"]))],
            ),
            "![Confusion of the eleven instruments](timbre-instruments.png)",
        ]
    rows = []
    for name, paper in NETWORKS.items():
        found = results.metrics(f"instruments-{name}")
        if found:
            ours = found["thresholds"]["mean > 0.2"]
            theirs = results.published(f"instruments-{name}", f"{PONS}, Table II, {paper}")
            rows += [
                (found["model"], str(found["parameters"]), *(number(ours[key]) for key in SCORES)),
                (theirs.name, "-", *(number(theirs.values[key]) for key in SCORES)),
            ]
    if rows:
        parts.append(
            table(
                "Which instruments play: `gm-mixtures`, test phrases of one to five instruments, mean over 0.2 (a stand-in for Table II)",
                ("network", "parameters", *(key.replace("_", " ").replace("f1", "F1") for key in SCORES)),
                rows,
            )
        )
    return parts


def _compared(results: Results, task: str, key: str, what: str, title: str) -> list[str]:
    rows, values = [], {}
    for name in ("proposed", "small-rectangular"):
        runs = sorted(run for run in results.runs if run.startswith(f"{SHAPES}-{task}-{name}-"))
        values[name] = np.array([results.metrics(run)[key] for run in runs])
        if runs:
            row = {"phonemes": f"Table I, {name.capitalize()}, dan", "tags": f"Table III, {name.capitalize()}"}[task]
            each = values[name]
            rows.append(
                (
                    name,
                    str(results.metrics(runs[0])["parameters"]),
                    f"{each.mean():.4f}",
                    f"{each.std(ddof=1):.4f}" if len(each) > 1 else "-",
                    str(len(each)),
                    results.paper(runs[0], f"{PONS}, {row}", "accuracy" if task == "phonemes" else "roc_auc"),
                )
            )
    if not rows:
        return []
    text = table(title, ("network", "parameters", f"mean {what}", "deviation", "seeds", "paper, on recordings"), rows)
    count = min(len(one) for one in values.values())
    if count > 2:
        difference = values["proposed"][:count] - values["small-rectangular"][:count]
        low, high = stats.t.interval(0.95, count - 1, difference.mean(), stats.sem(difference))
        verdict = (
            "`Proposed` is better"
            if low > 0
            else "`Small-rectangular` is better"
            if high < 0
            else "no difference is shown"
        )
        text += f"\n\n**`Proposed` minus `Small-rectangular`, paired by seed**: {difference.mean():+.4f}, 95 % confidence interval [{low:+.4f}, {high:+.4f}] over {count} seeds: {verdict}."
    return [text]


CARD = Card(
    title="Instruments, tags, phonemes",
    recipes=(SHAPES, "instruments"),
    page=page,
    pictures={
        "instruments-cnn/evaluation/confusion.png": "timbre-instruments.png",
        f"{SHAPES}-phonemes-proposed-0/evaluation/filters.png": "timbre-filters.png",
    },
    seeds="five seeds where two networks are compared",
)
