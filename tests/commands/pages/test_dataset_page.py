"""The page of a dataset, in a real browser: what it shows is what is stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import Once, build, small_recipe
from tests.fixtures.browser import Seen, opened_folder, violations
from timbre_data.cli import app
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.columns import DRY_IDENTITY, DRY_INDEX, EFFECT_DB, PARAMS, SPLIT
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset

pytestmark = pytest.mark.slow  # a browser each


@pytest.fixture
def data(once: Once, home: Path) -> Dataset:
    """300 rows of an effect, with features."""

    def make(folder: Path) -> None:
        build(small_recipe("modulation", n=300), str(folder))
        featurizing.featurize(locate(str(folder)), {"autofx163": {}}, Cluster(workers=2))

    shutil.copytree(once("dataset-page", make), home / "page")
    return Dataset("page")


def page_of(*arguments: str) -> Path:
    """The folder that the command makes."""
    done = CliRunner().invoke(app, ["look", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Path(json.loads(done.stdout)["page"]).parent


@pytest.fixture
def seen(data: Dataset, tmp_path: Path) -> Iterator[Seen]:
    """The page with 24 sounds, open."""
    with opened_folder(page_of("page", "--sounds", "24", "--out", str(tmp_path / "look"))) as page:
        yield page


def count_of(seen: Seen) -> str:
    return seen.page.inner_text("#count")


def shown_rows(seen: Seen) -> list[int]:
    return [int(card.get_attribute("data-row") or -1) for card in seen.page.query_selector_all(".card")]


def test_sounds_are_those_of_the_dataset_and_play(data: Dataset, seen: Seen) -> None:
    row = shown_rows(seen)[3]
    decode = """async ([row, name, rate]) => {
        const files = await timbre.soundsOf(row);
        const buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(files[name].buffer);
        return [...buffer.getChannelData(0)];
    }"""
    rate = data.recipe.audio.rate
    for name, expected in (("wet", data.audio(row)), ("dry", data.dry(row))):
        heard = np.array(seen.page.evaluate(decode, [row, name, rate]))
        assert heard.shape == expected[0].shape
        assert np.abs(heard - expected[0]).max() < 1.01 / 32767, name
    seen.page.click(f"#row-{row} .play")
    seen.page.wait_for_function(f"() => player.playing && player.playing.row === {row}")
    seen.page.click(f"#row-{row} input.loop")
    measure = """async () => {
        const gain = player.playing.gains[player.playing.name];
        const analyser = new AnalyserNode(gain.context, {fftSize: 4096});
        gain.connect(analyser);
        await new Promise((done) => setTimeout(done, 200));
        const samples = new Float32Array(4096);
        analyser.getFloatTimeDomainData(samples);
        return [Math.max(...samples), player.position, player.playing.started];
    }"""
    loudest, position, started = seen.page.evaluate(measure)
    assert loudest > 0.01, "nothing is heard"
    assert position > 0
    seen.page.check(f"#row-{row} input[value=dry]")
    seen.page.wait_for_function(
        "() => player.playing.gains.dry.gain.value > 0.99 && player.playing.gains.wet.gain.value < 0.01"
    )
    assert seen.page.evaluate("player.playing.started") == started, "switching begins anew"
    assert "dry" in (seen.page.get_attribute(f"#row-{row} img", "src") or "")
    assert seen.page.evaluate(f"document.querySelector('#row-{row} img').naturalWidth") > 100
    seen.page.keyboard.press("p")
    seen.page.wait_for_function("() => !player.playing")


def test_filters_and_order_are_those_of_the_table(data: Dataset, seen: Seen) -> None:
    page = seen.page
    assert count_of(seen) == "24 of 24 rows with sound here"
    page.uncheck("#with-sound")
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('300 of 300')")
    values = data.space.to_values(data.read(PARAMS))[:, data.space.names.index("modulation.mix")]
    page.click("#ranges summary")
    page.fill("input[aria-label='modulation.mix, from']", "0.5")
    expected = int((values.astype(np.float32) >= 0.5).sum())
    page.wait_for_function(f"() => document.getElementById('count').textContent === '{expected} of 300 rows'")
    page.select_option("#categories select[data-key=split]", label="test")
    both = np.flatnonzero((values.astype(np.float32) >= 0.5) & (data.read(SPLIT) == 2))
    page.wait_for_function(f"() => document.getElementById('count').textContent === '{len(both)} of 300 rows'")
    page.select_option("#sort", "effect_db")
    page.select_option("#order", "down")
    loudest = both[np.argsort(-data.read(EFFECT_DB)[both], kind="stable")]
    page.wait_for_function(f"() => document.querySelector('.card').dataset.row === '{loudest[0]}'")
    assert shown_rows(seen) == loudest[:12].tolist()
    page.click("#clear")
    page.uncheck("#with-sound")
    name = str(data.read(DRY_IDENTITY)[int(data.read(DRY_INDEX)[7])])
    page.fill("#text", name)
    page.wait_for_function(
        "() => document.getElementById('count').textContent.endsWith(' of 300 rows') && !document.getElementById('count').textContent.startsWith('300')"
    )
    assert 7 in shown_rows(seen)


def test_a_link_leads_to_a_row_with_and_without_sound(data: Dataset, seen: Seen) -> None:
    here = set(seen.page.evaluate("timbre.data.sampled"))
    silent = next(row for row in range(300) if row not in here)
    for row in (max(here), silent):
        seen.page.goto(seen.page.url.split("#")[0] + f"#row={row}")
        seen.page.wait_for_selector(f"#row-{row}.current")
        assert shown_rows(seen)[0] == row
        text = seen.page.inner_text(f"#row-{row}")
        value = data.space.to_values(data.read(PARAMS))[row, 0]
        assert f"{float(f'{value:.4g}'):g} Hz" in text
        assert ("timbre-data look page --row" in text) == (row == silent)


def test_links_lead_where_they_say_and_back_again(seen: Seen) -> None:
    page = seen.page
    for section in ("about", "map", "checks", "labels"):
        page.click(f"nav a[href='#{section}']")
        page.wait_for_timeout(700)
        top = page.evaluate(f"document.getElementById('{section}').getBoundingClientRect().top")
        end = page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY")
        assert abs(top) < 8 or end < 8, (section, top)
    page.evaluate("document.getElementById('rows').scrollIntoView()")
    page.click("#next")
    page.wait_for_function("() => document.getElementById('where').textContent.startsWith('page 2')")
    before = shown_rows(seen)
    page.evaluate("window.scrollTo(0, 300)")
    page.click(f"#row-{before[4]} .near button")
    page.wait_for_function(
        "() => location.hash.startsWith('#row=') && document.getElementById('where').textContent.startsWith('page 1')"
    )
    page.go_back()
    page.wait_for_function("() => document.getElementById('where').textContent.startsWith('page 2')")
    assert shown_rows(seen) == before
    page.goto(page.url.split("#")[0] + "#row=999999")
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('There is no row 999999')")
    page.fill("#text", "nothing is called so")
    page.wait_for_selector("text=No row with sound here fits")
    page.click("#clear")
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('24 of 24')")
    assert "#" not in page.url
    page.click("#theme")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("document.documentElement.dataset.theme") == theme


def test_the_map_is_clicked_and_heard(data: Dataset, seen: Seen) -> None:
    page = seen.page
    page.evaluate("document.getElementById('map').scrollIntoView()")
    page.wait_for_selector("#map-chart canvas")
    page.check("#hover")
    place = """(row) => {
        const chart = echarts.getInstanceByDom(document.getElementById("map-chart"));
        const [x, y] = ["map_x", "map_y"].map((key) => timbre.loaded(key).values[row]);
        const box = document.getElementById("map-chart").getBoundingClientRect(), at = chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, [x, y]);
        return [box.left + at[0], box.top + at[1]];
    }"""
    rows = page.evaluate("timbre.data.sampled")
    page.wait_for_timeout(300)
    heard = False
    for row in rows[:12]:  # others may lie above one
        page.mouse.move(*page.evaluate(place, row))
        page.wait_for_timeout(150)
        heard = heard or page.evaluate(f"player.playing !== null && player.playing.row === {row}")
    assert heard
    page.mouse.click(*page.evaluate(place, rows[0]))
    page.wait_for_function("() => location.hash.startsWith('#row=')")
    page.select_option("#map-colour", "split")
    page.wait_for_function("() => !document.querySelector('#map-chart + .caption').textContent")


def test_histograms_of_rounded_labels_are_as_flat_as_they_were_drawn() -> None:
    from timbre_data.commands.pages.drawing import described
    from timbre_data.schemas.parameter import Parameter

    rounded = Parameter(name="p", low=0, high=10, unit="s", resolution=0.01, description="rounded")
    labels = rounded.quantile((np.arange(10_000) + 0.5) / 10_000).astype(np.float32)
    about = described(rounded, labels)
    assert sum(about["counts"]) == pytest.approx(10_000)
    assert np.ptp(about["counts"]) < 0.03 * np.mean(about["counts"])
    assert np.allclose(about["counts"], about["intended"], rtol=0.02)
    choice = Parameter(name="c", kind="choice", positions=("a", "b", "c"), description="one of three")
    assert described(choice, np.array([0, 0.5, 0.5, 1], np.float32))["counts"] == [1, 2, 1]


def test_nobody_is_shut_out(data: Dataset, tmp_path: Path) -> None:
    folder = page_of("page", "--sounds", "8", "--out", str(tmp_path / "look"))
    for scheme, width in (("light", 1280), ("dark", 390)):
        with opened_folder(
            folder, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
        ) as seen:
            for section in ("labels", "map", "checks", "about"):
                seen.page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
                seen.page.wait_for_timeout(300)
            seen.page.wait_for_selector("#map-chart canvas")
            seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert violations(seen.page) == []
            assert (
                seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
            )
            assert len(seen.page.query_selector_all("#histograms canvas")) == 5


def test_what_a_dataset_says_is_text(tmp_path: Path) -> None:
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u2028'
    build(small_recipe("delay", n=64, description=evil), "evil")
    with opened_folder(page_of("evil", "--sounds", "4", "--out", str(tmp_path / "look"))) as seen:
        for section in ("labels", "map", "about"):
            seen.page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
            seen.page.wait_for_timeout(200)
        assert seen.page.evaluate("window.hacked") is None
        assert "onerror" in seen.page.inner_text("#summary")
        assert "it needs features" in seen.page.inner_text("#map-note")


def test_rows_drawn_again_are_counted_and_shown_where_they_lie() -> None:
    from timbre_data.commands.pages.drawing import rejected_draws
    from timbre_data.pipeline.store.columns import ATTEMPT

    recipe = small_recipe(
        "delay",
        n=200,
        **{"chain.steps.0.parameters": {"delay_seconds": [0.35, 0.5], "mix": [0.9, 1.0]}, "audio.seconds": 0.4},
    )
    build(recipe, "late")
    data = Dataset("late")
    found = rejected_draws(data)
    attempts = data.read(ATTEMPT).astype(int)
    assert found["count"] == attempts.sum() > 0
    assert len(found["values"]) == found["count"]
    delays = np.array(found["values"])[:, 0]
    assert (delays > 0.39).all(), "what was rejected is silent: its echo falls after the end"
