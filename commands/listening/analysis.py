"""What the answers to a listening test say: who is left out and why, means with intervals, tests, and which distance
follows the ear.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.listening.answers import Answer
from timbre_data.commands.listening.listening_test import ANCHOR, REFERENCE, Key
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.schemas.errors import UsageError

FOLDER = "analysis"
LEAST_REFERENCE, SHARE_BELOW = 90.0, 0.15
"""Post-screening of BS.1534-3: who rates the hidden reference below 90 in more than 15 % of the trials is left out."""
RESAMPLES, LEVEL = 4000, 0.95
FEWEST_LISTENERS = 2


@dataclass(frozen=True)
class Analysis:
    """The result of an analysis, for programs and for people."""

    metrics: dict[str, Any]
    tables: tuple[Table, ...]

    def markdown(self) -> str:
        """All tables."""
        return "\n\n".join(table.markdown() for table in self.tables)


def analyse(key: Key, answers: Sequence[Answer], folder: Path, seed: int = 0) -> Analysis:
    """Analyse the answers to a test; tables, metrics and pictures go into `folder/analysis`. Raises `UsageError` where
    there are too few.
    """
    listeners = sorted({answer.listener for answer in answers})
    if len(listeners) < FEWEST_LISTENERS:
        raise UsageError(
            f"there are answers of {len(listeners)} listeners: an analysis needs {FEWEST_LISTENERS} or more."
        )
    out = folder / FOLDER
    out.mkdir(exist_ok=True)
    if key.kind == "mushra":
        result, tables = _mushra(key, answers, out, seed)
    else:
        result, tables = _choices(key, answers)
    head = {"test": key.test, "run": key.run, "kind": key.kind, "listeners": len(listeners), "answers": len(answers)}
    checks = {name: sum(any(a.listener == one and a.headphones == name for a in answers) for one in listeners) for name in ("passed", "failed", "skipped")}  # fmt: skip
    analysis = Analysis(head | {"headphones": checks} | result, tables)
    write_whole(out / "tables.md", analysis.markdown() + "\n")
    write_whole(out / "metrics.json", json.dumps(analysis.metrics, indent=2) + "\n")
    return analysis


def screened(key: Key, answers: Sequence[Answer]) -> tuple[list[str], dict[str, str]]:
    """The listeners whose MUSHRA ratings count, and why the others' do not (BS.1534-3, post-screening)."""
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for listener in sorted({answer.listener for answer in answers}):
        references = [
            answer.ratings[stimulus.id]
            for answer in answers
            if answer.listener == listener and (trial := key.trial(answer.trial))
            for stimulus in trial.stimuli
            if stimulus.condition == REFERENCE
        ]
        below = float(np.mean([rating < LEAST_REFERENCE for rating in references]))
        if below > SHARE_BELOW:
            left_out[listener] = f"hidden reference below {LEAST_REFERENCE:g} in {100 * below:.0f} % of the trials"
        else:
            kept.append(listener)
    return kept, left_out


def _scores(
    key: Key, answers: Sequence[Answer], listeners: Sequence[str], conditions: Sequence[str]
) -> NDArray[np.float64]:
    """Ratings [shape=(listeners, trials, conditions)], NaN where there is none."""
    trials = {trial.id: k for k, trial in enumerate(key.trials)}
    out = np.full((len(listeners), len(trials), len(conditions)), np.nan)
    for answer in answers:
        trial = key.trial(answer.trial)
        if answer.listener not in listeners or trial is None:
            continue
        for stimulus in trial.stimuli:
            if stimulus.condition in conditions:
                place = listeners.index(answer.listener), trials[trial.id], conditions.index(stimulus.condition)
                out[place] = answer.ratings[stimulus.id]
    return out


