"""Every command and file of README and docs is one that works: pages are read, and what they show is run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from tests import warm
from tests.conftest import SMALL
from timbre_data import api, cli

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference")
SHOWN = [
    *PAGES,
    ROOT / "docs" / "reference" / "results.md",
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "datasets" / "README.md",
]
RUN = ("tutorial.md", "effect.md", "recipe.md", "readers.md", "model.md")
"""Pages whose blocks are run, in order, in an empty folder."""


def commands_in(text: str) -> list[str]:
    """Commands in code blocks, fenced or indented, and in backquotes."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.M | re.S)
    shown = "\n".join([*fenced, *re.findall(r"^    .+$", text, re.M)])
    found = re.findall(r"^\s*(?:\$ )?(timbre-data .+)$", shown, re.M) + re.findall(r"`(timbre-data [^`]+)`", text)
    return sorted({re.split(r"\s{2,}#", one)[0].strip() for one in found})


def blocks_of(page: Path) -> list[tuple[str, str, str]]:
    """Language, title and text of every fenced block."""
    pattern = r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$"
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_command_shown_is_one(page: Path) -> None:
    """Parsed by the command line itself: an option that is gone fails here. Names in capitals stand for something."""
    for line in commands_in(page.read_text(encoding="utf-8")):
        words = shlex.split(line.rstrip("."))[1:]
        while words[:1] == ["--use"]:
            words = words[2:]
        command: Any = typer.main.get_command(cli.app)
        name = "timbre-data"
        while hasattr(command, "commands") and words and words[0] in command.commands:
            name = words.pop(0)
            command = command.commands[name]
        if hasattr(command, "commands"):
            assert not words or words[0].isupper() or words[0].startswith("--"), f"{line}: there is no {words[0]}"
            continue
        if not words:
            continue  # a command named in a sentence
        try:
            command.make_context(name, list(words))
        except Exception as error:
            pytest.fail(f"{line}: {error}")


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_file_named_is_there(page: Path) -> None:
    for path in re.findall(r"\]\(((?!http)[^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        generated = page.parents[0] / path
        if generated.resolve().parent.name == "reference":
            continue  # written by scripts/docs, which checks these
        assert generated.exists(), path


@pytest.mark.slow  # opens SoundFonts and plans the pipeline recipes of whole papers
def test_the_dry_runs_of_the_readme(home: Path) -> None:
    """What can be tried without rendering is."""
    for line in commands_in((ROOT / "README.md").read_text(encoding="utf-8")):
        words = shlex.split(line)[1:]
        if words[0] in ("render", "run") and "./" not in line:
            done = warm.run(*words, "--dry-run", cwd=ROOT)
            assert done.returncode == 0, (line, done.stderr)


@pytest.mark.slow  # renders, trains and evaluates
@pytest.mark.parametrize("name", RUN)
def test_a_page_is_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = next(page for page in PAGES if page.name == name)
    environment = {"TIMBRE_DATA_HOME": str(tmp_path / "datasets"), "TIMBRE_DATA_RUNS": str(tmp_path / "runs")}
    monkeypatch.setenv("TIMBRE_DATA_HOME", environment["TIMBRE_DATA_HOME"])
    if name == "readers.md":
        api.render(fx="distortion", overrides=SMALL | {"n": 64})
    if name == "model.md":
        api.render(fx="distortion", out="pedal", overrides=SMALL | {"n": 400})
        api.featurize("pedal", ["autofx163"])
    ran = 0
    code = ""
    for language, title, text in blocks_of(page):
        if title:
            (tmp_path / title).write_text(text, encoding="utf-8")
        elif language == "console":
            for line in text.strip().splitlines():
                words = shlex.split(line)
                done = warm.run(*words[1:], cwd=tmp_path, env=environment)
                assert done.returncode == 0, (line, done.stdout[-800:], done.stderr[-800:])
                ran += 1
        elif language == "python":
            code += text
            done = warm.run(code=code, cwd=tmp_path, env=environment)
            assert done.returncode == 0, (text, done.stderr[-800:])
            ran += 1
            if name == "tutorial.md":
                code = ""
    assert ran > 1


def test_the_nav_has_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.relative_to(ROOT / "docs").as_posix() in nav, page


@pytest.mark.slow  # builds the manual
def test_the_manual_builds_strictly() -> None:
    done = subprocess.run(["scripts/docs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (ROOT / "build" / "site" / "reference" / "commands.html").is_file()
