"""The base of every model in the grammar."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, and strict about names: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