def _mushra(key: Key, answers: Sequence[Answer], out: Path, seed: int) -> tuple[dict[str, Any], tuple[Table, ...]]:
    from scipy.stats import friedmanchisquare

    kept, left_out = screened(key, answers)
    if len(kept) < FEWEST_LISTENERS:
        raise UsageError(
            f"{len(kept)} of {len(kept) + len(left_out)} listeners found the hidden reference: too few are left."
        )
    conditions = (REFERENCE, *key.conditions, ANCHOR)
    scores = _scores(key, answers, kept, conditions)
    means, low, high = bootstrap_means(scores, seed)
    of_listener = np.nanmean(scores, axis=1)
    tested = of_listener[:, [conditions.index(one) for one in key.conditions]]
    whole = tested[np.isfinite(tested).all(axis=1)]
    friedman: dict[str, float] | None = None
    if len(key.conditions) >= 3 and len(whole) >= 3:
        statistic, p = friedmanchisquare(*whole.T)
        friedman = {"statistic": float(statistic), "p": float(p)}
    pairs = pairwise_tests(tested, key.conditions)
    agreement = agreement_with_distances(key, scores, conditions)
    _box_plot(scores, conditions, out / "ratings.png")
    tables = [
        Table(
            f"MUSHRA, {len(kept)} listeners of {len(kept) + len(left_out)}, {len(key.trials)} trials",
            ("condition", "mean", "from", "to", "ratings"),
            tuple(
                (one, number(means[k]), number(low[k]), number(high[k]), str(int(np.isfinite(scores[:, :, k]).sum())))
                for k, one in enumerate(conditions)
            ),
            note=f"{100 * LEVEL:.0f} % intervals by {RESAMPLES} bootstrap resamples of listeners and trials. "
            + "; ".join(f"left out: {listener[:6]} ({why})" for listener, why in left_out.items()),
        ),
        Table(
            "Which conditions differ"
            + (f" (Friedman: chi-squared {friedman['statistic']:.3g}, p {friedman['p']:.2g})" if friedman else ""),
            ("", "difference", "p (Wilcoxon, Holm)"),
            tuple((f"{one} - {two}", number(difference), f"{p:.2g}") for one, two, difference, p in pairs),
            note="Over listeners' means; p-values of Wilcoxon's signed-rank test, corrected for the number of pairs by Holm's method.",
        ),
        Table(
            "Which distance follows the ear",
            ("distance", "Spearman's rho with the mean rating", "sounds"),
            tuple((name, number(rho), str(count)) for name, rho, count in agreement),
            note="Over all sounds but the reference, the mean rating of each against its distance from the target: -1 would be perfect agreement.",
        ),
    ]
    result = {
        "left_out": left_out,
        "means": {one: {"mean": float(means[k]), "low": float(low[k]), "high": float(high[k])} for k, one in enumerate(conditions)},
        "friedman": friedman,
        "pairs": [{"pair": [one, two], "difference": difference, "p": p} for one, two, difference, p in pairs],
        "agreement": {name: rho for name, rho, _ in agreement},
    }  # fmt: skip
    return result, tuple(tables)


def bootstrap_means(
    scores: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean rating of each condition [shape=(listeners, trials, conditions)] with the ends of its interval: listeners
    and trials are both resampled, as others would be asked about other sounds.
    """
    rng = np.random.default_rng(seed)
    listeners, trials, _ = scores.shape
    drawn = np.empty((RESAMPLES, scores.shape[2]))
    for k in range(RESAMPLES):
        part = scores[rng.integers(0, listeners, listeners)][:, rng.integers(0, trials, trials)]
        with np.errstate(invalid="ignore"):
            drawn[k] = np.nanmean(part, axis=(0, 1)) if np.isfinite(part).any() else np.nan
    ends = (1 - LEVEL) / 2
    return np.nanmean(scores, axis=(0, 1)), np.nanquantile(drawn, ends, axis=0), np.nanquantile(drawn, 1 - ends, axis=0)


def pairwise_tests(of_listener: NDArray[np.float64], conditions: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """Every pair of conditions with the mean difference of listeners' means [shape=(listeners, conditions)], and the p
    of Wilcoxon's signed-rank test, corrected by Holm.
    """
    from scipy.stats import wilcoxon

    found: list[tuple[str, str, float, float]] = []
    for one, two in combinations(range(len(conditions)), 2):
        difference = of_listener[:, one] - of_listener[:, two]
        difference = difference[np.isfinite(difference)]
        p = float(wilcoxon(difference).pvalue) if len(difference) and difference.any() else 1.0
        found.append((conditions[one], conditions[two], float(difference.mean()) if len(difference) else 0.0, p))
    corrected = holm([p for *_, p in found])
    return [(one, two, difference, p) for (one, two, difference, _), p in zip(found, corrected, strict=True)]


def holm(ps: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's step-down method."""
    order = np.argsort(ps, kind="stable")
    out = np.empty(len(ps))
    largest = 0.0
    for rank, k in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[k]))
        out[k] = largest
    return [float(value) for value in out]


def agreement_with_distances(
    key: Key, scores: NDArray[np.float64], conditions: Sequence[str]
) -> list[tuple[str, float, int]]:
    """Spearman's rank correlation of the mean rating of every sound but the reference with each of its distances from
    the target; the one that follows the ear best first.
    """
    from scipy.stats import spearmanr

    with np.errstate(invalid="ignore"):
        mean = np.where(np.isfinite(scores).any(axis=0), np.nanmean(scores, axis=0), np.nan)
    found = []
    names = sorted({name for trial in key.trials for stimulus in trial.stimuli for name in stimulus.distances})
    for name in names:
        pairs = [
            (mean[k, conditions.index(stimulus.condition)], stimulus.distances[name])
            for k, trial in enumerate(key.trials)
            for stimulus in trial.stimuli
            if stimulus.condition != REFERENCE and name in stimulus.distances
        ]
        ratings, distances = (np.array(part, float) for part in zip(*pairs, strict=True))
        there = np.isfinite(ratings) & np.isfinite(distances)
        moves = there.sum() >= 3 and np.ptp(ratings[there]) > 0 and np.ptp(distances[there]) > 0
        rho = float(spearmanr(ratings[there], distances[there]).statistic) if moves else float("nan")
        heading = DISTANCES.load(name).heading if name in DISTANCES else name
        found.append((heading, rho, int(there.sum())))
    return sorted(found, key=lambda one: one[1] if np.isfinite(one[1]) else 1.0)


