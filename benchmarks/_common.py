"""What the benchmarks share: the machine's name, one core or all, and results kept beside the scripts."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.catalogue.threads import available_cores

RESULTS = Path(__file__).parent / "results"
CORES = available_cores()


def report(name: str, **figures: Any) -> None:
    """Print the figures and keep them."""
    machine = f"{provenance()['processor']}, {CORES} cores, Python {platform.python_version()}"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine} | figures, indent=2) + "\n")
    print(f"{name} ({machine})")
    for key, value in figures.items():
        print(f"  {key}: {value:.4g}" if isinstance(value, float) else f"  {key}: {value}")
