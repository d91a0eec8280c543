"""What a dry run says of time and disk, against what the build then takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import small_recipe
from timbre_data.pipeline.build import estimating, recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.location import locate


def test_a_dry_run_says_what_the_build_takes(home: Path) -> None:
    recipe, cluster = small_recipe("reverb", n=1500), Cluster(workers=1)
    would = rendering.render(recipe, locate("r"), cluster, dry_run=True)
    assert not home.exists()
    said = would.estimate
    assert said is not None
    assert said.probed == 200
    assert said.workers == 1
    assert said.seconds == said.core_seconds
    begun = time.perf_counter()
    rendering.render(recipe, locate("r"), cluster)
    took = time.perf_counter() - begun
    assert 0.1 * took < said.seconds < 4 * took, "the start is not counted, and other work may disturb either"
    stored = sum(path.stat().st_size for path in (home / "r" / "store" / "chunks").rglob("*"))
    assert said.stored_bytes == pytest.approx(stored, rel=0.15)
    grown = rendering.render(small_recipe("reverb", n=3000), locate("r"), cluster, dry_run=True).estimate
    assert grown is not None
    notes = 1872 - 1500  # which are new with the second half of the rows
    assert grown.stored_bytes == pytest.approx(said.stored_bytes * (1500 + notes) / 3000, rel=0.1)


def test_the_thread_that_asks_stays_as_it_was() -> None:
    """Denormals are flushed where rows are made, not where somebody goes on to compute."""
    assert rendering.render(small_recipe("delay"), locate("c"), Cluster(), dry_run=True).estimate is not None
    assert (np.full(64, np.float32(1e-39)) * np.float32(0.5)).any()


def test_it_is_shown_and_in_the_data(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("render", "--fx", "delay", "--n", "5000", "--set", "audio.seconds=0.1", "--dry-run", "--workers", "3")
    assert command(*words) == 0
    shown = capsys.readouterr().out
    assert "with 3 workers" in shown
    assert "GB that are free, by 200 rows" in shown
    assert command(*words, "--json") == 0
    data = json.loads(capsys.readouterr().out)["estimate"]
    assert data["workers"] == 3
    assert data["seconds"] == pytest.approx(data["core_seconds"] / 3)


def test_what_cannot_be_probed_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is started for it, and nothing that fills the memory is made."""
    captured = recipes.load(recipes.for_synth("amsynth"))
    assert rendering.render(captured, locate("a"), Cluster(), dry_run=True).estimate is None
    large = small_recipe("delay", n=5, **{"audio.seconds": 500, "audio.rate": 192_000})
    assert rendering.render(large, locate("b"), Cluster(), dry_run=True).estimate is None
    monkeypatch.setattr(estimating, "MOST_SECONDS", 0.0)
    slow = rendering.render(small_recipe("delay"), locate("c"), Cluster(), dry_run=True).estimate
    assert slow is not None
    assert slow.probed == 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 seconds"), (45, "45 seconds"), (150, "2.5 minutes"), (9000, "2.5 hours"), (2e5, "2.3 days")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert estimating._duration(seconds) == text
