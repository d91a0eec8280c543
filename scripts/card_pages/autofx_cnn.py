"""AutoFX, the CNN, as far as the machine allows."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results, number, table

INPUTS = {"power": "linear power (published)", "log_power": "log power", "log_mel": "log-mel, 128 bands"}


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
    return [STAND_IN, table("AutoFX by note, test rows of 3 x 12,000", head, rows)]


CARD = Card(title="AutoFX, the CNN", recipes=("autofx-cnn",), page=page)
