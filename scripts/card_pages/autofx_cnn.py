"""AutoFX, the CNN, as far as the machine allows."""

from __future__ import annotations

from pathlib import Path

from card_pages import STAND_IN, Card, Results, number, table
from card_pages.curves import draw_losses

INPUTS = {"power": "linear power (published)", "log_power": "log power", "log_mel": "log-mel, 128 bands"}

LARGEST = "mel-1600"
"""The training with the most rows, whose FiLM layer is shown."""


def page(results: Results) -> list[str]:
    """One line a run: its input, rows, and errors."""
    rows = []
    for run, kept in results.runs.items():
        found = results.metrics(run)
        if found["model"] != "autofx":
            continue
        settings = kept["settings"]
        rows.append(
            (
                INPUTS[settings["options"].get("spectrogram", "power")],
                f"3 x {settings['train_rows']}",
                str(found["parameters"]),
                number(found["true"]["mse"]),
                number(found["true"]["skill"]),
                number(found["published_convention"]["mse"]),
                number(found["sounds"]["median"]["model"]["mrstft_dhooghe"]),
                results.energy(run),
                f"{found['cost']['inference_ms']:.3g} ms",
            )
        )
    head = (
        "input",
        "training rows",
        "parameters",
        "MSE",
        "skill over the mean",
        "MSE, published convention",
        "MRSTFT of the re-rendered sound, as the report prints it",
        "energy",
        "inference, one core",
    )
    return [
        STAND_IN,
        table("AutoFX by note, test rows of 3 x 12,000", head, rows),
        "![Losses of every epoch](autofx-cnn-curves.png)",
        "**What the last FiLM layer does to each channel, for each class of effect** (the report's Figure C.2)",
        "![Gamma and beta of each channel for each class](autofx-cnn-film.png)",
    ]


def draw(results: Results, pages: Path) -> None:
    """The curves of the trainings."""
    runs = {
        f"{INPUTS[kept['settings']['options'].get('spectrogram', 'power')]}, 3 x {kept['settings']['train_rows']}": run
        for run, kept in results.runs.items()
        if results.metrics(run)["model"] == "autofx"
    }
    draw_losses(results, runs, "masked MSE", pages / "autofx-cnn-curves.png")


CARD = Card(
    title="AutoFX, the CNN",
    recipes=("autofx-cnn",),
    page=page,
    pictures={f"autofx-cnn-{LARGEST}/evaluation/film.png": "autofx-cnn-film.png"},
    draw=draw,
)
