"""Copying, renaming and removing whole datasets, with history, tags and features, between folders and object storage.

All files of a store but its references are written once under a name of their own and never changed. So a copy sends
what the target lacks, in any order, and the references last: whoever opens the target meanwhile finds what was there
before. A copy that was killed goes on where it was.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from timbre_data.pipeline.catalogue import journal
from timbre_data.pipeline.catalogue.progress import Progress
from timbre_data.pipeline.catalogue.threads import share_cores
from timbre_data.pipeline.store.columns import ROW_HASH
from timbre_data.pipeline.store.location import STORE, Location
from timbre_data.pipeline.store.objects import object_store, reaching, sizes
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import BRANCH, exists, open_repository, parts_under_way, refuse_absent
from timbre_data.pipeline.store.shelf import size_of
from timbre_data.pipeline.store.writer import locked, refuse_while_parts_run, translated_errors
from timbre_data.schemas.errors import CorruptDataError, UsageError

IMMUTABLE = ("chunks/", "manifests/", "snapshots/", "transactions/")
"""Folders of a store whose files never change."""
REFERENCES = ("refs/", "overwritten/", "config.yaml", "repo")
"""What changes in a store. Anything else under its address is not ours: neither copied nor deleted."""
ARRIVING = "store.copying"
"""Folder of a local copy before it is complete; the next attempt goes on there."""
THREADS = 8
_LEFT_HALF = re.compile(r"#\d+$")


@dataclass(frozen=True)
class CopyReport:
    """What a copy did: objects and bytes that were sent, objects that were there already, and what arrived."""

    source: str
    target: str
    sent: int
    sent_bytes: int
    there_already: int
    version: str
    snapshot: str
    digest: str | None


def copy(source: Location, target: Location, progress: Progress) -> CopyReport:
    """Copy a dataset, or what a copy lacks of it, and verify what arrived.

    Raises `UsageError` for a target that is another dataset or has commits of its own, `CorruptDataError` for what did
    not arrive as it was sent.
    """
    for location in (source, target):
        if location.version is not None:
            raise UsageError(
                f"{location.address}@{location.version}: a copy has the whole history; leave out @{location.version}."
            )
    if _where(source) == _where(target):
        raise UsageError(f"{source.address} and {target.address} are the same place.")
    share_cores()
    original = Dataset(source.address)
    open_repository(source)  # an export is none
    with reaching(source.address):
        here = object_store(_where(source))
        references = {path: _bytes_of(here, path) for path in sizes(here) if path.startswith(REFERENCES)}
        # listed after the references were read: all that they need is there
        objects = {path: size for path, size in sizes(here).items() if path.startswith(IMMUTABLE)}
    with _locked(target):
        known = exists(target)
        if known:
            _refuse_other_history(source, target)
        place = _where(target) if known or target.remote else str(target.folder / ARRIVING)
        with reaching(target.address), translated_errors(target.address):
            there = object_store(place, create=True)
            before = sizes(there)
            missing = [path for path, size in objects.items() if before.get(path) != size]
            progress.start(f"copying to {target.address}", sum(objects[path] for path in missing), 0.0, unit="bytes")
            _send(here, there, missing, progress, read_back=not target.remote)
            for path in sorted(references, key=_in_order_of_trust):
                if not known or references[path] != _bytes_of(there, path):
                    _put(there, path, references[path])
            progress.stop()
            arrived = sizes(there)
        lost = [path for path, size in objects.items() if arrived.get(path) != size]
        if lost:
            raise CorruptDataError(f"{target.address}: {len(lost)} objects did not arrive: repeat the command.")
        if not target.remote:
            for left in Path(place).rglob("*#*"):
                if _LEFT_HALF.search(left.name):
                    left.unlink(missing_ok=True)
            if not known:
                Path(place).rename(target.folder / STORE)
    digest = _compared(original, target)
    total = sum(objects[path] for path in missing)
    return CopyReport(
        source.address,
        target.address,
        len(missing),
        total,
        len(objects) - len(missing),
        original.version,
        original.snapshot,
        digest,
    )


def rename(source: Location, target: Location, progress: Progress) -> None:
    """Give a dataset another name or place: a folder is renamed, anything else copied, verified and removed. Raises
    `UsageError` for a place that is taken.
    """
    if source.version is not None or target.version is not None:
        raise UsageError("a name without @VERSION: a dataset is renamed as a whole.")
    if parts_under_way(open_repository(source)):
        raise UsageError(
            f"{source.address} is being made in parts, which are called by its name: join them with timbre-data dataset finish {source.address}, or give them up with --drop, before it is renamed."
        )
    if exists(target) or (not target.remote and target.folder.exists()):
        raise UsageError(f"{target.address} exists already: choose another name, or remove it first.")
    if not source.remote and not target.remote:
        with _locked(source), translated_errors(target.address):
            target.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.folder.rename(target.folder)
                return
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
    copy(source, target, progress)  # to another file system, or object storage
    remove(source)


def remove(location: Location) -> int:
    """Delete a dataset with all its versions; what else lies in its folder stays. Returns the number of bytes."""
    if location.version is not None:
        raise UsageError(
            f"{location.address}@{location.version}: a dataset is removed as a whole; leave out the version."
        )
    refuse_absent(location)
    if location.remote:
        import obstore

        with reaching(location.address):
            store = object_store(location.address)
            there = {path: size for path, size in sizes(store).items() if path.startswith((*IMMUTABLE, *REFERENCES))}
            paths = sorted(there, key=lambda path: path.startswith(IMMUTABLE))  # references first: then it is gone
            for path in paths:
                obstore.delete(store, path)
        return sum(there.values())
    with _locked(location), translated_errors(location.address):
        total = size_of(location)
        gone = location.folder / "store.removed"
        shutil.rmtree(gone, ignore_errors=True)
        (location.folder / STORE).rename(gone)
        for folder in (gone, location.folder / ARRIVING):
            shutil.rmtree(folder, ignore_errors=True)
    for name in ("writer.json", "writer.lock", journal.FILE):
        (location.folder / name).unlink(missing_ok=True)
    if not any(location.folder.iterdir()):
        location.folder.rmdir()
    return total


def _where(location: Location) -> str:
    """The address of a dataset's objects."""
    return location.address.rstrip("/") if location.remote else str((location.folder / STORE).absolute())


