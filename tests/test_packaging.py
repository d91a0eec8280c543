"""What ships is what is there; imports point one way; docstrings and recipes keep their promises."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

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


def test_imports_are_absolute() -> None:
    for top in (*TOP, "tests", "benchmarks"):
        for path in (ROOT / top).rglob("*.py"):
            tree = ast.parse(path.read_text())
            assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level], path


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


def test_the_readmes_commands_exist() -> None:
    """Every `timbre-data COMMAND` of the README is a command, and every file it names is there."""
    text = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    commands = set(re.findall(r"^\s*timbre-data ([a-z-]+)", text, re.M))
    source = (ROOT / "cli.py").read_text()
    for command in commands:
        assert re.search(rf'def {command.replace("-", "_")}\(|command\("{command}"|name="{command}"', source), command
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (ROOT / path).exists(), path


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
