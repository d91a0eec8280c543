"""Inverse synthesis: networks of this project's own beside the published one."""

from __future__ import annotations

from card_pages import Card, Results, number, table

RUNS = {
    "inverse-works": "ours, `inverse-cnn`",
    "inverse-published": "published, `inverse-synth`",
    "inverse-works-amsynth": "ours, on captured amsynth",
}


def page(results: Results) -> list[str]:
    """What each finds again, then every knob."""
    rows = []
    for run, title in RUNS.items():
        found = results.metrics(run)
        if not found:
            continue
        knobs, sounds = found["knobs"], found["sounds"]["median"]
        spread = sorted(knob["output_spread"] for knob in knobs["each"].values() if not knob["positions"])
        heard = [f"{sounds[who][key]:.3g}" for key in ("logmel_db", "psd_mse") for who in ("model", "mean", "random")]
        rows.append(
            (
                title,
                f"{100 * knobs['positions_right']:.1f} %",
                number(knobs["skill"]),
                number(knobs["skill_audible"]),
                number(spread[len(spread) // 2]),
                *heard,
            )
        )
    head = (
        "network",
        "positions right",
        "skill of other knobs",
        "where audible",
        "spread of outputs (median)",
        "log-mel dB, model",
        "mean",
        "random",
        "PSD squares, model",
        "mean",
        "random",
    )
    parts = [table("What each finds again on held-out sounds", head, rows)]
    for run, title in RUNS.items():
        text = results.texts.get(f"{run}/evaluation/tables.md")
        if text:
            parts += [
                f"## {title[0].upper()}{title[1:]}",
                f"![Score of every knob on held-out rows, over all of them and where it is audible]({run}-knobs.png)",
                text.split("\n\n**True errors")[0].strip(),
            ]
    return parts


CARD = Card(
    title="Which knobs made this sound?",
    recipes=("inverse",),
    texts=("inverse-works*/evaluation/tables.md", "inverse-published/evaluation/tables.md"),
    page=page,
    pictures={f"{run}/evaluation/knobs.png": f"{run}-knobs.png" for run in RUNS},
)
