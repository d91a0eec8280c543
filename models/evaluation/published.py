"""Published figures, as printed, each with what it was measured on and what it may stand beside.

A figure of D'Hooghe's Table C.2 puts the other effects' entries to zero and averages over all rows and all 15 columns
(as its published code does; the report does not say), so it is about a third of the true error: the constant 0.5
predictor scores an MSE of .0278 there. `relative` of the equaliser is the quotient of two printed losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from timbre_data.schemas.errors import UsageError

DHOOGHE = "D'Hooghe 2022"
PONS = "Pons et al. 2017"
MARTINEZ = "Martinez Ramirez & Reiss 2018"
SIVALINGAM = "Sivalingam et al."
ASSAYAG = "Assayag 2020"

COLUMNS = (
    "modulation.rate_hz",
    "modulation.depth",
    "modulation.centre_delay_ms",
    "modulation.feedback",
    "modulation.mix",
    "delay.delay_seconds",
    "delay.feedback",
    "delay.mix",
    "distortion.drive_db",
    "distortion.high_shelf_cutoff_hz",
    "distortion.high_shelf_gain_db",
    "distortion.high_shelf_q",
    "distortion.low_shelf_cutoff_hz",
    "distortion.low_shelf_gain_db",
    "distortion.low_shelf_q",
)
"""The columns of Table C.2: it lists the high shelf before the low one."""
MSE = {"AutoFX": 8.42e-3, "AutoFX + features": 6.97e-3, "163NC": 1.03e-2, "163C": 1.00e-2, "211C": 9.83e-3}
MAE: dict[str, tuple[float, ...]] = {
    "AutoFX": (.012, .032, .036, .031, .025, .011, .050, .024, .063, .054, .033, .079, .070, .030, .053),
    "AutoFX + features": (.0065, .026, .037, .028, .022, .014, .035, .019, .019, .044, .014, .074, .052, .024, .051),
    "163NC": (.025, .040, .050, .050, .036, .033, .046, .010, .018, .090, .031, .066, .045, .030, .068),
    "163C": (.024, .049, .046, .049, .027, .033, .039, .012, .0092, .080, .047, .072, .036, .032, .064),
    "211C": (.013, .021, .030, .015, .032, .021, .063, .020, .019, .098, .041, .11, .054, .030, .081),
}  # fmt: skip
"""Mean squared and mean absolute errors of Table C.2."""

IDMT_CLASSES = frozenset(
    (
        "dry",
        "feedback_delay",
        "slapback_delay",
        "reverb",
        "chorus",
        "flanger",
        "phaser",
        "tremolo",
        "vibrato",
        "distortion",
        "overdrive",
    )
)
"""The eleven classes of IDMT-SMT-Audio-Effects, by our names."""
IRMAS_CLASSES = frozenset(
    (
        "cello",
        "clarinet",
        "flute",
        "acoustic_guitar",
        "electric_guitar",
        "organ",
        "piano",
        "saxophone",
        "trumpet",
        "violin",
        "voice",
    )
)
"""The eleven classes of IRMAS, by our names."""
FOUR_CLASSES = frozenset(("piano", "drums", "flute", "other"))
"""The classes over which the instrument CNN's accuracy is printed."""
ELEVEN, SIX, INSTRUMENTS = "eleven effects", "six families of effects", "eleven instruments"
FOUR = "piano, drums, flute and other"
"""The tasks of classifiers that the papers have."""
FIFTEEN = "the 15 of modulation, delay and distortion"
"""The parameters of D'Hooghe's regressors."""


