"""Shared fixtures: a home of its own for every test, and one small dataset for those that only read."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from timbre_data.pipeline.build import featurizing, recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.machine import flush_denormals
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.registry import forget_files
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.trust import forget
from timbre_data.schemas.recipe import Recipe

SMALL: dict[str, Any] = {"audio.seconds": 0.4, "n": 300}
SHARED_ROWS = 500


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own datasets and runs."""
    monkeypatch.setenv("TIMBRE_DATA_HOME", str(tmp_path / "datasets"))
    monkeypatch.setenv("TIMBRE_DATA_RUNS", str(tmp_path / "runs"))
    return tmp_path / "datasets"


@pytest.fixture(autouse=True)
def no_trust() -> Iterator[None]:
    """No test trusts what the one before did."""
    yield
    forget()


@pytest.fixture(autouse=True)
def no_named_files() -> Iterator[None]:
    """No test knows the files of members that the one before named: workers would be sent them."""
    yield
    forget_files()


@pytest.fixture(autouse=True)
def ordinary_numbers() -> Iterator[None]:
    """Rendering in the test's own thread flushes denormals to zero from then on; the next test gets them back."""
    yield
    flush_denormals(on=False)


def small_recipe(effect: str = "distortion", **changes: Any) -> Recipe:
    """A recipe of half-second sounds."""
    return recipes.load(validation.override(recipes.for_effect(effect), SMALL | changes))


def build(recipe: Recipe, name: str, **options: Any) -> Dataset:
    """Render a dataset and open it."""
    cluster = options.pop("cluster", Cluster(workers=2))
    rendering.render(recipe, locate(name), cluster, **options)
    return Dataset(name)


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Folders that no test changes, each made once in a run of the tests by whichever process needs it first:
    `once("name", make)`, where `make(folder)` writes into a folder that is not there yet. Who changes one copies it.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # one for all processes of a run

    def of(name: str, make: Callable[[Path], object]) -> Path:
        folder = base / "once" / name
        folder.parent.mkdir(exist_ok=True)
        whole = folder.with_name(f"{name} is whole")
        with FileLock(folder.with_name(f"{name}.lock")):
            if not whole.is_file():
                make(folder)
                whole.touch()
        return folder

    return of


@pytest.fixture(scope="session")
def rendered(once: Once) -> Callable[[str, dict[str, Any]], Path]:
    """Folders of small datasets, each rendered once."""

    def of(effect: str, changes: dict[str, Any]) -> Path:
        key = hashlib.sha256(repr((effect, sorted(changes.items()))).encode()).hexdigest()[:16]
        return once(f"rendered-{key}", lambda folder: build(small_recipe(effect, **changes), str(folder)))

    return of


@pytest.fixture
def render(home: Path, rendered: Callable[[str, dict[str, Any]], Path]) -> Callable[..., Dataset]:
    """Render a small dataset, or copy one rendered for an earlier test: render("distortion", "name", n=300)."""

    def make(effect: str, name: str, **changes: Any) -> Dataset:
        shutil.copytree(rendered(effect, changes), home / name)
        return Dataset(name)

    return make


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run timbre-data in this process: command("train", ...) gives its exit code."""

    def call(*arguments: str) -> int:
        from timbre_data import cli

        monkeypatch.setattr("sys.argv", ["timbre-data", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0)

    return call


@pytest.fixture(scope="session")
def shared(once: Once) -> Path:
    """Three small featurized datasets, of `SHARED_ROWS` rows each, that no test changes."""

    def make(folder: Path) -> None:
        for effect in ("modulation", "delay", "distortion"):
            location = locate(str(folder / effect))
            rendering.render(small_recipe(effect, n=SHARED_ROWS), location, Cluster(workers=2))
            featurizing.featurize(location, {"autofx163": {}}, Cluster(workers=2))

    return once("shared", make)


def all_columns(data: Dataset) -> dict[str, np.ndarray]:
    """Everything a dataset holds, decoded."""
    paths = [path for path, _ in data.root.arrays()]
    for group, _ in data.root.groups():
        paths += [f"{group}/{name}" for name, _ in data.root[group].arrays()]  # type: ignore[union-attr]  # groups hold arrays here
    return {path: data.read(path) for path in paths}


def same_bytes(first: Dataset, second: Dataset) -> bool:
    """Whether two datasets hold the same bytes."""
    one, other = all_columns(first), all_columns(second)
    return first.digest() == second.digest() and all(
        values.tobytes() == other[path].tobytes() for path, values in one.items() if values.dtype.kind not in "OT"
    )
