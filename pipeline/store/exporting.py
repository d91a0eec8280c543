"""Hand-over formats: plain Zarr v3, WAV with CSV, Parquet. Each is written beside its place and renamed when it is
complete.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from timbre_data.pipeline.catalogue.files import OwnFolder
from timbre_data.pipeline.store.card import card
from timbre_data.pipeline.store.exporters import EXPORTERS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import translated_errors
from timbre_data.schemas.errors import CorruptDataError, UsageError

MANIFEST = "SHA256SUMS"


def export(data: Dataset, to: Path, form: str, *, leave_out_unfinished: bool = False) -> int:
    """Write a dataset to the new folder `to` in a format of `exporters/`. Returns the number of files. Raises
    `CorruptDataError` for an unfinished dataset, and for unfinished features unless they are to be left out.

    Every file is listed with its SHA-256 in `SHA256SUMS` (check with `sha256sum -c`); `README.md` is the card.
    """
    exporter = EXPORTERS.load(form)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} exists already: choose a new folder with --to.")
    if not data.complete():
        raise CorruptDataError(
            f"{data.location.address} is not finished ({int(data.present().sum())} of {data.recipe.n} rows): render it to the end first."
        )
    unfinished = data.unfinished_features()
    if unfinished and not leave_out_unfinished:
        raise CorruptDataError(
            f"{data.location.address} has features that are not finished ({', '.join(unfinished)}): repeat timbre-data featurize for them, or leave them out with --leave-out-unfinished."
        )
    data.left_out = tuple(unfinished)
    with translated_errors(str(to)):
        to.parent.mkdir(parents=True, exist_ok=True)
        ours = OwnFolder(to.parent, f"{to.name}.partial-")  # whatever else lies there
        try:
            partial = ours.path / to.name
            partial.mkdir()
            exporter.write(data, partial)
            (partial / "README.md").write_text(card(data, form), encoding="utf-8")
            count = _manifest(partial)
            if to.exists():
                to.rmdir()
            partial.rename(to)
        finally:
            ours.close()
    return count


def _manifest(folder: Path) -> int:
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    return len(lines)
