"""The inverse synthesiser's thesis: optimisers, weight decay, components, and where the design breaks."""

from __future__ import annotations

from pathlib import Path

from card_pages import Card, Results, number, table
from card_pages.curves import draw_losses

PUBLISHED = "inverse-optimisers-decay"
"""The run whose settings are the thesis's own."""
CURVES = {
    "adadelta": "AdaDelta, rho 0.45",
    "sgd": "SGD, rate 0.01",
    "adagrad": "AdaGrad, rate 0.01",
    "decay": "AdaDelta, rho 0.45, weight decay 5e-4 (published)",
    "components": "the same, 64 principal components instead of 500 bins",
}
KNOBS = (
    "cut-off",
    "resonance",
    "waveform",
    "range",
    "tuning",
    "contour",
    "filter attack",
    "filter decay",
    "filter sustain",
    "attack",
    "decay",
)


def page(results: Results) -> list[str]:
    """Curves and outcomes of each optimiser, then the ladder."""
    parts = [
        "One oscillator of this project's subtractive synthesiser, C4: a **stand-in** for NI's Monark, which the thesis captured over MIDI. Spectrograms are SciPy's by its defaults, as there. "
        "The thesis trained on 10,000 sounds and chose its optimiser on 500."
    ]
    runs = [f"inverse-optimisers-{name}" for name in CURVES if f"inverse-optimisers-{name}" in results.runs]
    if runs:
        rows = []
        for run in runs:
            losses, found = results.training(run)["losses"], results.metrics(run)
            best = min(range(len(losses)), key=lambda k: losses[k][1])
            sounds = found["sounds"]["median"]
            rows.append(
                (
                    CURVES[run.removeprefix("inverse-optimisers-")],
                    number(losses[0][1]),
                    number(losses[-1][0]),
                    number(losses[-1][1]),
                    f"{number(losses[best][1])} ({best + 1})",
                    number(_spread(found)),
                    number(sounds["model"]["psd_mse"]),
                    number(sounds["mean"]["psd_mse"]),
                    results.course(run),
                    results.energy(run),
                )
            )
        head = (
            "optimiser",
            "validation loss after 1 epoch",
            "training loss, last",
            "validation loss, last",
            "best (epoch)",
            "spread of outputs (median)",
            "PSD squares of the answer",
            "of the mean",
            "training",
            "energy",
        )
        theirs = (
            results.published("inverse-optimisers-adadelta", "Assayag 2020, Figure 12, AdaDelta")
            if "inverse-optimisers-adadelta" in results.runs
            else None
        )
        constant = number(results.metrics(runs[0])["mean_predictor"]["mse"])
        note = f"Losses are mean squares of knobs in [0, 1]; the mean of each knob as the answer to every test sound costs {constant}. Spread: the deviation of a knob's outputs over the test sounds, divided by that of its labels, the median of the knobs. PSD squares: the thesis's distance of two sounds, median over the test sounds."
        if theirs:
            note += (
                f" {theirs.name}: {theirs.values['final_loss']:g} ({theirs.condition}; {theirs.mostly['bins']} bins)."
            )
        parts += [
            table("Three optimisers on 500 sounds, 40 epochs, 500 bins (Figures 12 and 14)", head, rows, note=note),
            "![Losses of each epoch](inverse-thesis-curves.png)",
        ]
    if PUBLISHED in runs and "examples" in (results.metrics(PUBLISHED).get("sounds") or {}):
        sounds = results.metrics(PUBLISHED)["sounds"]
        ends = [number(sounds["examples"][which]["psd_mse"]) for which in ("best", "worst")]
        parts += [
            f"**With weight decay, {sounds['rows']} test sounds played again (Figures 15 and 16; the thesis's are of 10,000 sounds): summed squares of the PSD's difference from {ends[0]} to {ends[1]}, median {number(sounds['median']['model']['psd_mse'])}.**",
            "![Best and worst test sound: spectrograms and power spectra](inverse-thesis-examples.png)",
            "![Distribution over the test sounds](inverse-thesis-distribution.png)",
        ]
    rungs = [k for k in range(1, 12) if f"inverse-ladder-{k}-knobs" in results.runs]
    if rungs:
        rows = []
        for k in rungs:
            found = results.metrics(f"inverse-ladder-{k}-knobs")
            knobs = found["knobs"]
            positions = knobs.get("positions_right")
            rows.append(
                (
                    str(k),
                    KNOBS[k - 1],
                    number(knobs["skill"]),
                    number(knobs.get("skill_audible")),
                    f"{100 * positions:.0f} %" if positions is not None else "-",
                    number(found["knobs"]["each"]["subtractive.cutoff"]["score"]),
                    number(_spread(found)),
                    results.course(f"inverse-ladder-{k}-knobs"),
                )
            )
        parts.append(
            table(
                "One oscillator and its cut-off, then a knob more at a time: 1,000 sounds each, 250 bins, 10 epochs",
                (
                    "knobs",
                    "the new one",
                    "mean skill of the knobs that turn",
                    "where audible",
                    "positions right",
                    "score of the cut-off",
                    "spread of outputs (median)",
                    "training",
                ),
                rows,
            )
        )
    return parts


def _spread(found: dict) -> float | None:
    spread = sorted(knob["output_spread"] for knob in found["knobs"]["each"].values() if not knob["positions"])
    return spread[len(spread) // 2] if spread else None


def draw(results: Results, pages: Path) -> None:
    """The curves of Figures 12 and 14."""
    runs = {name: f"inverse-optimisers-{name}" for name in CURVES if f"inverse-optimisers-{name}" in results.runs}
    draw_losses(results, runs, "MSE", pages / "inverse-thesis-curves.png")


CARD = Card(
    title="The inverse synthesiser's thesis",
    recipes=("inverse-optimisers", "inverse-ladder", "inverse-thesis"),
    page=page,
    draw=draw,
    pictures={
        f"{PUBLISHED}/evaluation/examples.png": "inverse-thesis-examples.png",
        f"{PUBLISHED}/evaluation/distribution.png": "inverse-thesis-distribution.png",
    },
)
