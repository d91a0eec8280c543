"""The folders are the registry: a module's name is its public name, and it exposes one object.

`names` lists without importing anything; `load` imports one module. Modules that begin with an underscore are helpers.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from timbre_data.schemas.errors import UnknownNameError

KINDS: dict[str, tuple[str, str]] = {
    "effect": ("timbre_data.pipeline.effects", "EFFECT"),
    "synth": ("timbre_data.pipeline.synths", "SYNTH"),
    "source": ("timbre_data.pipeline.sources", "SOURCE"),
    "importer": ("timbre_data.pipeline.importers", "IMPORTER"),
    "feature": ("timbre_data.pipeline.features", "FEATURES"),
    "baseline": ("timbre_data.models.baselines", "BASELINE"),
    "model": ("timbre_data.models.architectures", "MODEL"),
}


def kind_of(word: str) -> str:
    """Accept a kind in the singular or plural; raise `UnknownNameError` for anything else."""
    singular = word if word in KINDS else word.removesuffix("s")
    if singular not in KINDS:
        raise UnknownNameError("kind", word, [f"{kind}s" for kind in KINDS])
    return singular


def names(kind: str) -> list[str]:
    """List the public names of a kind, without importing its members."""
    package = importlib.import_module(KINDS[kind][0])
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.ispkg and not module.name.startswith("_")
    )


def load(kind: str, name: str) -> Any:
    """Import one member of a kind; hyphens and underscores are the same. Raise `UnknownNameError` if there is none."""
    package, attribute = KINDS[kind]
    module = name.replace("-", "_")
    if module not in names(kind):
        raise UnknownNameError(kind, name, names(kind))
    return getattr(importlib.import_module(f"{package}.{module}"), attribute)
