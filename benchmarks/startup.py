"""Seconds until `--help`, and until the first row of a new dataset is rendered, in fresh processes; then growth of
memory with n.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from benchmarks._common import report

CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
FIRST_ROW = r"""
import sys, time
from timbre_data.pipeline.build import recipes, rendering, row_rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
original = row_rendering._make_block
def first(*arguments):
    original(*arguments)
    sys.stdout.write(f"{time.time()}\n")
    sys.stdout.flush()
    row_rendering._make_block = original
row_rendering._make_block = first
recipe = recipes.load(validation.override(recipes.for_effect("distortion"), {"n": int(sys.argv[2])}))
rendering.render(recipe, locate(sys.argv[1] + "/d" + sys.argv[2]), Cluster())
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def main() -> None:
    helps = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([*CLI, "--help"], capture_output=True, check=True)
        helps.append(time.perf_counter() - start)
    figures = {"help_s": min(helps)}
    with tempfile.TemporaryDirectory() as folder:
        for n in (10_000, 40_000):
            start = time.time()
            done = subprocess.run(
                [sys.executable, "-c", FIRST_ROW, folder, str(n)], capture_output=True, text=True, check=True
            )
            first, memory = done.stdout.split()[0], done.stdout.split()[-1]
            figures[f"first_row_s_n{n}"] = float(first) - start
            figures[f"peak_memory_gb_n{n}"] = float(memory)
    report("startup", **figures)


if __name__ == "__main__":
    main()
