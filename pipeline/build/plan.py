"""The plan: which dry sound and which split each row has, before anything is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.recipes import open_source
from timbre_data.pipeline.build.splits import assign
from timbre_data.pipeline.build.varying import VariedSource
from timbre_data.pipeline.catalogue.seeding import Stage, generator, share
from timbre_data.pipeline.store.columns import CLIP, FRAMES, RESPONSE, SPLITS, TAGS, VARIATION
from timbre_data.pipeline.store.layout import frame_table, frames_of, tag_table
from timbre_data.schemas.errors import SourceError
from timbre_data.schemas.recipe import Recipe


def refuse_other_names(source: str, names: Iterable[str]) -> None:
    """Raise `SourceError` for names that are not UTF-8."""
    problems = {}
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            problems[name.encode("utf-8", "backslashreplace").decode()] = "its name is not UTF-8: rename it"
    if problems:
        raise SourceError(source, problems)


class Plan:
    """Everything about a recipe's rows that is known without rendering.

    Dry sounds are stored in a random order drawn from the seed; row i uses stored sound i mod m. So every sound is used
    equally often, the first rows of a small dataset are a fair sample of the source, and growing n moves nothing.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.chain = Chain(recipe.chain)

    @cached_property
    def source(self) -> Any:
        """The source of dry sound (`DrySource`), or of notes for a synth (`MidiSource`), opened when first needed.
        Raises `SourceError` for notes whose names are not UTF-8, which no dataset can hold.
        """
        source = open_source(self.recipe)
        refuse_other_names(self.recipe.source.name, (f"{note.identity}{note.group}" for note in source.notes))
        if self.recipe.vary is not None:
            return VariedSource(source, Chain(self.recipe.vary.chain), self.recipe.vary.copies, self.recipe.seed)
        return source

    @property
    def variation(self) -> list[dict[str, Any]]:
        """The parameters of what varies dry sounds; none where nothing does."""
        if self.recipe.vary is None:
            return []
        return [parameter.model_dump(mode="json") for parameter in Chain(self.recipe.vary.chain).space]

    @cached_property
    def inventory(self) -> str:
        """A digest of what the source offers, in order."""
        digest = hashlib.sha256()
        for note in self.source.notes:
            digest.update(f"{note.identity}\n{note.group}\n".encode())
        return digest.hexdigest()

    @cached_property
    def dry_order(self) -> NDArray[np.int64]:
        """Index in the source of each stored dry sound [shape=(m,)]. Of varied sounds one copy of each comes before the
        second of any.
        """
        copies = self.recipe.vary.copies if self.recipe.vary else 1
        each = len(self.source.notes) // copies
        first = generator(self.recipe.seed, Stage.DRY_ORDER).permutation(each)
        others = [
            k * each + generator(self.recipe.seed, Stage.DRY_ORDER, k).permutation(each) for k in range(1, copies)
        ]
        return np.concatenate([first, *others]) if others else first

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Names of all tags that the source's notes may have; none for most."""
        return tuple(getattr(self.source, "tags", ()))

    @cached_property
    def frame_classes(self) -> tuple[str, ...]:
        """Class names of frame labels; none for most sources."""
        return tuple(getattr(self.source, "frame_classes", ()))

    @cached_property
    def extra_labels(self) -> tuple[str, ...]:
        """Label arrays that only some sources give: tags, the clips that their sounds are pieces of, what is heard in
        each frame.
        """
        clips = any(note.clip for note in self.source.notes)
        there = {
            TAGS: bool(self.tags),
            CLIP: clips,
            FRAMES: bool(self.frame_classes),
            RESPONSE: self.chain.has_response,
            VARIATION: self.recipe.vary is not None,
        }
        return tuple(path for path, is_there in there.items() if is_there)

    def extra_columns(self, dry: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Those arrays for rows that use these stored dry sounds."""
        if not {TAGS, CLIP, FRAMES, VARIATION} & set(self.extra_labels):
            return {}
        notes = [self.source.notes[index] for index in self.dry_order[dry].tolist()]
        frames = frames_of(self.recipe.audio.seconds) if self.frame_classes else 0
        columns: dict[str, Callable[[], NDArray[Any]]] = {
            TAGS: lambda: tag_table([note.tags for note in notes], self.tags),
            CLIP: lambda: np.array([note.clip for note in notes], object),
            FRAMES: lambda: frame_table([note.segments for note in notes], self.frame_classes, frames),
            VARIATION: lambda: self.source.labels(self.dry_order[dry]),
        }
        return {path: make() for path, make in columns.items() if path in self.extra_labels}

    def dry_count(self, n: int) -> int:
        """The number of dry sounds that `n` rows need."""
        return min(n, len(self.source.notes))

    def dry_index(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of the stored dry sound of each row [shape=(n,)]."""
        return rows % len(self.source.notes)

    def group(self, dry: int) -> str:
        """The group of one stored dry sound, which a split keeps together."""
        note = self.source.notes[int(self.dry_order[dry])]
        return note.group or note.identity

    def split(self, dry: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Split of each dry sound: 0 train, 1 validation, 2 test. Where the source does not say, decided by its group's
        name, so it never moves.
        """
        shares = np.array([share(self.group(int(index)), self.recipe.split.seed) for index in dry])
        given = [self.source.notes[int(self.dry_order[index])].split for index in dry]
        return assign(shares, self.recipe.split, given)

    def warnings(self) -> list[str]:
        """Describe what a user should know before the rows are made: splits that come out empty, files left out."""
        messages = []
        skipped = getattr(self.source, "skipped", ())
        if skipped:
            shown = ", ".join(skipped[:3]) + (" ..." if len(skipped) > 3 else "")
            messages.append(f"{len(skipped)} files in formats that are not read are skipped: {shown}")
        count = self.dry_count(self.recipe.n)
        dry = np.arange(count)
        splits = self.row_splits(np.arange(self.recipe.n), dry) if self.chain.synth else self.split(dry)
        rule = self.recipe.split
        groups = len({self.group(index) for index in range(count)})
        for number, (name, share_) in enumerate(zip(SPLITS, (rule.train, rule.validation, rule.test), strict=True)):
            if share_ > 0 and not (splits == number).any():
                advice = (
                    "more rows"
                    if self.chain.synth
                    else "more notes, a smaller source.group, or another --set split.seed"
                )
                messages.append(
                    f"the {name} split is empty: {count} notes in {groups} groups all fall into the others; use {advice}"
                )
        return messages

    def row_splits(self, rows: NDArray[np.int64], dry: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Split of each row. With effects it is that of the dry sound; with a synth every row has a patch of its own,
        so it goes by row.
        """
        if self.chain.synth is None:
            return self.split(dry)
        shares = np.array([share(f"row {row}", self.recipe.split.seed) for row in rows.tolist()])
        return assign(shares, self.recipe.split)
