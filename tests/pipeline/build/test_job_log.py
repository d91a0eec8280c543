"""The log file beside a dataset, and the stages of a whole recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import build, small_recipe
from timbre_data.models.studies.pipeline_run import _Stages, summary
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import journal
from timbre_data.pipeline.store.copying import remove
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.verify import verify


def test_a_build_is_logged_beside_its_dataset(home: Path) -> None:
    data = build(small_recipe(n=64), "d")
    featurizing.featurize(data.location, {"autofx163": {}}, Cluster(workers=2))
    lines = (home / "d" / journal.FILE).read_text().splitlines()
    assert next(line[20:] for line in lines if "version" in line).startswith("version 1.0.0")
    assert any("64 rows to do" in line for line in lines)
    assert verify(data).whole
    remove(locate("d"))
    assert not (home / "d").exists()


def test_what_ended_a_build_is_logged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from timbre_data.pipeline.build import stage

    def broken(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "set_meta", broken)
    with pytest.raises(OSError, match="No space"):
        build(small_recipe(n=64), "d")
    assert "stopped: " in (home / "d" / journal.FILE).read_text().splitlines()[-1]


def test_stages_are_counted_and_the_rest_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    said: list[str] = []
    stages = _Stages(["render", "render", "train", "evaluate"], said.append)
    for k, title in enumerate(("render a", "render b", "train c", "evaluate c")):
        now = 600.0 * k
        stages.begin(title)
    assert said == [
        "stage 1 of 4: render a",
        "stage 2 of 4: render b, at least 10 min left",
        "stage 3 of 4: train c",
        "stage 4 of 4: evaluate c",
    ]


def test_stages_that_were_finished_before_say_nothing_of_how_long_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trainings, of which the first was finished in an earlier run of the recipe."""
    times = iter((0.0, 1.0, 601.0, 700.0, 800.0))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    said: list[str] = []
    stages = _Stages(["train"] * 3, said.append)
    stages.begin("train a")
    stages.nothing_to_do()
    stages.begin("train b")
    stages.begin("train c")
    assert said == ["stage 1 of 3: train a", "stage 2 of 3: train b", "stage 3 of 3: train c, about 10 min left"]
    dry: list[str] = []
    stages = _Stages(["train"] * 2, dry.append, timed=False)
    stages.begin("train a")
    stages.begin("train b")
    assert dry == ["stage 1 of 2: train a", "stage 2 of 2: train b"]


def test_the_summary_says_what_there_is_and_what_to_do_next() -> None:
    text = summary(
        [
            {"stage": "render a", "done": "rendered", "version": "1.0.0"},
            {"stage": "featurize a", "done": "computed", "version": "1.1.0"},
            {"stage": "train c", "done": "trained", "run": "runs/c"},
        ]
    )
    assert "dataset a 1.1.0" in text
    assert "timbre-data predict runs/c SOUND.wav" in text
    assert summary([{"stage": "train c", "done": "would train"}]) == ""


@pytest.mark.slow
def test_a_whole_recipe_says_its_stages(
    home: Path, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: it renders, trains and evaluates."""
    (tmp_path / "p.yaml").write_text(
        """name: p
datasets: [{recipe: distortion, set: {n: 80, audio.seconds: 0.4}}]
features: [autofx163]
train: [{name: r, model: regressor_mlp, data: [distortion], features: [autofx163], max_epochs: 2}]
"""
    )
    assert command("run", str(tmp_path / "p.yaml")) == 0
    error = capsys.readouterr().err
    assert "stage 1 of 4: render distortion, 80 rows" in error
    assert "stage 4 of 4: evaluate r" in error
    assert "dataset distortion 1.0.0" in error