@dataclass(frozen=True)
class Result:
    """A row of a paper's table. `belongs` is what a run must be for it to stand beside it (see `run_facts.facts`);
    in what `mostly` says it may differ, but then that is said.
    """

    paper: str
    table: str
    row: str
    condition: str
    belongs: Mapping[str, str]
    values: Mapping[str, float]
    size: str | None = None
    mostly: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Paper, table and row."""
        return f"{self.paper}, {self.table}, {self.row}"

    def misplaced(self, facts: Mapping[str, Any]) -> str | None:
        """What is wrong with putting it beside a run of which these are the facts; None for nothing."""
        for key, value in self.belongs.items():
            if facts.get(key) != value:
                return f"{self.name} is of {key} {value}, this is {facts.get(key) or 'none that a paper has'}"
        return None

    def unlike(self, facts: Mapping[str, Any]) -> str:
        """How a run beside it differs in what may differ; nothing where it does not."""
        return "; ".join(
            f"{facts[key]} {key} instead of {value}"
            for key, value in self.mostly.items()
            if facts.get(key, value) != value
        )

    def said(self, facts: Mapping[str, Any]) -> str:
        """What it was measured on, and how a run beside it differs."""
        unlike = self.unlike(facts)
        return f"{self.condition}; here {unlike}" if unlike else self.condition

    def data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {"paper": self.paper, "table": self.table, "row": self.row, "condition": self.condition, "values": dict(self.values)}  # fmt: skip


OWN = "three effects on recorded guitar notes of IDMT-SMT-Audio-Effects; in its published code split by row, on the set that stopped training"
GUITAR = "the monophonic guitar of IDMT-SMT-Audio-Effects"
ALL_OF_IT = "all of IDMT-SMT-Audio-Effects"
GPU = "trained on a GeForce GTX 1080 Ti, predicted on an Intel i7"
SONGS = "the testing part of IRMAS, recorded songs"
CLIPS = "MagnaTagATune, 50 tags of recorded clips"


def more_is_better(key: str) -> bool:
    """Whether a value of that name is a score; all others are errors, losses and costs."""
    return key.endswith(("accuracy", "roc_auc", "precision", "recall", "f1"))


def _parameters() -> Iterable[Result]:
    for name, mse in MSE.items():
        values = {"mse": mse} | dict(zip(COLUMNS, MAE[name], strict=True))
        yield Result(DHOOGHE, "Table C.2", name, OWN, {"network": name, "parameters": FIFTEEN}, values)


def _classifiers() -> Iterable[Result]:
    baselines = {
        "knn": ("k-NN", (0.671, 0.003, 3.6, 21.6), (0.627, 0.007, 9.5, 57.8)),
        "svm": ("SVM", (0.917, 6.4, 0.32, 6.9), (0.921, 75.0, 2.5, 20.2)),
        "mlp": ("MLP", (0.896, 12.0, 0.074, 0.429), (0.907, 93.0, 0.087, 0.434)),
    }
    keys = ("accuracy", "fit_seconds", "inference_ms", "megabytes")
    for member, (row, mono, full) in baselines.items():
        about = {"network": member, "task": ELEVEN}
        yield Result(DHOOGHE, "Table 4.1", f"{row}, guitar mono", GUITAR, about, dict(zip(keys, mono, strict=True)))
        yield Result(DHOOGHE, "Table 4.1", f"{row}, full set", ALL_OF_IT, about, dict(zip(keys, full, strict=True)))
    for task, place, value in ((ELEVEN, "abstract", 0.95), (SIX, "Section 4.3", 0.97)):
        about = {"network": "class_mlp", "task": task}
        yield Result(DHOOGHE, place, f"{task}, up to", GUITAR, about, {"accuracy": value})
    three = "tested on sounds of three effects of pedalboard"
    learned = f"learned from {GUITAR}, {three}"
    for task, figure, value in ((ELEVEN, "Figure 5.5", 0.201), (SIX, "Figure 5.6", 0.368)):
        about = {"network": "class_mlp", "task": task}
        yield Result(
            DHOOGHE,
            figure,
            f"{task}, on other sounds",
            learned,
            about,
            {"carried_accuracy": value},
            mostly={"classes": "3"},
        )
    both = f"learned from both, {three}"
    yield Result(
        DHOOGHE,
        "Figure 5.7",
        f"{SIX}, learned from both",
        both,
        about,
        {"both_accuracy": 0.967},
        mostly={"classes": "3"},
    )


def _costs() -> Iterable[Result]:
    # seconds, Wh, MB, ms; the two perceptrons of Table 5.1 are those with conditioning
    regressors = {
        "AutoFX": ("AutoFX", (6000, 560, 44.1, 21.4), "3.7M"),
        "163C": ("MLP-163", (1140, 64.9, 0.852, 0.18), "58.9k"),
        "211C": ("MLP-211", (720, 40.1, 0.911, 0.18), "63.7k"),
    }
    keys = ("training_seconds", "watt_hours", "megabytes", "inference_ms")
    for network, (row, cost, size) in regressors.items():
        values = dict(zip(keys, cost, strict=True))
        about = {"network": network, "parameters": FIFTEEN}
        yield Result(DHOOGHE, "Table 5.1", row, GPU, about, values, size=size)
    classifiers = {
        ELEVEN: (("Complete GM", 120, 5.2), ("Complete Full", 255, 13)),
        SIX: (("Simplified GM", 96, 3.8), ("Simplified Full", 208, 10)),
    }
    for task, rows in classifiers.items():
        about = {"network": "class_mlp", "task": task}
        for row, seconds, watt_hours in rows:
            spent = {"training_seconds": seconds, "watt_hours": watt_hours}
            yield Result(DHOOGHE, "Table 4.3", row, GPU, about, spent)


def _timbre() -> Iterable[Result]:
    networks = {"jingju_proposed": "Proposed", "jingju_small_rectangular": "Small-rectangular", "jingju_gmm": "GMMs", "jingju_mlp": "MLP"}  # fmt: skip
    accuracies = {"dan": (0.484, 0.374, 0.290, 0.284), "laosheng": (0.432, 0.359, 0.322, 0.282)}
    for role, values in accuracies.items():
        for (network, row), value in zip(networks.items(), values, strict=True):
            about = {"network": network, "role": role}
            yield Result(PONS, "Table I", f"{row}, {role}", f"recorded jingju a cappella, {role}, 32 phonemes", about, {"accuracy": value}, mostly={"classes": "32"})  # fmt: skip
    predominant = {
        "irmas_svm": ("Bosch et al.", (0.504, 0.501, 0.503, 0.41, 0.455, 0.432)),
        "irmas_han": ("Han et al.", (0.655, 0.557, 0.602, 0.541, 0.508, 0.503)),
        "irmas_single": ("Single-layer", (0.611, 0.516, 0.559, 0.523, 0.480, 0.484)),
        "irmas_multi": ("Multi-layer", (0.650, 0.538, 0.589, 0.550, 0.525, 0.516)),
    }
    keys = [f"{average}_{score}" for average in ("micro", "macro") for score in ("precision", "recall", "f1")]
    for network, (row, scores) in predominant.items():
        about = {"network": network, "task": INSTRUMENTS}
        yield Result(PONS, "Table II", row, SONGS, about, dict(zip(keys, scores, strict=True)))
    areas = {
        "mtt_proposed": ("Proposed", 0.889),
        "mtt_proposed_x2": ("Proposed x2", 0.893),
        "mtt_proposed_x4": ("Proposed x4", 0.887),
        "mtt_dieleman": ("Dieleman et al.", 0.881),
        "mtt_small_rectangular": ("Small-rectangular", 0.865),
        "choi_fcn4": ("Choi et al.", 0.894),
    }
    for network, (row, value) in areas.items():
        yield Result(PONS, "Table III", row, CLIPS, {"network": network}, {"roc_auc": value}, mostly={"classes": "50"})
    about = {"network": "instrument_cnn", "task": FOUR}
    condition = "excerpts of IRMAS in four classes, a stratified split of 80 to 20"
    yield Result(SIVALINGAM, "results", "accuracy", condition, about, {"accuracy": 0.7847})


def _equalisers() -> Iterable[Result]:
    losses = {
        "shelving": (0.021845, 0.007764, 0.002474, 0.032083),
        "peaking": (0.022038, 0.007847, 0.002521, 0.032406),
        "low-pass": (0.025365, 0.005345, 0.002710, 0.033420),
        "high-pass": (0.021463, 0.000951, 0.001293, 0.023708),
    }
    for kind, values in losses.items():
        figures = dict(zip(("kl", "mse", "mae", "loss"), values, strict=True))
        figures["reconstruction"] = 0.104  # printed once, before any target is learned
        if kind == "shelving":  # the text gives it for the shelf alone
            figures |= {"input": 1.21, "relative": 0.032083 / 1.21}
        about = {"network": "eq_autoencoder", "transformation": kind}
        yield Result(MARTINEZ, "Table 2", kind, "held-out notes of a sampled piano", about, figures)


def _inverse() -> Iterable[Result]:
    whole = {"network": "inverse_synth", "knobs": "12", "sounds": "10000"}
    few = {"network": "inverse_synth", "knobs": "12", "sounds": "500", "optimizer": "adadelta"}
    tuned = few | {"rho": "0.45", "weight_decay": "0.0005"}
    bins = {"bins": "5001"}
    losses = (
        ("Figure 12", "AdaDelta", few, "final_loss", "final loss; rho and decay are not printed", 0.0842),
        (
            "Figure 13a",
            "4 layers of 800",
            few,
            "validation_loss",
            "least validation loss, mean of three; rho and decay are not printed",
            0.1345,
        ),
        (
            "Figure 13b",
            "rho 0.45, weight decay 5e-4",
            tuned,
            "validation_loss",
            "least validation loss, mean of three",
            0.1219,
        ),
    )
    for figure, row, about, key, what, value in losses:
        yield Result(ASSAYAG, figure, row, f"500 sounds of Monark, {what}", about, {key: value}, mostly=bins)
    condition = "12 parameters of Monark, 10,000 sounds"
    yield Result(ASSAYAG, "Figure 15", "best of 100 sounds", condition, whole, {"psd_mse": 0.0112}, mostly=bins)


RESULTS: tuple[Result, ...] = (
    *_parameters(),
    *_classifiers(),
    *_costs(),
    *_timbre(),
    *_equalisers(),
    *_inverse(),
)


def beside(about: Mapping[str, str], *keys: str) -> tuple[Result, ...]:
    """The published results that belong beside a run of these facts and have one of these values (all, if none are
    named).
    """
    return tuple(one for one in RESULTS if not one.misplaced(about) and (not keys or one.values.keys() & set(keys)))


def named(name: str) -> Result:
    """The result of this name. Raises `UsageError`."""
    for one in RESULTS:
        if one.name == name:
            return one
    raise UsageError(f"there is no published result {name}.")
