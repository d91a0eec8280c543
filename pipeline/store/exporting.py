"""Hand-over formats, each with card, citation, Croissant metadata and checksums. An export is written beside its place
and renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from timbre_data.pipeline.catalogue.files import OwnFolder
from timbre_data.pipeline.catalogue.threads import share_cores
from timbre_data.pipeline.store.card import card, description
from timbre_data.pipeline.store.citation import bibtex, citation_file
from timbre_data.pipeline.store.croissant import metadata
from timbre_data.pipeline.store.exporters import EXPORTERS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import translated_errors
from timbre_data.schemas.errors import CorruptDataError, UsageError

MANIFEST = "SHA256SUMS"


def export(data: Dataset, to: Path, form: str, *, leave_out_unfinished: bool = False) -> int:
    """Write a dataset to the new folder `to` in a format of `exporters/`. Returns the number of files. Raises
    `CorruptDataError` for an unfinished dataset, and for unfinished features unless they are to be left out.

    Every file is listed with its SHA-256 in `SHA256SUMS` (check with `sha256sum -c`); `README.md` is the card, with
    `CITATION.cff` and `croissant.json` beside it.
    """
    exporter = EXPORTERS.load(form)
    share_cores()
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
            digests = exporter.write(data, partial) or {}
            about = metadata(data, exporter, description(data), bibtex(data))
            (partial / "README.md").write_text(card(data, form, exporter), encoding="utf-8")
            (partial / "CITATION.cff").write_text(citation_file(data, description(data)), encoding="utf-8")
            (partial / "croissant.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
            count = _manifest(partial, digests)
            if to.exists():
                to.rmdir()
            partial.rename(to)
        finally:
            ours.close()
    return count


def _manifest(folder: Path, known: Mapping[str, str]) -> int:
    """List all files with their SHA-256: as known, or read again."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    unknown = [path for path in paths if path not in known]
    with ThreadPoolExecutor() as pool:
        digests = {**known, **dict(zip(unknown, pool.map(_sha256, (folder / path for path in unknown)), strict=True))}
    (folder / MANIFEST).write_text("".join(f"{digests[path]}  {path}\n" for path in paths), encoding="utf-8")
    return len(paths)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
