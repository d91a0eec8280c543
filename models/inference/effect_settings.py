"""Which effects a prediction says a sound went through, with their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timbre_data.models.data.classes import class_of
from timbre_data.models.inference.report import Prediction, Setting
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.models.inference.predictor import Predictor


def effect_settings(predictor: Predictor, prediction: Prediction, effect: str | None) -> list[Setting]:
    """The effects to put a dry sound through, in order: see `Predictor.steps`."""
    if not prediction.parameters:
        return []
    trained = predictor.trained
    by_step: dict[tuple[str, str], Setting] = {}
    for (name, value), owner in zip(prediction.parameters.items(), trained.effects, strict=True):
        step, _, parameter = name.partition(".")
        setting = by_step.setdefault((step, owner), Setting(owner, {}, {}))
        setting.values[parameter] = value
        if name in prediction.texts:
            setting.texts[parameter] = prediction.texts[name]
    multi_label = (
        predictor.classified.always_multi_label
        if predictor.classifier
        else bool(trained.recognises) and trained.multi_label
    )
    if effect is not None:
        wanted = {effect.replace("-", "_")}
    elif multi_label:
        wanted = {name for name, p in prediction.probabilities.items() if p > 0.5}
    elif prediction.probabilities:
        wanted = {prediction.classes()[0]}
    else:
        whole_chain = len(by_step) == 1 or {step for step, _ in by_step} <= set(predictor.always)
        wanted = {owner for _, owner in by_step} if whole_chain else set()
    selected = [
        setting
        for (step, owner), setting in by_step.items()
        if wanted & {step, owner, class_of(owner), *predictor.classified.names_of(owner)}
    ]
    if not selected and wanted != {"dry"}:
        known = ", ".join(sorted({owner for _, owner in by_step})) or "none"
        raise UsageError(
            f"this run knows no parameters of {', '.join(sorted(wanted)) or 'one effect alone'}; it knows those of {known}: choose with --effect."
        )
    return selected[:1] if prediction.probabilities and not multi_label and effect is None else selected