def _box_plot(scores: NDArray[np.float64], conditions: Sequence[str], out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(1.2 + len(conditions), 4))
    parts = [scores[:, :, k][np.isfinite(scores[:, :, k])] for k in range(len(conditions))]
    axes.boxplot(parts, showmeans=True)
    axes.set_xticks(range(1, len(conditions) + 1), conditions, rotation=20)
    axes.set(ylabel="rating", ylim=(-2, 102))
    axes.grid(alpha=0.3, axis="y")
    figure.savefig(out, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _choices(key: Key, answers: Sequence[Answer]) -> tuple[dict[str, Any], tuple[Table, ...]]:
    return _abx(key, answers) if key.kind == "abx" else _preferences(key, answers)


def _abx(key: Key, answers: Sequence[Answer]) -> tuple[dict[str, Any], tuple[Table, ...]]:
    from scipy.stats import binomtest

    right: dict[str, list[bool]] = {one: [] for one in key.conditions}
    for answer in answers:
        trial = key.trial(answer.trial)
        assert trial is not None
        other = next(one.condition for one in trial.stimuli if one.condition != REFERENCE)
        assert answer.hidden is not None
        right[other].append(answer.ratings[answer.hidden] == 100)
    each = {
        one: {
            "right": sum(values),
            "answers": len(values),
            "p": float(binomtest(sum(values), len(values), 0.5, alternative="greater").pvalue) if values else 1.0,
        }
        for one, values in right.items()
    }
    corrected = holm([float(one["p"]) for one in each.values()])
    table = Table(
        "ABX: can it be told from the target?",
        ("condition", "right", "answers", "p (binomial, Holm)"),
        tuple((one, str(found["right"]), str(found["answers"]), f"{p:.2g}") for (one, found), p in zip(each.items(), corrected, strict=True)),
        note="One-sided test against guessing; corrected for the number of conditions by Holm's method.",
    )  # fmt: skip
    return {"abx": {one: found | {"p": p} for (one, found), p in zip(each.items(), corrected, strict=True)}}, (table,)


def _preferences(key: Key, answers: Sequence[Answer]) -> tuple[dict[str, Any], tuple[Table, ...]]:
    from scipy.stats import binomtest

    wins = np.zeros((len(key.conditions),) * 2)
    for answer in answers:
        trial = key.trial(answer.trial)
        assert trial is not None
        places = {one.id: key.conditions.index(one.condition) for one in trial.stimuli}
        winner = max(answer.ratings, key=lambda one: answer.ratings[one])
        loser = min(answer.ratings, key=lambda one: answer.ratings[one])
        wins[places[winner], places[loser]] += 1
    strength = bradley_terry(wins)
    pairs = []
    for one, two in combinations(range(len(key.conditions)), 2):
        won, total = int(wins[one, two]), int(wins[one, two] + wins[two, one])
        p = float(binomtest(won, total, 0.5).pvalue) if total else 1.0
        pairs.append((key.conditions[one], key.conditions[two], won, total, p))
    corrected = holm([pair[-1] for pair in pairs])
    tables = (
        Table(
            "Preference: how often each is closer to the target than another (Bradley-Terry)",
            ("condition", "strength"),
            tuple((one, number(strength[k])) for k, one in enumerate(key.conditions)),
            note="Strengths add up to 1; of two conditions, the share of the first is its strength over the sum of both.",
        ),
        Table(
            "Pairs",
            ("", "first chosen", "answers", "p (binomial, Holm)"),
            tuple((f"{one} or {two}", str(won), str(total), f"{p:.2g}") for (one, two, won, total, _), p in zip(pairs, corrected, strict=True)),
        ),
    )  # fmt: skip
    result = {
        "strength": dict(zip(key.conditions, strength.tolist(), strict=True)),
        "pairs": [
            {"pair": [one, two], "first": won, "answers": total, "p": p}
            for (one, two, won, total, _), p in zip(pairs, corrected, strict=True)
        ],
    }
    return result, tables


def bradley_terry(wins: NDArray[np.float64], rounds: int = 500) -> NDArray[np.float64]:
    """Strengths that add up to 1, given how often each of the conditions won against each other [shape=(k, k)], by
    Hunter's MM iteration (2004); half a win either way for every pair, so that none is infinite.
    """
    counts = wins + 0.5 * (1 - np.eye(len(wins)))
    strength = np.full(len(wins), 1 / len(wins))
    games = counts + counts.T
    for _ in range(rounds):
        weight = games / (strength[:, None] + strength[None] + 1e-300)
        np.fill_diagonal(weight, 0)
        strength = counts.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
        strength /= strength.sum()
    return strength
