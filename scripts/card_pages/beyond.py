"""Beyond the AutoFX report: chains, more effects."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results

TITLES = {"chains": "Two effects in series", "more-effects": "More effects"}


def page(results: Results) -> list[str]:
    """The tables of each evaluation."""
    parts = [STAND_IN]
    for recipe, title in TITLES.items():
        tables = [text for path, text in results.texts.items() if path.startswith(f"{recipe}-")]
        parts += [f"## {title}", f"`timbre-data run {recipe}`", *tables] if tables else []
    return parts


CARD = Card(
    title="Beyond the AutoFX report",
    recipes=tuple(TITLES),
    texts=("chains-*/evaluation/tables.md", "more-effects-*/evaluation/tables.md"),
    page=page,
)
