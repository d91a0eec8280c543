"""Learning from the sound: regressors fine-tuned through the real effect."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results


def page(results: Results) -> list[str]:
    """The tables of each study."""
    said = "In domain: test rows of the datasets that it learned from. Out of domain: clean electric guitar notes of a SoundFont, which were recorded, through the same effects. Distances (MRSTFT) are from the target or from the dry sound. Handed over: the loss on parameters gives way to the loss on the rendered sound, whose gradient through the effect is estimated by SPSA or by finite differences. Oracle: the true settings."
    return [STAND_IN, said, *results.texts.values()]


CARD = Card(
    title="Learning from the sound",
    recipes=("fine-tuning",),
    texts=("fine-tuning-*/spectral-*.md",),
    page=page,
)
