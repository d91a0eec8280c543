"""Settings from sound: the networks of this project's own."""

from __future__ import annotations

from card_pages import Card, Results, number, table
from card_pages.held_out import RECORDED
from timbre_data.models.evaluation import published
from timbre_data.models.evaluation.tables import ranged

REGRESSOR, FLOW = "settings-from-sound-regressor", "settings-from-sound-knobs"
DISTANCES = ("mrstft", "mrstft_dhooghe", "logmel_db", "mss", "sot", "mfcc_dtw", "rms_envelope", "f0_cents")


def page(results: Results) -> list[str]:
    """The regressor of effects and the flow of synth knobs, as far as they are there."""
    parts = [
        "Effects: the report's three, 37,440 rows each, on the embedded plucked string (a **synthetic** stand-in for its recordings). "
        "Recordings: eighteen instruments of npm packages (`scripts/get-sounds recorded`), through the same effects."
    ]
    if results.metrics(REGRESSOR):
        parts += [_effects(results), _parameters(results), "![parameters](settings-from-sound-parameters.png)"]
    if results.metrics(FLOW):
        parts += [*_knobs(results), "![posterior](settings-from-sound-posterior.png)"]
    return parts


def _effects(results: Results) -> str:
    both = [results.metrics(REGRESSOR), results.metrics(REGRESSOR, RECORDED)]

    def line(title: str, value: object) -> tuple[str, ...]:
        return (title, *(value(one) if one else "-" for one in both))

    rows = [
        line("rows", lambda one: str(one["rows"])),
        line(
            "MSE, published convention",
            lambda one: ranged(one["published_convention"]["mse"], one["intervals"]["published_convention_mse"]),
        ),
        line("its floor", lambda one: number(one["floor"]["published_convention_mse"])),
        line("skill over the mean", lambda one: ranged(one["true"]["skill"], one["intervals"]["skill"])),
        line("mean skill, identifiable rows", lambda one: number(one["true"]["skill_identifiable"])),
        line("mean skill where heard", lambda one: number(one["audible"]["skill"])),
        line("effect recognised", lambda one: ranged(one["recognition"]["accuracy"], one["recognition"]["interval"])),
        *(
            line(
                f"re-rendered, {name}",
                lambda one, name=name: ranged(
                    one["sounds"]["median"]["model"][name], one["sounds"]["intervals"]["model"][name]
                ),
            )
            for name in DISTANCES
        ),
    ]
    theirs = ", ".join(f"{name} {number(value)}" for name, value in published.MSE.items())
    return table(
        f"regressor-cnn on three effects ({results.course(REGRESSOR)}): its own test split by note, and recorded instruments that it never heard",
        ("", "plucked string, test split", "recordings"),
        rows,
        note=f"In brackets 95 % intervals. No network of a paper; for scale the MSE of {published.DHOOGHE}, Table C.2, by row on its own recordings: {theirs}. One seed.",
    )


def _parameters(results: Results) -> str:
    own, recorded = results.metrics(REGRESSOR), results.metrics(REGRESSOR, RECORDED)
    rows = []
    for k, name in enumerate(published.COLUMNS):
        best = min(published.MAE, key=lambda one: published.MAE[one][k])
        ours, theirs = own["parameters_each"][name]["published_convention_mae"], published.MAE[best][k]
        heard = own["audible"]["each"][name]
        rows.append(
            (
                name,
                number(ours),
                f"{number(theirs)} ({best})",
                "better" if ours < theirs else "worse",
                number(own["parameters_each"][name]["skill_identifiable"]),
                number(heard["share"]),
                number(heard["skill"]),
                number(recorded["parameters_each"][name]["skill_identifiable"]) if recorded else "-",
            )
        )
    return table(
        f"Each parameter: MAE in the published convention beside the best of the five networks of {published.DHOOGHE}, Table C.2",
        (
            "parameter",
            "MAE",
            "best of the report",
            "",
            "skill, identifiable",
            "share heard",
            "skill where heard",
            "skill, identifiable, recordings",
        ),
        rows,
        note="Rows of other effects count as zero error, as in the report. The report's are by row, on recordings.",
    )


def _knobs(results: Results) -> list[str]:
    own = results.metrics(FLOW)
    sounds, posterior = own["sounds"], own["posterior"]
    rows = [
        (
            one,
            *(
                ranged(sounds["median"][one][name], sounds["intervals"][one][name])
                for name in ("logmel_db", "mrstft", "mss", "sot")
            ),
        )
        for one in sounds["median"]
    ]
    calibration = [
        (
            f"{level} % interval",
            ranged(posterior[f"coverage_{level}"], posterior[f"coverage_{level}_interval"]),
            number(posterior[f"tarp_coverage_{level}"]),
        )
        for level in (50, 90)
    ]
    return [
        table(
            f"inverse-flow on twelve knobs of a synth ({results.course(FLOW)}): re-rendered, median of {sounds['rows']} rows",
            ("parameters", "log-mel dB", "MRSTFT", "MSS", "SOT"),
            rows,
            note="In brackets 95 % intervals. Model: the point answer of the same network. One seed.",
        ),
        table(
            f"Its calibration, {posterior['draws']} draws of {posterior['rows']} rows",
            ("", "labels in it, knob by knob", "all knobs together (TARP)"),
            calibration,
            note=f"TARP against uniform: p = {number(posterior['tarp_p'])}.",
        ),
    ]


CARD = Card(
    title="Settings from sound",
    recipes=("settings-from-sound",),
    page=page,
    pictures={
        f"{REGRESSOR}/evaluation/parameters.png": "settings-from-sound-parameters.png",
        f"{FLOW}/evaluation/posterior.png": "settings-from-sound-posterior.png",
    },
)
