"""The log of a training: a line for each epoch in RUN/epochs.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from timbre_data.pipeline.catalogue.files import whole
from timbre_data.schemas.errors import CorruptDataError

FILE = "epochs.csv"


def write(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write all lines, in the columns of the last one; a line of an older version may lack some."""
    with whole(folder / FILE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)


def read(folder: Path) -> list[dict[str, float]]:
    """The epochs of a run; a line lacks what an older version did not measure. Raises `CorruptDataError`."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        if not rows or not all({"epoch", "train_loss", "validation_loss", "seconds"} <= row.keys() for row in rows):
            raise ValueError("epochs or columns are missing")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CorruptDataError(
            f"{folder / FILE}, the log of the training, cannot be read ({reason}): restore it from a copy, or train again."
        ) from None
    return rows


def waiting_share(rows: Sequence[Mapping[str, float]]) -> float | None:
    """Share of the training's time spent on putting batches together; None where an older version did not measure
    it.
    """
    if any("waiting" not in row for row in rows):
        return None
    return sum(row["waiting"] for row in rows) / max(sum(row["seconds"] for row in rows), 1e-9)
