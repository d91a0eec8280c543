"""What a rendered dataset holds: levels, gains, redraws, failures, classes, formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import build, same_bytes, small_recipe
from timbre_data.pipeline.build import featurizing, recipes, rendering, row_rendering
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.versions import tag
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import RenderError, UsageError


def test_the_stored_sound_is_what_the_label_says(render: Callable[..., Dataset]) -> None:
    """From the stored dry sound and the stored label alone, to a rounding of 16 bits."""
    data = render("distortion", "d", n=40)
    chain = Chain(data.recipe.chain)
    values = data.space.to_values(data.read("params"))
    for row in range(0, 40, 7):
        wet = chain.render(data.dry(row), 22_050, values[row], np.array([0], np.int8))
        assert np.abs(wet * data.read("gain", row) - data.audio(row)).max() <= 0.51 / 32_767


def test_normalised_sounds_peak_at_one_and_the_gain_undoes_it(render: Callable[..., Dataset]) -> None:
    data = render("distortion", "d", n=60)
    assert np.allclose(np.abs(data.audio()).max(axis=(1, 2)), 1, atol=1e-4)
    assert np.abs(data.audio(original_level=True)).max() > 1.5


def test_fitted_sounds_are_turned_down_only_where_they_would_clip() -> None:
    data = build(small_recipe(n=120, **{"audio.peak": "fit"}), "d")
    gain, peak = data.read("gain"), np.abs(data.audio(original_level=True)).max(axis=(1, 2))
    assert (gain <= 1).all()
    assert (gain < 1).any()
    assert (gain == 1).any()
    assert (peak[gain == 1] <= 1 + 1e-4).all()
    assert (peak[gain < 1] > 1 - 1e-4).all()


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("codec", ["fast", "archive"])
def test_storage_formats_hold_the_same_sounds(dtype: str, codec: str) -> None:
    changes = {"n": 70, "audio.dtype": dtype, "audio.codec": codec}
    data = build(small_recipe("delay", **changes), "d")
    assert data.array("audio").dtype == dtype
    assert verify(data).whole
    plain = build(small_recipe("delay", n=70), "plain")
    assert np.abs(data.audio() - plain.audio()).max() < (2e-4 if dtype == "float32" else 1e-9)


def test_stereo_and_other_rates() -> None:
    data = build(small_recipe("reverb", n=20, **{"audio.channels": 2, "audio.rate": 44_100}), "d")
    assert data.audio().shape == (20, 2, round(0.4 * 44_100))
    assert np.abs(data.audio()[:, 0] - data.audio()[:, 1]).max() > 1e-3


def test_silent_draws_are_drawn_again_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of delay, wet only, on half-second notes: most draws are silent."""
    recipe = recipes.load(
        {"name": "d", "chain": [{"effect": "delay", "parameters": {"mix": 1}}], "n": 200, "audio": {"seconds": 0.3}}
    )
    report = rendering.render(recipe, locate("d"), Cluster(workers=2))
    data = Dataset("d")
    attempts = data.read("attempt")
    assert report.rejected == attempts.sum() > 50
    seconds = data.space.to_values(data.read("params"))[:, 0]
    assert (seconds < 0.31).all()
    assert (np.abs(data.audio()).max(axis=(1, 2)) > 0).all()
    again = build(recipe, "again", cluster=Cluster(workers=3))
    assert np.array_equal(again.read("params"), data.read("params"))


def impossible() -> Any:
    return recipes.load(
        {
            "name": "d",
            "chain": [{"effect": "delay", "parameters": {"mix": 1, "delay_seconds": [0, 0.8]}}],
            "n": 300,
            "audio": {"seconds": 0.01},
        }
    )


def test_an_impossible_row_stops_the_build_with_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_rendering, "MAX_ATTEMPTS", 2)
    with pytest.raises(RenderError) as caught:
        build(impossible(), "d")
    assert "delay.mix=1" in str(caught.value)
    assert "--keep-going" in str(caught.value)


def test_keep_going_marks_impossible_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_rendering, "MAX_ATTEMPTS", 2)
    report = rendering.render(impossible(), locate("d"), Cluster(workers=2), keep_going=True)
    data = Dataset("d")
    failed = data.read("failed")
    assert 0 < failed.sum() == len(report.failed)
    assert len(data.usable()) == 300 - failed.sum()
    assert (data.audio(np.flatnonzero(failed)) == 0).all()
    assert verify(data).whole


def test_how_much_an_effect_changes_is_a_label(render: Callable[..., Dataset]) -> None:
    data = render("delay", "d", n=600)
    seconds, _, mix = data.space.to_values(data.read("params")).T
    change = data.read("labels/effect_db")
    echoing = (seconds > 0.02) & (seconds < 0.3)
    assert np.median(change[echoing & (mix < 0.15)]) < np.median(change[echoing & (mix > 0.3) & (mix < 0.7)]) - 5
    assert (change[seconds > 0.4] < -60).mean() > 0.9  # the echo falls after the note: nothing is left of it but level
    silent = build(
        recipes.load(
            {"name": "s", "chain": [{"effect": "delay", "parameters": {"mix": 0}}], "n": 10, "audio": {"seconds": 0.3}}
        ),
        "s",
    )
    assert (silent.read("labels/effect_db") < -100).all()
    assert not silent.read("labels/identifiable")[:, :2].any()


