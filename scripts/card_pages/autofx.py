"""The AutoFX report's perceptrons at its dataset size."""

from __future__ import annotations

import numpy as np

from card_pages import Card, Results, better, number, table
from card_pages.several_seeds import by_seed, difference
from timbre_data.models.evaluation.published import COLUMNS, DHOOGHE

REGRESSORS = ("163NC", "163C", "211C")
FIVE = "5 layers"


def page(results: Results) -> list[str]:
    """Errors in both conventions and by both divisions, each parameter beside its own row, classes, sounds, cost."""
    rows = [
        (
            name,
            str(results.metrics(f"autofx-{name}")["parameters"]),
            *(
                number(results.metrics(f"autofx-{name}{split}")["published_convention"]["mse"])
                for split in ("-row", "")
            ),
            results.paper(f"autofx-{name}-row", f"{DHOOGHE}, Table C.2, {name}", "mse"),
        )
        for name in REGRESSORS
    ]
    means = [
        number(results.metrics(f"autofx-163NC{split}")["mean_predictor"]["published_convention_mse"])
        for split in ("-row", "")
    ]
    rows.append(("mean predictor", "-", *means, "-"))
    return [
        "Three effects x 37,440 rows, dry notes from the embedded plucked string: a **synthetic stand-in** for the recorded guitar notes that the report used. "
        "Figures stand beside the report's to show that the system does what it should; they are not from the same sounds.",
        table(
            "MSE in the published convention (foreign entries at zero, mean over all rows and 15 columns)",
            ("network", "parameters", "by row, as in the report", "by note", f"{DHOOGHE}, Table C.2, the same network"),
            rows,
        ),
        "The report split at random over rows and reported the set that stopped training. Here training stops on one set and another is reported, in both columns.",
        _truly(results),
        _each(results),
        "![Predicted against true](autofx-parameters.png)",
        _sounds(results),
        "![Distances](autofx-sounds.png)",
        _classes(results),
        "![Confusion with dry](autofx-confusion.png)",
        *_layers(results),
        _cost(results),
    ]


def _truly(results: Results) -> str:
    keys = ("mse", "mae", "skill", "mae_identifiable")
    rows = [
        (
            f"{name}, by {'row' if suffix else 'note'}",
            *(number(results.metrics(f"autofx-{name}{suffix}")["true"][key]) for key in keys),
        )
        for name in REGRESSORS
        for suffix in ("-row", "")
    ]
    return table(
        "True errors over each row's own parameters (normalised); skill is 1 - MSE / MSE of the mean predictor",
        ("network, split", "MSE", "MAE", "skill", "MAE, identifiable rows"),
        rows,
    )


def _each(results: Results) -> str:
    """Table C.2, parameter by parameter: each network by row beside the same network of the report."""
    rows, worse = [], []
    for name in COLUMNS:
        cells: list[str] = []
        for network in REGRESSORS:
            theirs = results.published(f"autofx-{network}-row", f"{DHOOGHE}, Table C.2, {network}")
            ours = results.metrics(f"autofx-{network}-row")["parameters_each"][name]["published_convention_mae"]
            verdict = better(ours, theirs, name)
            cells += [number(ours), number(theirs.values[name]), verdict]
            worse += [network] if verdict == "worse" else []
        note = results.metrics("autofx-211C")["parameters_each"][name]
        rows.append((name, *cells, number(note["published_convention_mae"]), number(note["skill"])))
    head = [cell for network in REGRESSORS for cell in (f"{network}, by row", "report", "")]
    counts = ", ".join(f"{network} on {worse.count(network)}" for network in REGRESSORS)
    return table(
        f"{DHOOGHE}, Table C.2, parameter by parameter: mean absolute error in the published convention",
        ("parameter", *head, "211C, by note", "its skill"),
        rows,
        note=f"Of the 15 parameters worse than the report's same network: {counts}.",
    )


def _sounds(results: Results) -> str:
    sounds = results.metrics("autofx-211C")["sounds"]
    rows = [
        (name, *(number(one[key]) for key in ("mrstft_dhooghe", "mrstft", "logmel_db", "psd_db")))
        for name, one in sounds["median"].items()
    ]
    return table(
        f"211C by note: predicted parameters put back through the effect, median distance over {sounds['rows']} test rows",
        (
            "parameters",
            "MRSTFT as the report prints it (phases, a quarter of overlap)",
            "MRSTFT",
            "log-mel dB",
            "PSD dB",
        ),
        rows,
    )


