"""The card of an exported dataset."""

from __future__ import annotations

import json

from timbre_data.pipeline.store.reader import Dataset


def card(data: Dataset, form: str) -> str:
    """The dataset's card: what it is, how it was made, what the columns mean."""
    recipe = data.recipe
    lines = [
        f"# {recipe.name} {data.version}",
        "",
        recipe.description or "Rendered by timbre-data.",
        "",
        f"- {data.n} sounds of {recipe.audio.seconds:g} s, {recipe.audio.rate} Hz, {recipe.audio.channels} channel(s); format: {form}",
        f"- licence {recipe.licence or 'not stated: ask whoever made the dataset'}; {recipe.citation}".rstrip("; "),
        f"- snapshot {data.snapshot}, seed {recipe.seed}, source of dry sound {recipe.source.name} (synthetic unless it plays recordings)",
        "- splits go by row, each with a patch of its own"
        + (f"; isolation of rows: {data.meta['isolation']}" if data.meta.get("isolation") else "")
        if recipe.chain.synth
        else "- splits go by dry sound: none is in two of them",
        "- `gain` is what the stored sound was multiplied with; `effect_db` is how much the effect changed (below -60 dB nobody hears it)",
        "",
        "| parameter | range | unit | scale |",
        "|---|---|---|---|",
        *(f"| {p.name} | {p.bounds[0]:g} to {p.bounds[1]:g} | {p.unit} | {p.kind} |" for p in data.space),
        "",
        "The recipe:",
        "",
        "```json",
        json.dumps(recipe.model_dump(mode="json"), indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)
