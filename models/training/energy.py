"""Electricity used by training, by codecarbon: measured where the machine reports it, else estimated from its
processor.
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from timbre_data.pipeline.catalogue.files import write_whole

FILE = "energy.json"


class EnergyMeter:
    """A context manager that adds the energy of what runs inside to RUN/energy.json, so a resumed run counts whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def __enter__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from codecarbon import OfflineEmissionsTracker

            logging.getLogger("codecarbon").disabled = True
            self._tracker = OfflineEmissionsTracker(
                country_iso_code="BEL", save_to_file=False, log_level="critical", allow_multiple_runs=True
            )
            self._tracker.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tracker.stop()
        emissions = self._tracker.final_emissions_data
        before = read(self._path.parent) or {"watt_hours": 0.0, "seconds": 0.0}
        about = {
            "watt_hours": before["watt_hours"] + 1000 * float(emissions.energy_consumed),
            "seconds": before["seconds"] + float(emissions.duration),
            "processor": str(emissions.cpu_model),
            "accelerator": str(emissions.gpu_model or ""),
        }
        write_whole(self._path, json.dumps(about, indent=2))


def read(folder: Path) -> dict[str, Any] | None:
    """Energy and time of a run so far: watt_hours, seconds; None if they were not measured."""
    path = folder / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
