"""A dataset that rows of another come from, as it is described there."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from timbre_data.schemas.base import Frozen
from timbre_data.schemas.recipe import Recipe


class Origin(Frozen):
    """What is needed to check rows against the dataset that they were selected or merged from, and to render them
    again.
    """

    name: str = Field(description="name of the dataset")
    version: str = Field(description="its version")
    digest: str | None = Field(None, description="SHA-256 of its content")
    kind: str = Field(description="rendered or imported")
    recipe: Recipe = Field(description="its recipe")
    inventory: str | None = Field(None, description="digest of what its source offered")
    isolation: dict[str, Any] | None = Field(None, description="how rows of its synth were kept apart")
    provenance: dict[str, Any] = Field(description="code, packages and machine that made it")
    files: tuple[dict[str, str], ...] = Field((), description="files of its maker's own members, as data")
    parameters: tuple[str, ...] = Field(description="names of its parameters, in its order")
    steps: tuple[str, ...] = Field(description="names of the steps of its chain")
    extra_labels: tuple[str, ...] = Field((), description="label arrays that its source or importer brought")
    tags: tuple[str, ...] = Field((), description="names of its tags")
