"""The page of a dataset of 37,440 rows: seconds to make it beside reading every sound once, its size, seconds to its
first view in Chromium, and milliseconds of filters, orders and a chart (from the input to the next frame).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import CORES, report
from tests.fixtures.browser import opened
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.columns import AUDIO
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset

ROWS, SOUNDS, CHUNK, ROUNDS = 37_440, 200, 64, 5
CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
INPUT = """async ([selector, value, event]) => {
    const element = document.querySelector(selector), before = document.getElementById("count").textContent + document.querySelector(".card")?.id;
    const begun = performance.now();
    element.value = value;
    element.dispatchEvent(new Event(event, {bubbles: true}));
    while (document.getElementById("count").textContent + document.querySelector(".card")?.id === before && performance.now() - begun < 5000) await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""
CHART = """async () => {
    const begun = performance.now();
    document.getElementById("pair-colour").selectedIndex = 2;
    document.getElementById("pair-colour").dispatchEvent(new Event("change"));
    const caption = document.querySelector("#pair + .caption");
    while (!caption.textContent && performance.now() - begun < 5000) await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        name = f"{folder}/distortion"
        recipe = recipes.load(validation.override(recipes.for_effect("distortion"), {"n": ROWS}))
        rendering.render(recipe, locate(name), Cluster(), features={"autofx163": {}})
        data = Dataset(name)
        begun = time.perf_counter()
        starts = range(0, data.n, CHUNK)
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda start: data.read(AUDIO, slice(start, start + CHUNK)), starts))
        reading = time.perf_counter() - begun
        page = Path(folder) / "page"
        begun = time.perf_counter()
        command = [*CLI, "look", name, "--sounds", str(SOUNDS), "--out", str(page)]
        subprocess.run(command, check=True, capture_output=True)
        making = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in page.rglob("*") if file.is_file())
        figures: dict[str, Any] = {
            "rows": ROWS,
            "sounds": SOUNDS,
            "made, s": making,
            "every sound read once, s": reading,
            "size, MB": size / 1e6,
        }
        report("pages", **figures | shown(page))


def shown(page: Path) -> dict[str, float]:
    """What happens in the browser: medians over some rounds, each in a browser of its own."""
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with opened((page / "index.html").as_uri()) as seen:
            seen.page.wait_for_selector(".card img")
            first = seen.page.evaluate("performance.now()") / 1000
            seen.page.wait_for_selector("body[data-ready]")
            seen.page.uncheck("#with-sound")
            seen.page.wait_for_function("() => document.getElementById('count').textContent.startsWith('37440')")
            low = "input[aria-label^='distortion.drive_db'][data-end=low]"
            one: dict[str, float] = {"first view, s": first, "with the browser's start, s": time.perf_counter() - begun}
            for what, given in (
                ("range, first time, ms", (low, "30", "input")),
                ("range again, ms", (low, "31", "input")),
                ("order, ms", ("#sort", "effect_db", "input")),
                ("text, ms", ("#text", "12", "input")),
            ):
                one[what] = seen.page.evaluate(INPUT, list(given))
            seen.page.evaluate("document.getElementById('pair').scrollIntoView()")
            seen.page.wait_for_selector("#pair canvas")
            one["two columns, 8,000 points, in another colour, ms"] = seen.page.evaluate(CHART)
            rounds.append(one)
    return {what: float(np.median([one[what] for one in rounds])) for what in rounds[0]}


if __name__ == "__main__":
    main()
