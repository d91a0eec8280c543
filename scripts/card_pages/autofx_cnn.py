"""AutoFX, the CNN, as far as the machine allows."""

from __future__ import annotations

from pathlib import Path

from card_pages import STAND_IN, Card, Results, number, table
from card_pages.curves import draw_losses

INPUTS = {"power": "linear power (published)", "log_power": "log power", "log_mel": "log-mel, 128 bands"}

FILMS = ("mel-400", "mel-1600")
"""Trainings whose FiLM layer is shown: the last of those that there are."""


def _trainings(results: Results) -> dict[str, tuple[str, str]]:
    """Input and training rows of each of the CNN's runs."""
    settings = {run: kept["settings"] for run, kept in results.runs.items()}
    return {
        run: (
            INPUTS[one["options"].get("spectrogram", "power")] + (", and 48 features" if one["features"] else ""),
            f"3 x {one['train_rows']}",
        )
        for run, one in settings.items()
        if results.metrics(run)["model"] == "autofx"
    }


def page(results: Results) -> list[str]:
    """One line a run: its input, rows, and errors."""
    rows = []
    for run, said in _trainings(results).items():
        found = results.metrics(run)
        rows.append(
            (
                *said,
                str(found["parameters"]),
                number(found["true"]["mse"]),
                number(found["true"]["skill"]),
                number(found["published_convention"]["mse"]),
                number(found["sounds"]["median"]["model"]["mrstft_dhooghe"]),
                results.energy(run),
                f"{found['cost']['inference_ms']:.3g} ms",
            )
        )
    films = [
        f"**What the last FiLM layer of `{run}` does to each channel, for each class of effect** (the report's Figure C.2)\n\n![Gamma and beta of each channel for each class](autofx-cnn-film.png)"
        for run in (f"autofx-cnn-{name}" for name in FILMS)
        if run in results.runs
    ]
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
        *films[-1:],
    ]


def draw(results: Results, pages: Path) -> None:
    """The curves of the trainings."""
    runs = {", ".join(said): run for run, said in _trainings(results).items()}
    draw_losses(results, runs, "masked MSE", pages / "autofx-cnn-curves.png")


CARD = Card(
    title="AutoFX, the CNN",
    recipes=("autofx-cnn",),
    page=page,
    pictures={f"autofx-cnn-{name}/evaluation/film.png": "autofx-cnn-film.png" for name in FILMS},
    draw=draw,
)
