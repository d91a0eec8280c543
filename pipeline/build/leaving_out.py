"""Doing without the dry sounds of a folder that cannot be used, when asked to."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from timbre_data.pipeline.build.recipes import open_source
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.reader import open_if_there
from timbre_data.schemas.errors import UnusableSoundError
from timbre_data.schemas.recipe import Recipe


def without_unusable(recipe: Recipe, location: Location) -> tuple[Recipe, dict[str, str]]:
    """A recipe whose source leaves out the sounds that cannot be used, and those with the reason. All of them are
    decoded for that, unless the dataset has rows already: it keeps to what was left out then.

    Only for sources that have the setting `leave_out`; another recipe comes back as it is.
    """
    settings = SOURCES.load(recipe.source.name).settings
    if "leave_out" not in settings.model_fields:
        return recipe, {}
    given = tuple(recipe.source.settings.get("leave_out", ()))
    begun = open_if_there(location.address)
    if begun is not None and begun.recipe.source.name == recipe.source.name and begun.present().any():
        before = begun.recipe.source.settings.get("leave_out", ())
        unusable = {name: "" for name in before if name not in given}
    else:
        unusable = _unusable(open_source(recipe), recipe)
    if not unusable:
        return recipe, {}
    data = recipe.model_dump(mode="json")
    data["source"]["leave_out"] = sorted({*given, *unusable})
    return Recipe.model_validate(data), unusable


def _unusable(source: Any, recipe: Recipe) -> dict[str, str]:
    audio = recipe.audio

    def problem(index: int) -> str:
        try:
            source.render(index, audio.rate, audio.channels, audio.samples)
        except UnusableSoundError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(available_cores()) as pool:
        found = list(pool.map(problem, range(len(source.notes))))
    unusable = {note.identity: reason for note, reason in zip(source.notes, found, strict=True) if reason}
    return unusable | getattr(source, "problems", {})


def left_out_messages(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each sound that was left out."""
    return tuple(
        f"{name} is left out: {reason}" if reason else f"{name} was left out when the dataset was begun"
        for name, reason in left_out.items()
    )
