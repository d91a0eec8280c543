"""Check that every row is present and matches its hash. Reads everything and compares each row with its stored hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.store.columns import AUDIO_CHUNK, DRY_HASH, FAILED, ORIGIN_HASH, ROW_HASH, dry_arrays
from timbre_data.pipeline.store.description import DIGEST
from timbre_data.pipeline.store.origins import ORIGINS, RowHashes, origin_arrays
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.task_session import Columns, hashes
from timbre_data.schemas.errors import CorruptDataError


@dataclass
class Verdict:
    """The result of a verification. `missing` rows were never written or lost their hash; `damaged` ones differ from
    it; `history` names older versions that are lost or damaged.
    """

    dataset: str
    rows: int
    checked: int = 0
    failed: int = 0
    missing: dict[str, list[int]] = field(default_factory=dict)
    damaged: dict[str, list[int]] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.missing and not self.damaged and not self.history


def verify(data: Dataset) -> Verdict:
    """Check dry sounds, rows and features against their hashes, chunk by chunk. Memory does not grow with n."""
    verdict = Verdict(data.location.address, data.n)
    verdict.history = data.history_problems()
    if DIGEST not in data.root.attrs:
        verdict.messages.append("its description has no digest (made by an older version), so only rows are proven")
    try:
        verdict.failed = int(data.read(FAILED).sum())
    except CorruptDataError as error:
        verdict.messages.append(str(error))
    expected = int(data.recipe.n)
    if data.n < expected:
        verdict.missing["rows"] = list(range(data.n, expected))
    row_hashes = RowHashes(data.root)
    _check(data, verdict, "rows", ROW_HASH, row_hashes.paths, row_hashes)
    if data.meta.get(ORIGINS):
        _check(data, verdict, "origin", ORIGIN_HASH, origin_arrays(data.meta.get("extra_labels", ())))
    _check(data, verdict, "dry", DRY_HASH, dry_arrays(data.recipe))
    for name, feature_set in data.feature_sets().items():
        _check(data, verdict, name, f"integrity/{name}", (feature_set["path"],))
    return verdict


def _check(
    data: Dataset,
    verdict: Verdict,
    what: str,
    bookkeeping: str,
    paths: Sequence[str],
    hashes_of: Callable[[Columns], NDArray[np.uint64]] | None = None,
) -> None:
    """Compare what is in `paths` with its hashes, by default those of the arrays as they are."""
    count = int(data.array(bookkeeping).shape[0])
    for start in range(0, count, AUDIO_CHUNK):
        rows = slice(start, min(start + AUDIO_CHUNK, count))
        try:
            stored = data.read(bookkeeping, rows)
            columns: dict[str, NDArray[Any]] = {path: data.read(path, rows) for path in paths}
        except CorruptDataError as error:
            verdict.damaged.setdefault(what, []).extend(range(rows.start, rows.stop))
            verdict.messages.append(str(error))
            continue
        there = stored != 0
        wrong = (
            np.flatnonzero(there & ((hashes_of(columns) if hashes_of else hashes(columns, paths)) != stored)) + start
        )
        absent = np.flatnonzero(~there) + start
        if len(wrong):
            verdict.damaged.setdefault(what, []).extend(wrong.tolist())
        if len(absent):
            verdict.missing.setdefault(what, []).extend(absent.tolist())
        verdict.checked += int(there.sum())


def ranges(rows: Sequence[int], most: int = 6) -> str:
    """Write row numbers as ranges: 0-63, 128."""
    values = np.asarray(rows)
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:most]]
    return ", ".join(texts) + (f" and {len(runs) - most} more" if len(runs) > most else "")
