"""Every kind of member: what `list` and `show` show, and which kind a file of the user's own is of."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbre_data.commands import COMMANDS
from timbre_data.models.architectures import MODELS
from timbre_data.models.baselines import BASELINES
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.models.targets import TARGETS
from timbre_data.pipeline.catalogue import shipped
from timbre_data.pipeline.catalogue.registry import Registry
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.exporters import EXPORTERS
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.banks import BANKS
from timbre_data.schemas.errors import UnknownNameError, UsageError

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        EFFECTS,
        SYNTHS,
        BANKS,
        SOURCES,
        FEATURE_SETS,
        IMPORTERS,
        EXPORTERS,
        MODELS,
        BASELINES,
        TARGETS,
        DISTANCES,
        COMMANDS,
    )
}


@dataclass(frozen=True)
class Kind:
    """A kind by its singular: its members, and what each is in a sentence."""

    name: str

    @property
    def names(self) -> list[str]:
        """The public names of the members."""
        return REGISTRIES[self.name].names() if self.name in REGISTRIES else list(shipped.shipped(self.name))

    def summary(self, name: str) -> str:
        """A member in a sentence."""
        return REGISTRIES[self.name].summary(name) if self.name in REGISTRIES else shipped.summary(self.name, name)


KINDS = (*REGISTRIES, *shipped.FILES)


def kind_of(word: str) -> Kind:
    """A kind in the singular or plural. Raises `UnknownNameError`."""
    singular = word if word in KINDS else word.removesuffix("s")
    if singular not in KINDS:
        raise UnknownNameError("kind", word, [f"{kind}s" for kind in KINDS])
    return Kind(singular)


def file_kind(path: str) -> str:
    """The kind of a Python file, by the name that it exposes; the file does not run. Raises `UsageError`."""
    try:
        tree = ast.parse(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError) as error:
        raise UsageError(f"{path} cannot be read as a Python file ({type(error).__name__}: {error}).") from None
    exposed = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for kind, registry in REGISTRIES.items():
        if registry.attribute in exposed:
            return kind
    attributes = ", ".join(f"{registry.attribute} ({kind})" for kind, registry in REGISTRIES.items())
    raise UsageError(f"{path} exposes no member; expected one of {attributes}.")


def use_file(path: str) -> tuple[str, str]:
    """Run a file of the user's own, so that its member has a name in this process. Returns kind and name."""
    kind = file_kind(path)
    return kind, REGISTRIES[kind].resolve(path)
