"""The history of a dataset: commits, tags, a summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from timbre_data.pipeline.store.columns import ATTEMPT, DRY_NOTE, SPLITS
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.origins import ORIGINS, origin_rows
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import BRANCH, open_repository
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import UsageError

MIN_GARBAGE_HOURS, MAX_GARBAGE_HOURS = 1.0, 876_000.0


def log(location: Location) -> list[dict[str, Any]]:
    """Commits, newest first: snapshot, time, message, tags."""
    repo = open_repository(location)
    tags: dict[str, list[str]] = {}
    for tag in sorted(repo.list_tags()):
        tags.setdefault(str(repo.lookup_tag(tag)), []).append(tag)
    return [
        {
            "snapshot": info.id,
            "time": info.written_at.strftime("%Y-%m-%d %H:%M:%S"),
            "message": info.message,
            "tags": tags.get(info.id, []),
        }
        for info in repo.ancestry(branch=BRANCH)
    ]


def tag(location: Location, name: str) -> str:
    """Name the newest snapshot for good. Raises `UsageError` for a name that is taken or not allowed."""
    if not name or "/" in name or "@" in name:
        raise UsageError(f"'{name}' cannot be a tag: it must not be empty or contain '/' or '@'.")
    with Writer(location) as writer:
        if name in writer.tags:
            raise UsageError(f"tag '{name}' is taken, and tags never move: choose another.")
        writer.tag(name)
        return writer.snapshot


def collect_garbage(location: Location, older_than_hours: float) -> dict[str, int]:
    """Delete files that no commit refers to: what killed builds left. Commits and tags stay, all of them.

    Held off from writers by the lock, and files younger than `older_than_hours` stay, because somebody beyond the
    lock's reach (another machine, a cluster's worker) may be about to commit them. Raises `UsageError` for less than an
    hour.
    """
    if not older_than_hours <= MAX_GARBAGE_HOURS:
        raise UsageError(f"--older-than {older_than_hours:g} is no number of hours up to {MAX_GARBAGE_HOURS:g}.")
    if older_than_hours < MIN_GARBAGE_HOURS:
        raise UsageError(
            f"--older-than {older_than_hours:g} is too young: {MIN_GARBAGE_HOURS:g} hour or more, or a running build could lose its work."
        )
    with Writer(location) as writer:
        return writer.collect_garbage(datetime.now(UTC) - timedelta(hours=older_than_hours))


def summary(data: Dataset) -> dict[str, Any]:
    """Summarize a dataset as plain data."""
    usable, present = data.usable(), int(data.present().sum())
    split = data.split()[usable]
    return {
        "name": data.name,
        "address": data.location.address,
        "version": data.version,
        "snapshot": data.snapshot,
        "digest": data.digest(),
        "made": data.made(),
        "rows": data.recipe.n,
        "present": present,
        "failed": present - len(usable),
        "redrawn": int((data.read(ATTEMPT) > 0).sum()),
        "dry_sounds": int(data.array(DRY_NOTE).shape[0]),
        "splits": {name: int((split == i).sum()) for i, name in enumerate(SPLITS)},
        "features": {
            name: {"shape": feature_set["shape"], "settings": feature_set["settings"]}
            for name, feature_set in data.feature_sets().items()
        },
        "parameters": [parameter.summary() for parameter in data.space],
        "recipe": data.recipe.model_dump(mode="json"),
        "provenance": data.meta["provenance"],
        **({"isolation": data.meta["isolation"]} if data.meta.get("isolation") else {}),
        **({"derived": data.meta["derived"], "origins": origin_rows(data)} if data.meta.get(ORIGINS) else {}),
    }