def test_a_chain_of_random_effects_is_labelled() -> None:
    recipe = recipes.load(
        {
            "name": "c",
            "chain": {"steps": ["distortion", "delay", "tremolo"], "choose": [1, 2], "shuffle": True},
            "n": 100,
            "audio": {"seconds": 0.3},
        }
    )
    data = build(recipe, "c")
    order = data.read("labels/order")
    assert set((order >= 0).sum(axis=1)) == {1, 2}
    used = (order >= 0)[:, [0] * 7 + [1] * 3 + [2] * 4]
    assert np.array_equal(data.read("labels/mask"), used)
    assert data.array("labels/order").attrs["steps"] == ["distortion", "delay", "tremolo"]


def test_a_dataset_never_shrinks(render: Callable[..., Dataset]) -> None:
    render("delay", "d", n=100)
    report = rendering.render(small_recipe("delay", n=50), locate("d"), Cluster(workers=2))
    assert report.rows == 0
    assert "never shrinks" in report.reason


def test_an_unfinished_dataset_is_not_finished_with_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Dies(NoProgress):
        def advance(self, rows: int, rejected: int = 0) -> None:
            calls.append(rows)
            if len(calls) == 11:  # eight tasks of dry sounds, then rows
                raise RuntimeError("stop here")

    with pytest.raises(RuntimeError):
        rendering.render(small_recipe("delay", n=2000), locate("d"), Cluster(workers=1, batch=256), progress=Dies())
    assert 0 < Dataset("d").present().sum() < 2000
    with pytest.raises(UsageError, match="was started with n = 2000"):
        build(small_recipe("delay", n=300), "d")
    assert build(small_recipe("delay", n=2000), "d").complete()


def test_an_interrupted_growth_is_not_finished(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert build(small_recipe("delay", n=300), "d").version == "1.0.0"

    class Dies(NoProgress):
        def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError):
        rendering.render(small_recipe("delay", n=900), locate("d"), Cluster(workers=1), progress=Dies())
    assert Dataset("d").version == "unfinished"
    assert Dataset("d@v1.0.0").complete()
    capsys.readouterr()
    assert command("dataset", "list") == 0
    assert "300 of 900 rows" in capsys.readouterr().out
    for n in (300, 600):
        with pytest.raises(UsageError, match="was started with n = 900"):
            build(small_recipe("delay", n=n), "d")
    grown = build(small_recipe("delay", n=900), "d")
    assert grown.version == "1.1.0"
    assert grown.complete()


def test_older_states_are_not_written_to(render: Callable[..., Dataset]) -> None:
    data = render("delay", "d", n=300)
    for write in (lambda: tag(locate("d@v1.0.0"), "paper"), lambda: Writer(locate("d@v1.0.0")).__enter__()):
        with pytest.raises(UsageError, match="is an older state"):
            write()
    assert tag(locate("d"), "paper") == data.snapshot


def test_streaming_gives_every_row_once_well_mixed(render: Callable[..., Dataset]) -> None:
    data = render("delay", "d", n=1500)
    rows = np.flatnonzero(data.split() == 0)
    batches = list(data.stream(["params", "gain"], batch_size=32, rows=rows, seed=3, block_rows=64, buffer_blocks=6))
    seen = np.concatenate([batch[0] for batch in batches])
    assert sorted(seen) == rows.tolist()
    assert {len(batch[0]) for batch in batches[:-1]} == {32}
    assert np.array_equal(np.concatenate([batch[1] for batch in batches]), data.read("params")[seen])
    assert abs(np.corrcoef(seen[:300], np.arange(300))[0, 1]) < 0.3
    again = np.concatenate(
        [batch[0] for batch in data.stream(["gain"], batch_size=32, rows=rows, seed=3, block_rows=64, buffer_blocks=6)]
    )
    other = np.concatenate(
        [batch[0] for batch in data.stream(["gain"], batch_size=32, rows=rows, seed=4, block_rows=64, buffer_blocks=6)]
    )
    assert np.array_equal(seen, again)
    assert not np.array_equal(seen, other)


HOT: dict[str, dict[str, Any]] = {"autofx163": {}, "logmel": {}}


def test_features_made_while_rendering_are_those_of_featurize(command: Callable[..., int]) -> None:
    hot = build(small_recipe(n=300), "hot", features=HOT, cluster=Cluster(workers=2, batch=256))
    assert hot.version == "1.0.0"
    assert not hot.unfinished_features()
    assert verify(hot).whole
    build(small_recipe(n=300), "cold")
    featurizing.featurize(locate("cold"), HOT, Cluster(workers=1))
    assert same_bytes(hot, Dataset("cold"))
    reports = featurizing.featurize(locate("hot"), HOT, Cluster(workers=1))
    assert [report.rows for report in reports] == [0, 0]
    assert reports[-1].version == "1.0.0"
    with pytest.raises(UsageError, match="holds logmel made with"):
        build(small_recipe(n=600), "hot", features={"logmel": {"n_mels": 40}})
    assert Dataset("hot").n == 300
    grown = build(small_recipe(n=600), "hot", features={"autofx163": {}})
    assert grown.version == "1.1.0"
    assert list(grown.unfinished_features()) == ["logmel"]
    assert command("render", "--fx", "delay", "--features", "logmel", "--part", "1/2") == 2


def test_rows_of_before_get_their_features_too() -> None:
    build(small_recipe(n=300), "d")
    later = build(small_recipe(n=600), "d", features=HOT)
    assert not later.unfinished_features()
    assert verify(later).whole
    assert same_bytes(later, build(small_recipe(n=600), "at-once", features=HOT))
    build(small_recipe(n=300), "finished")
    assert not build(small_recipe(n=300), "finished", features={"logmel": {}}).unfinished_features()
