"""What a run is, as far as it matters for which published figures may stand beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from timbre_data.models.evaluation.published import (
    COLUMNS,
    ELEVEN,
    FIFTEEN,
    FOUR,
    FOUR_CLASSES,
    IDMT_CLASSES,
    INSTRUMENTS,
    IRMAS_CLASSES,
    SIX,
)
from timbre_data.pipeline.catalogue.effect import FAMILIES
from timbre_data.schemas.recipe import Step

AS_PUBLISHED: dict[str, Any] = {
    "shapes": None,
    "summary": "average",
    "input": "mel",
    "latent": "dense",
    "warped_loss": False,
}
"""Options whose other values make another network, or another loss, than a paper's."""
_TAGGING: dict[str, Any] = {"dropout": 0.5, "norm": False}
NETWORKS: dict[str, dict[str, Any]] = {
    "inverse_synth": {"components": 0, "layers": 4, "neurons": 800},
    "mtt_proposed": _TAGGING,
    "mtt_proposed_x2": _TAGGING,
    "mtt_proposed_x4": _TAGGING,
}
"""The same of single networks, whose options have names that others use, too."""


def task(names: Iterable[str]) -> str | None:
    """The task of the papers that has these classes, if there is one."""
    known = {ELEVEN: IDMT_CLASSES, SIX: frozenset(FAMILIES), INSTRUMENTS: IRMAS_CLASSES, FOUR: FOUR_CLASSES}
    for title, classes in known.items():
        if frozenset(names) == classes:
            return title
    return None


def variant(model: str, features: Sequence[str], conditioning: int, options: Mapping[str, Any]) -> str | None:
    """The published regressor with these features, probabilities of so many classes and options, if there is one."""
    if model == "autofx":
        ours = {"spectrogram": "power", "n_fft": 1024, "hop_length": 256}
        same = conditioning == 6 and all(options.get(key, value) == value for key, value in ours.items())
        return {(): "AutoFX", ("autofx48",): "AutoFX + features"}.get(tuple(features)) if same else None
    theirs = {"hidden": 100, "layers": 5, "first_activation": False}
    if model != "regressor_mlp" or any(options.get(key, value) != value for key, value in theirs.items()):
        return None
    known = {(("autofx163",), 0): "163NC", (("autofx163",), 6): "163C", (("autofx163", "autofx48"), 6): "211C"}
    return known.get((tuple(sorted(features)), conditioning))


def facts(
    model: str,
    *,
    features: Sequence[str] = (),
    conditioning: int = 0,
    options: Mapping[str, Any] | None = None,
    classes: Collection[str] = (),
    groups: Iterable[str] = (),
    transformation: str | None = None,
    parameters: Iterable[str] = (),
    knobs: int | None = None,
    sounds: int | None = None,
    optimizer: str | None = None,
    optimizer_options: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """What a run is, as far as it matters for what may stand beside it: its network as the papers know it, the task of
    its classes, the role that sings in all its `groups`, what it transforms, which `parameters` of effects it tells,
    how many knobs of a synth, from how many sounds it learned, and how.
    """
    name = model.replace("-", "_")
    network: str | None = name
    if name in ("autofx", "regressor_mlp"):
        network = variant(name, features, conditioning, options or {})
    else:
        usual = AS_PUBLISHED | NETWORKS.get(name, {})
        if any(((options or {}).get(key, value) or None) != (value or None) for key, value in usual.items()):
            network = None  # zero, nothing and no are one
    roles = {next((role for role in ("dan", "laosheng") if one.startswith(role)), "") for one in groups}
    found = {
        "network": network,
        "task": task(classes),
        "classes": str(len(classes)) if classes else None,
        "role": roles.pop() if len(roles) == 1 else None,
        "transformation": transformation,
        "parameters": FIFTEEN if frozenset(parameters) == frozenset(COLUMNS) else None,
        "bins": None if knobs is None or not options or "bins" not in options else str(options["bins"]),
        "optimizer": optimizer,
        **{
            key: f"{(optimizer_options or {})[key]:g}"
            for key in ("rho", "weight_decay")
            if key in (optimizer_options or {})
        },
        "knobs": None if knobs is None else str(knobs),
        "sounds": None if sounds is None else str(sounds),
    }
    return {key: value for key, value in found.items() if value}


PAPERS_FILTERS = {
    "shelving": ("low_shelf", "iir", 2, {"gain_db": 10.0, "frequency_hz": 500.0, "q": 0.707}),
    "peaking": ("peaking", "iir", 2, {"gain_db": 10.0, "frequency_hz": 500.0, "q": 0.707}),
    "low-pass": ("lowpass", "fir", 50, {"frequency_hz": 500.0}),
    "high-pass": ("highpass", "fir", 50, {"frequency_hz": 500.0}),
}
"""The four targets of the end-to-end equaliser: kind, design, order and parameters of the filter."""


def transformation(steps: Sequence[Step]) -> str | None:
    """Which of the equaliser's four published targets a chain is, if one."""
    if len(steps) != 1 or steps[0].effect != "filter":
        return None
    settings, given = steps[0].settings, steps[0].parameters
    for name, (kind, design, order, parameters) in PAPERS_FILTERS.items():
        designed = (settings.get("kind"), settings.get("design", "iir"), settings.get("order", 2))
        if designed == (kind, design, order) and all(given.get(key) == value for key, value in parameters.items()):
            return name
    return None
