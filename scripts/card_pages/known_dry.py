"""Instruments that were never heard, with the dry sound known."""

from __future__ import annotations

from card_pages import Card
from card_pages.held_out import page_of_runs

CARD = Card(
    title="Instruments never heard, with the dry sound known",
    recipes=("known-dry",),
    page=page_of_runs,
    seeds="other work beside it, one seed",
)
