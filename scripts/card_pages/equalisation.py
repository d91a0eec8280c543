"""The end-to-end equaliser on its four targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from card_pages import Card, Results, better, number, table
from timbre_data.models.evaluation.published import MARTINEZ

PAPER = {"shelving": "shelving", "peaking": "peaking", "lowpass": "low-pass", "highpass": "high-pass"}
KEYS = ("kl", "mse", "mae", "loss")
WHERE = "50 Hz to 6 kHz, where the input has energy and the target passes more than -20 dB"


def losses_beside(results: Results, recipe: str) -> list[tuple[str, ...]]:
    """Each part of the loss of each target beside the paper's, better or worse."""
    rows = []
    for name, kind in PAPER.items():
        run = f"{recipe}-{name}"
        found = results.metrics(run)
        if not found:
            continue
        theirs = results.published(run, f"{MARTINEZ}, Table 2, {kind}")
        cells = [
            cell
            for key in KEYS
            for cell in (
                number(found["losses"][key]),
                number(theirs.values[key]),
                better(found["losses"][key], theirs, key),
            )
        ]
        rows.append(
            (
                name,
                *cells,
                number(found["identity"]["loss"]),
                number(theirs.values["input"]) if "input" in theirs.values else "-",
            )
        )
    return rows


HEAD = (
    "target",
    *(cell for key in ("KL", "MSE", "MAE", "sum") for cell in (key, "paper", "")),
    "loss of the input",
    "paper",
)


def responses(results: Results, runs: Sequence[str], title: str) -> str:
    """How far each learned response is from its target's."""
    rows = [
        (
            run.rpartition("-")[2],
            one,
            *(f"{figures[key]:.2f} dB" for key in ("mean_db_above_-20", "largest_db_above_-20")),
        )
        for run in runs
        for one, figures in results.metrics(run).get("response", {}).items()
    ]
    return table(title, ("run", "measured with", "mean difference", "largest"), rows)


def pictures(recipe: str, names: Iterable[str], shown: Sequence[str]) -> dict[str, str]:
    """The response of each run of a recipe, and all that was drawn of those that are `shown`."""
    return {
        f"{recipe}-{name}/evaluation/{picture}.png": f"eq-{name}-{picture}.png"
        for name in names
        for picture in ("response", "note", "filters", "settings")
        if picture == "response" or name in shown
    }


def page(results: Results) -> list[str]:
    """Losses and responses."""
    four = {name: run for name in PAPER if results.metrics(run := f"equalisation-{name}")}
    parts = [
        table(
            f"Losses over held-out notes (pitch class B), each beside the same target of {MARTINEZ}, Table 2",
            HEAD,
            losses_beside(results, "equalisation"),
            note="The paper's are on held-out notes of a sampled piano.",
        ),
        responses(results, list(four.values()), f"Learned response against the target's, {WHERE}"),
        *(f"![Response of {name}](eq-{name}-response.png)" for name in four),
        *(f"![Input, target and output of a held-out note, {name}](eq-{name}-note.png)" for name in four),
        "![The shelf's filters, given and learned, and what they make of a frame](eq-shelving-filters.png)",
    ]
    speed = sorted(results.metrics(run)["real_time"] for run in four.values())
    rows = [
        (
            name,
            number(results.metrics(run)["first_stage"]["loss"]),
            results.paper(run, f"{MARTINEZ}, Table 2, {PAPER[name]}", "reconstruction"),
            results.course(run),
            results.energy(run),
        )
        for name, run in four.items()
    ]
    head = ("target", "loss of the sound given back after the first stage", "paper", "training, one core", "energy")
    parts.append(table("The first stage, and what training took", head, rows))
    return [*parts, f"Processing on one core: {speed[0]:.2f} to {speed[-1]:.2f} x real time."]


CARD = Card(
    title="End-to-end equalisation",
    recipes=("equalisation",),
    page=page,
    pictures=pictures("equalisation", PAPER, ("shelving",))
    | {f"equalisation-{name}/evaluation/note.png": f"eq-{name}-note.png" for name in PAPER},
)