def _classes(results: Results) -> str:
    runs = (
        ("three effects, by note", "autofx-class"),
        ("three effects and dry, by note", "autofx-class-dry"),
        ("three effects, by row", "autofx-class-row"),
    )
    rows = [
        (
            label,
            number(results.metrics(run)["accuracy"]),
            number(results.metrics(run)["accuracy_audible"]),
            str(results.metrics(run)["rows"]),
        )
        for label, run in runs
    ]
    return table(
        "Class MLP (163-100-k), accuracy",
        ("classes, split", "all rows", "rows whose effect is audible (-60 dB or more)", "test rows"),
        rows,
        note="The report has no classifier of these classes alone.",
    )


def _layers(results: Results) -> list[str]:
    """One and ten hidden layers beside five, over the seeds that were run; the first of each has none in its name."""
    first = {"1 layer": "autofx-layers-1", FIVE: "autofx-163NC-row", "10 layers": "autofx-layers-10"}
    stems = first | {FIVE: "autofx-layers-5", "1 layer, activated": "autofx-layers-1-activated"}
    runs = {what: [first.get(what, ""), *(f"{stem}-{seed}" for seed in range(5))] for what, stem in stems.items()}
    runs = {what: kept for what, each in runs.items() if (kept := [run for run in each if run in results.runs])}
    if not first.keys() <= runs.keys():
        return []
    errors = {what: by_seed(results, each, "published_convention", "mse") for what, each in runs.items()}
    rows = []
    for what, each in runs.items():
        trainings = [results.training(run) for run in each]
        epochs, seconds = (np.mean([one[key] for one in trainings]) for key in ("epochs", "seconds"))
        rows.append(
            (
                what,
                str(results.metrics(each[0])["parameters"]),
                number(float(np.mean(list(errors[what].values())))),
                number(float(np.std(list(errors[what].values()), ddof=1))) if len(each) > 1 else "-",
                str(len(each)),
                number(float(np.mean([results.metrics(run)["true"]["skill"] for run in each]))),
                f"{epochs:.0f} epochs, {seconds / 60:.1f} min",
            )
        )
    parts = [
        table(
            "163NC by row with fewer and more hidden layers of 100: means over the seeds",
            ("hidden layers", "parameters", "MSE, published convention", "deviation", "seeds", "skill", "training"),
            rows,
            note=f"{DHOOGHE}, Section 5.4.1: the number hardly changes the errors, and five train a little faster than one or ten.",
        )
    ]
    for what in (one for one in errors if one != FIVE):
        parts += difference((what, FIVE), (errors[what], errors[FIVE]), less=True)
    return parts


def _cost(results: Results) -> str:
    """Energy, size and time of each network beside its own row of Table 5.1."""
    rows = []
    for run in (run for run in results.runs if not run.startswith("autofx-layers")):
        cost = results.metrics(run)["cost"]
        rows.append(
            (
                run,
                f"{cost['training_seconds']:.0f} s",
                f"{cost['epochs']}",
                results.energy(run),
                f"{cost['megabytes']:.3g} MB",
                f"{cost['inference_ms']:.2g} ms",
            )
        )
        printed = {"163C": "MLP-163", "211C": "MLP-211"}.get(run.removeprefix("autofx-").removesuffix("-row"))
        if printed:
            theirs = results.published(run, f"{DHOOGHE}, Table 5.1, {printed}")
            given = theirs.values
            rows.append(
                (
                    theirs.name,
                    f"{given['training_seconds']:.0f} s",
                    "-",
                    f"{given['watt_hours']:g} Wh",
                    f"{given['megabytes']:g} MB",
                    f"{given['inference_ms']:g} ms",
                )
            )
    return table(
        "Cost of each training, and of one prediction on one core",
        ("", "training", "epochs", "energy", "size", "inference"),
        rows,
        note="Energy by codecarbon, beside other work on the machine; the report's is of a GeForce GTX 1080 Ti, its inference of an Intel i7.",
    )


CARD = Card(
    title="The AutoFX MLPs at the report's dataset size",
    recipes=("autofx", "autofx-layers"),
    page=page,
    pictures={
        "autofx-211C/evaluation/parameters.png": "autofx-parameters.png",
        "autofx-211C/evaluation/sounds.png": "autofx-sounds.png",
        "autofx-class-dry/evaluation/confusion.png": "autofx-confusion.png",
    },
)
