"""Reading synth profiles."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from timbre_data.pipeline.catalogue import shipped
from timbre_data.schemas.errors import NotFoundError, RecipeError
from timbre_data.schemas.profile import Profile


def profile_file(name: str) -> Path:
    """The file of a profile, given by its path or the name of a shipped one. Raises `NotFoundError`."""
    known = shipped.shipped("profile")
    path = known.get(name, Path(name).expanduser())
    if not path.is_file():
        raise NotFoundError(f"there is no synth profile {name}. Give a YAML file, or one of: {', '.join(known)}.")
    return path


def read_profile(name: str) -> Profile:
    """Read a profile by its file or the name of a shipped one. Raises `NotFoundError` or `RecipeError`."""
    path = profile_file(name)
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), "...", f"not YAML ({' '.join(str(error).split())})", "synth profile") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "profile"
        raise RecipeError(
            field, first["input"], first["msg"].removeprefix("Value error, "), f"synth profile {path.name}"
        ) from None
