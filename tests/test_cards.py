"""A card that keeps its results says what they say: no digit of it was typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "datasets" / "cards"
KEPT = sorted(path.stem for path in (CARDS / "results").glob("*.json"))


def checked(card: str, file: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "make-held-out-card"
    command = [sys.executable, str(script), "--card", card, "--check", "--file", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


def test_some_keep_them() -> None:
    assert "known-dry" in KEPT


@pytest.mark.parametrize("card", KEPT)
def test_a_card_is_what_its_results_say(card: str, tmp_path: Path) -> None:
    page = CARDS / f"{card}.md"
    done = checked(card, page)
    assert done.returncode == 0, done.stderr
    changed = tmp_path / "changed.md"
    text = page.read_text()
    figure = re.search(r"0\.\d\d\d", text)
    assert figure is not None
    other = figure[0][:-1] + str((int(figure[0][-1]) + 1) % 10)
    changed.write_text(text.replace(figure[0], other, 1))
    done = checked(card, changed)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"{changed}: line {text[: figure.start()].count(chr(10)) + 1} is not what its results say."
    )
    changed.write_text(text + "0.999\n")
    assert checked(card, changed).returncode == 1
