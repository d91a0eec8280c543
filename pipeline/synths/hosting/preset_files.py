"""Finding presets, placing them in a synth's parameter space, and reading them again when they are played."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat, StoredPreset
from timbre_data.pipeline.synths.banks import BANKS
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.presets import PresetEntry, Presets

MOST_PRESETS = 10_000
MOST_BYTES = 64_000_000
"""Of one file."""

Placed = Callable[[Sequence[Mapping[str, float]]], list[list[float | None]]]
"""The normalized values of stored presets, None where something is off."""


def found(presets: Presets, format_name: str, parameters: tuple[str, ...], places: Placed) -> Presets:
    """Presets with their entries: those in the file or below the folder `presets.path`. Raises `NotFoundError`,
    and `UsageError` naming the files that cannot be read.
    """
    form: PresetFormat = BANKS.load(format_name)
    root = Path(presets.path).expanduser()
    suffixes = ", ".join(form.suffixes)
    if not root.exists():
        raise NotFoundError(f"presets: there is no {root}. Give a file ({suffixes}), or a folder of such files.")
    files = [root] if root.is_file() else _files_below(root, form)
    if not files:
        raise NotFoundError(f"presets: {root} has no file with {suffixes}.")
    entries: list[PresetEntry] = []
    values: list[Mapping[str, float]] = []
    problems: dict[str, str] = {}
    for file in files:
        try:
            content = _content(file)
            stored = form.read(content)
        except (PresetError, OSError) as error:
            problems[str(file)] = getattr(error, "strerror", None) or str(error)
            continue
        digest = hashlib.sha256(content).hexdigest()
        below = "" if file == root else file.relative_to(root).as_posix()
        for number, preset in enumerate(stored):
            name = preset.name or file.relative_to(root.parent if file == root else root).with_suffix("").as_posix()
            entries.append(PresetEntry(name=name, file=below, number=number, digest=digest, places=()))
            values.append(preset.values)
    if problems:
        shown = "; ".join(f"{name}: {why}" for name, why in list(problems.items())[:5])
        raise UsageError(
            f"presets: {len(problems)} of {len(files)} files cannot be read ({shown}). Remove or repair them."
        )
    if len(entries) > MOST_PRESETS:
        raise UsageError(f"presets: {root} has {len(entries)} presets, the limit is {MOST_PRESETS}.")
    numbered = _distinct([entry.name for entry in entries])
    entries = [
        entry.model_copy(update={"name": name, "places": tuple(place)})
        for entry, name, place in zip(entries, numbered, places(values), strict=True)
    ]
    return presets.model_copy(update={"parameters": parameters, "entries": tuple(entries)})


def file_of(presets: Presets, entry: PresetEntry) -> Path:
    """The file of a preset."""
    root = Path(presets.path).expanduser()
    return root / entry.file if entry.file else root


def content_of(presets: Presets, entry: PresetEntry) -> bytes:
    """The bytes of a preset's file. Raises `UsageError` where they are not those that the dataset was made with."""
    file = file_of(presets, entry)
    try:
        content = _content(file)
    except (PresetError, OSError):
        content = b""
    if hashlib.sha256(content).hexdigest() != entry.digest:
        raise UsageError(
            f"presets: {file} is not there, or not what the recipe was read with: bring the presets back, or use another dataset name."
        )
    return content


def stored_of(presets: Presets, format_name: str) -> list[StoredPreset]:
    """All presets as they are stored. Raises `UsageError` as `content_of` does."""
    form: PresetFormat = BANKS.load(format_name)
    read: dict[str, list[StoredPreset]] = {}
    for entry in presets.entries:
        if entry.file not in read:
            read[entry.file] = form.read(content_of(presets, entry))
    return [read[entry.file][entry.number] for entry in presets.entries]


def _files_below(root: Path, form: PresetFormat) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in form.suffixes and path.is_file())


def _content(file: Path) -> bytes:
    if file.stat().st_size > MOST_BYTES:
        raise PresetError(f"it is larger than {MOST_BYTES // 10**6} MB")
    content = file.read_bytes()
    file.name.encode()  # a name that is not UTF-8 can stand in no dataset
    return content


def _distinct(names: list[str]) -> list[str]:
    """Names, numbered where they occur again."""
    seen: set[str] = set()
    out = []
    for name in names:
        unique, number = name, 1
        while unique in seen:
            number += 1
            unique = f"{name} ({number})"
        seen.add(unique)
        out.append(unique)
    return out
