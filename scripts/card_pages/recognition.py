"""Which effect is it? Classifiers by cross-validation."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results


def page(results: Results) -> list[str]:
    """The tables of both comparisons."""
    parts = [STAND_IN, "![Confusion of the PyTorch MLP](recognition-confusion.png)"]
    for target, title in (("effect", "Eleven effects"), ("family", "Six families")):
        text = results.texts.get(f"recognition-{target}/tables.md")
        parts += [f"## {title}", text] if text else []
    return parts


CARD = Card(
    title="Which effect is it?",
    recipes=("recognition",),
    texts=("recognition-*/tables.md",),
    page=page,
    pictures={"recognition-effect/confusion-class-mlp.png": "recognition-confusion.png"},
)
