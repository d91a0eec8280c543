"""What ships is what is there; imports point one way; docstrings and recipes keep their promises."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from timbre_data.commands._kinds import REGISTRIES
from timbre_data.commands.contracts import CONTRACTS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOP = {"schemas", "pipeline", "models", "commands"}


def modules() -> list[str]:
    package = importlib.import_module("timbre_data.schemas").__spec__
    assert package is not None
    found = ["timbre_data.cli"]
    for top in sorted(TOP):
        base = importlib.import_module(f"timbre_data.{top}")
        found += [base.__name__, *(module.name for module in pkgutil.walk_packages(base.__path__, f"{base.__name__}."))]
    return found


def test_the_package_list_is_the_tree() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    there = {"timbre_data"}
    for top in TOP:
        for folder in (ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())):
            if folder.name != "__pycache__" and list(folder.glob("*.py")):
                there.add("timbre_data." + folder.relative_to(ROOT).as_posix().replace("/", "."))
    assert listed == there


def test_no_stray_module_ships_from_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"cli.py", "api.py"}
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_imports_point_one_way() -> None:
    done = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", modules())
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    assert importlib.import_module(name).__doc__


def test_the_version_is_the_changelogs_newest() -> None:
    version = importlib.metadata.version("timbre-data")
    assert (
        re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[0]
        == version
        == PROJECT["project"]["version"]
    )


def test_constraints_cover_the_requirements() -> None:
    pinned = {
        re.split(r"[=<>]", line)[0].strip().lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and line[0] != "#"
    }
    for requirement in PROJECT["project"]["dependencies"]:
        name = re.split(r"[\[<>=;\s]", requirement)[0].lower()
        assert name in pinned, name


def test_module_names_are_there_once() -> None:
    """Members are called by their kind and name; every other module has a name of its own."""
    kinds = {registry.package for registry in REGISTRIES.values()} | {CONTRACTS.package}
    plain = [
        name.rsplit(".", 1)
        for name in modules()
        if name.rsplit(".", 1)[0] not in kinds and not hasattr(importlib.import_module(name), "__path__")
    ]
    counts = Counter(short for _, short in plain)
    assert not {short for short, count in counts.items() if count > 1}


def test_no_module_is_long() -> None:
    for top in (*TOP, "cli.py", "api.py"):
        for path in [ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"):
            lines = path.read_text().count("\n")
            assert lines <= (200 if path.name == "cli.py" else 350), (path, lines)


def test_floors_have_at_most_ten_rooms() -> None:
    for floor in ("pipeline", "models"):
        entries = {path.name for path in (ROOT / floor).iterdir() if path.name != "__pycache__"}
        assert len(entries) <= 10, entries


def test_arrows_between_rooms_are_few() -> None:
    """Imports between the rooms of a floor: at most 25 pairs, and lint-imports allows none upwards."""
    for floor in ("pipeline", "models"):
        arrows = set()
        for path in (ROOT / floor).rglob("*.py"):
            room = path.relative_to(ROOT / floor).parts[0]
            text = re.sub(r"if TYPE_CHECKING:\n(?:    .*\n)+", "", path.read_text())
            found = re.findall(rf"from timbre_data\.{floor}\.(\w+)", text)
            arrows |= {(room, other) for other in found if other != room and not room.endswith(".py")}
        assert len(arrows) <= 25, sorted(arrows)


def test_no_string_of_pipeline_names_a_module_of_models() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert "timbre_data.models" not in path.read_text(), path


@pytest.mark.slow  # imports all of pipeline in a process of its own
def test_loading_every_member_imports_nothing_from_above() -> None:
    """Also not by name: each kind of pipeline is loaded whole in a process that has no models."""
    script = """
import sys
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.exporters import EXPORTERS
from timbre_data.pipeline.synths import SYNTHS
order = ["sound", "features", "importers", "store", "sources", "synths", "effects", "build"]
allowed = {"features": 1, "importers": 2, "store": 3, "sources": 4, "synths": 5, "effects": 6}
for registry in (FEATURE_SETS, IMPORTERS, EXPORTERS, SOURCES, SYNTHS, EFFECTS):
    for name in registry.names():
        registry.load(name)
loaded = {name.split(".")[2] for name in sys.modules if name.startswith("timbre_data.pipeline.")}
print(sorted(loaded), any(name.startswith("timbre_data.models") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    rooms = "['catalogue', 'effects', 'features', 'importers', 'sound', 'sources', 'store', 'synths']"
    assert done.stdout.strip() == f"{rooms} False", done.stderr


def test_scripts_and_benchmarks_import_what_is_there() -> None:
    scripts = [path for path in (ROOT / "scripts").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in [*scripts, *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")]:
        text = path.read_text()
        if path.suffix != ".py" and "python" not in text.splitlines()[0]:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("timbre_data"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


def test_requirements_are_what_is_imported() -> None:
    """Every package that the code imports is declared, and every declared one is imported."""
    called = {"yaml": "pyyaml", "ruamel": "ruamel.yaml", "sklearn": "scikit-learn", "PIL": "pillow", "rtmidi": "python-rtmidi", "jack": "jack-client", "fluidsynth": "pyfluidsynth", "google_crc32c": "google-crc32c"}  # fmt: skip
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(one for name, extra in project["optional-dependencies"].items() if name not in ("test", "docs") for one in extra)]  # fmt: skip
    declared = {re.split(r"[\[<>=;\s]", requirement)[0].lower() for requirement in wanted}
    imported = set()
    for top in (*TOP, "cli.py", "api.py"):
        for path in [ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names] if isinstance(node, ast.Import) else []  # fmt: skip
                imported |= {name.partition(".")[0] for name in names}
    third = (
        {called.get(name, name) for name in imported} - set(sys.stdlib_module_names) - {"timbre_data", "", "__future__"}
    )
    assert third <= declared | {"pedalboard"}, third - declared
    by_others = {"bokeh", "websockets"}  # Dask imports the one for its dashboard, uvicorn the other
    assert declared - by_others <= third, declared - third


def test_nothing_reads_outside_the_project() -> None:
    for path in [
        *ROOT.glob("*.py"),
        *(
            path
            for top in (*TOP, "tests", "benchmarks", "scripts", ".ci")
            for path in (ROOT / top).rglob("*")
            if path.is_file() and path.suffix in ("", ".py")
        ),
    ]:
        assert "../sha" + "red" not in path.read_text(), path
