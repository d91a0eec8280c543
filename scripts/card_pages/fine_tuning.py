"""Learning from the sound: regressors fine-tuned through the real effect."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results


def page(results: Results) -> list[str]:
    """The tables of each study."""
    return [STAND_IN, *results.texts.values()]


CARD = Card(
    title="Learning from the sound",
    recipes=("fine-tuning",),
    texts=("fine-tuning-*/spectral-*.md",),
    page=page,
)
