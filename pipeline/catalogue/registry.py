"""The folder is the registry: a module's name is its public name, and the module exposes one object.

Every kind of member has a `Registry` in the `__init__` of its folder (`EFFECTS` in `pipeline/effects`). `names` lists
without importing anything; `load` imports one module. Modules that begin with an underscore, and packages, are helpers.
A member may also live outside: an entry point of an installed package (group `timbre_data.effect` and so on), or a
Python file that somebody named (`resolve`). A file runs only because it was named in this process, never because a
dataset or a run refers to it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from timbre_data.schemas.errors import NotFoundError, UnknownNameError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class MemberFile:
    """A member that is a file of the user's own: kind, public name (the file's), SHA-256 of its text, and the text
    itself.

    Datasets and runs keep it as data; `Registry.add` runs it.
    """

    kind: str
    name: str
    digest: str
    text: str


class Registry(Generic[T]):
    """The members of one kind: the modules of a folder, each with one object called `attribute`."""

    def __init__(self, package: str, *, kind: str, attribute: str) -> None:
        self.package, self.kind, self.attribute = package, kind, attribute
        self._files: dict[str, MemberFile] = {}
        self._loaded: dict[str, T] = {}
        _registries[kind] = self

    def names(self) -> list[str]:
        """Public names: those of the folder, of installed packages, and of files that were named in this process."""
        return sorted({*_modules_of(self.package), *_entry_points(self.kind), *self._files})

    def shipped(self) -> list[str]:
        """The names of the folder alone."""
        return sorted(_modules_of(self.package))

    def __contains__(self, name: str) -> bool:
        return name.replace("-", "_") in self.names()

    def load(self, name: str) -> T:
        """Import one member; hyphens and underscores are the same. Raises `UnknownNameError`."""
        module = name.replace("-", "_")
        if module in self._loaded:
            return self._loaded[module]
        if module in _modules_of(self.package):
            # looked up every time: a test may put another object in its place
            return cast(T, getattr(importlib.import_module(f"{self.package}.{module}"), self.attribute))
        points = _entry_points(self.kind)
        if module not in points:
            raise UnknownNameError(self.kind, name, self.names())
        self._loaded[module] = cast(T, points[module].load())
        return self._loaded[module]

    def summary(self, name: str) -> str:
        """The summary of a member, read from its source without running it."""
        module = name.replace("-", "_")
        if module in self._files:
            return _summary_of(self._files[module].text)
        if module not in _modules_of(self.package):
            return str(getattr(self.load(name), "summary", ""))
        folder = importlib.import_module(self.package).__path__[0]
        return _summary_of((Path(folder) / f"{module}.py").read_text(encoding="utf-8"))

    def resolve(self, text: str) -> str:
        """Turn what a user wrote into a public name: a Python file (anything that ends in .py) is read and run, a name
        stays.

        Raises `NotFoundError` or `UsageError` for a file that exposes no such member.
        """
        return self.add(read_member(text, self.kind)).name if text.endswith(".py") else text

    def add(self, file: MemberFile) -> MemberFile:
        """Run a member's file in this process, once. Raises `UsageError` where it fails or does not expose the
        member.
        """
        known = self._files.get(file.name)
        if known is not None and known.digest == file.digest:
            return file
        if file.name in _modules_of(self.package):
            raise UsageError(
                f"{file.name}.py: this package has a member called {file.name}: give the file another name."
            )
        module = _run(file)
        if not hasattr(module, self.attribute):
            raise UsageError(f"{file.name}.py is no {self.kind}: it must expose {self.attribute}.")
        self._loaded[file.name] = cast(T, getattr(module, self.attribute))
        self._files[file.name] = file
        return file

    def file_of(self, name: str) -> MemberFile | None:
        """The file behind a name, where the member is one."""
        return self._files.get(name.replace("-", "_"))

    def forget_files(self) -> None:
        """Know no file that was named any more."""
        for name in self._files:
            del self._loaded[name]
        self._files.clear()

    @property
    def files(self) -> list[MemberFile]:
        """Every file that was named in this process."""
        return list(self._files.values())


_registries: dict[str, Registry[Any]] = {}


def named_files() -> tuple[MemberFile, ...]:
    """The files of all kinds that were named in this process: what its workers are to know too."""
    return tuple(file for registry in _registries.values() for file in registry.files)


def add_files(files: tuple[MemberFile, ...]) -> None:
    """In a worker: know the files that the client's user named."""
    for file in files:
        _registries[file.kind].add(file)


def forget_files() -> None:
    """Know no file of any kind any more."""
    for registry in _registries.values():
        registry.forget_files()


def read_member(path: str, kind: str) -> MemberFile:
    """Read a member's file without running it. Raises `NotFoundError` or `UsageError`."""
    source_file = Path(path).expanduser()
    try:
        text = source_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"{path} cannot be read as a Python file ({type(error).__name__}).") from None
    if not source_file.stem.isidentifier():
        raise UsageError(f"{path}: a member is called as its file, so that must be letters, digits and underscores.")
    return MemberFile(kind, source_file.stem, hashlib.sha256(text.encode()).hexdigest(), text)


def _run(file: MemberFile) -> Any:
    """Import a file from a copy that is named after its content, so that workers on other machines run the same one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "timbre-data" / "members" / file.digest
    copy = cache / f"{file.name}.py"
    if not copy.is_file() or copy.read_text(encoding="utf-8") != file.text:
        cache.mkdir(parents=True, exist_ok=True)
        partial = copy.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(file.text, encoding="utf-8")
        partial.replace(copy)
    name = f"timbre_data_member_{file.name}_{file.digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{file.name}.py cannot be run ({type(error).__name__}: {error}).") from error
    return module


@lru_cache(maxsize=64)
def _modules_of(package: str) -> frozenset[str]:
    path = importlib.import_module(package).__path__
    return frozenset(
        module.name for module in pkgutil.iter_modules(path) if not module.ispkg and not module.name.startswith("_")
    )


@lru_cache(maxsize=64)
def _entry_points(kind: str) -> dict[str, Any]:
    import importlib.metadata  # takes longer than all of --help

    return {
        point.name.replace("-", "_"): point for point in importlib.metadata.entry_points(group=f"timbre_data.{kind}")
    }


def _summary_of(text: str) -> str:
    """The literal `summary=` of the member's object, or else the first line of the module's docstring."""
    import ast

    tree = ast.parse(text)
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        value: Any = None
        if (isinstance(node, ast.keyword) and node.arg == "summary") or (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "summary"
        ):
            value = node.value
        if isinstance(value, ast.Constant):
            return str(value.value)
        if isinstance(value, ast.Name) and value.id in constants:
            return str(constants[value.id])
    return " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