@contextmanager
def _locked(location: Location) -> Iterator[None]:
    """Hold off writers of a local dataset, those of parts too."""
    with locked(location):
        refuse_while_parts_run(location)
        yield


def _refuse_other_history(source: Location, target: Location) -> None:
    """Raise `UsageError` where the target is not an earlier state of the source."""
    ours, theirs = open_repository(source), open_repository(target)
    known = {str(info.id) for info in ours.ancestry(branch=BRANCH)}
    tags = {name: str(ours.lookup_tag(name)) for name in ours.list_tags()}
    other_tags = [name for name in theirs.list_tags() if tags.get(name) != str(theirs.lookup_tag(name))]
    if str(theirs.lookup_branch(BRANCH)) not in known or other_tags:
        raise UsageError(
            f"{target.address} is another dataset, or has commits or tags that {source.address} has not: choose another name for the copy."
        )


def _send(here: Any, there: Any, paths: list[str], progress: Progress, *, read_back: bool) -> None:
    def send(path: str) -> int:
        content = _bytes_of(here, path)
        _put(there, path, content)
        if read_back and xxhash.xxh3_64_intdigest(_bytes_of(there, path)) != xxhash.xxh3_64_intdigest(content):
            raise CorruptDataError(f"{path} was not stored as it was sent: is the disk sound?")
        return len(content)

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for count in pool.map(send, paths):
                progress.advance(count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _bytes_of(store: Any, path: str) -> bytes:
    import obstore

    try:
        return bytes(obstore.get(store, path).bytes())
    except FileNotFoundError:
        return b""


def _put(store: Any, path: str, content: bytes) -> None:
    import obstore

    obstore.put(store, path, content)


def _in_order_of_trust(path: str) -> tuple[int, str]:
    """The order in which references arrive: settings, tags, then the branch, then what newer formats begin with."""
    if path.startswith("refs/branch"):
        return 2, path
    return (3 if path == "repo" else 1 if path.startswith("refs/") else 0), path


def _compared(original: Dataset, target: Location) -> str | None:
    """Open what arrived and compare it with what was sent. Returns the digest of its content."""
    arrived = Dataset(target.address, original.snapshot)
    digest = arrived.digest()
    same = digest == original.digest() and (arrived.read(ROW_HASH) == original.read(ROW_HASH)).all()
    if not same:
        raise CorruptDataError(
            f"{target.address} is not what was sent: see timbre-data dataset verify {target.address}."
        )
    return digest
