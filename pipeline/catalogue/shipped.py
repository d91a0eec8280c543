"""YAML files that come with the package: recipes, synth profiles, label tables, settings of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from timbre_data.schemas.errors import NotFoundError, RecipeError

FILES = ("recipe", "profile", "table", "training")
"""Kinds whose members are YAML files."""


def shipped(kind: str = "recipe") -> dict[str, Path]:
    """Files that come with the package, by name: those of a kind, "recipe", "profile" (of an external synth), "table"
    (of labels) or "training" (settings of one).
    """
    folder = Path(__file__).resolve().parents[2] / "datasets" / f"{kind}s"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def summary(kind: str, name: str) -> str:
    """The summary of a shipped file: its description, or the first line of its head."""
    text = shipped(kind)[name].read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    if first.startswith("#"):
        return first.removeprefix("#").strip()
    data = yaml.safe_load(text)
    return str(data.get("description", "")).strip()


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises `RecipeError` for what is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), "...", f"not YAML ({' '.join(str(error).split())})") from None


def read_table(file: str | Path) -> dict[str, list[str]]:
    """Read a table of labels, by file or the name of a shipped one: each class with the labels that it stands for.
    Raises `NotFoundError` or `RecipeError`.
    """
    path = shipped("table").get(str(file), Path(file))
    if not path.is_file():
        raise NotFoundError(f"there is no table {file}. Give a YAML file, or one of: {', '.join(shipped('table'))}.")
    data = read_yaml(path)
    if not isinstance(data, dict) or not all(isinstance(labels, list) for labels in data.values()):
        raise RecipeError(str(path), data, "a table is a mapping of classes to lists of labels")
    return {str(name): [str(label) for label in labels] for name, labels in data.items()}
