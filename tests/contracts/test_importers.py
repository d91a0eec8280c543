"""Every importer: says where its data comes from, finds every file, names every problem, and makes a dataset like any
other.

A new importer needs `tests/fixtures/NAME.py` with `make(folder)`, which writes a small tree in the real layout and
returns how many recordings it holds.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from timbre_data.models.data.rows import load_rows
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue.importer import Importer
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.store.columns import TAGS
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import NotFoundError, SourceError, UsageError

NAMES = IMPORTERS.names()


@pytest.fixture(scope="module")
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, int]:
    """An importer, a folder with its recordings (`tree`) and their import (`dataset`), made once, and how many rows
    that holds.
    """
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tree").mkdir()
    count = importlib.import_module(f"tests.fixtures.{request.param}").make(folder / "tree")
    imported(request.param, folder / "tree", str(folder / "dataset"), cluster=Cluster(workers=1))
    return request.param, folder, count


@pytest.fixture
def tree(first: tuple[str, Path, int], tmp_path: Path) -> tuple[str, Path, int]:
    """An importer, recordings for it that a test may change, and how many rows they are."""
    name, folder, count = first
    shutil.copytree(folder / "tree", tmp_path / "tree")
    return name, tmp_path / "tree", count


@pytest.fixture
def real(first: tuple[str, Path, int], home: Path) -> Dataset:
    """The recordings of `tree`, imported as the dataset "real" before they were copied."""
    shutil.copytree(first[1] / "dataset", home / "real")
    return Dataset("real")


NO_LIST = {"note_folder"}
"""Importers of folders without any list of what belongs there."""


def sounds_in(name: str, folder: Path) -> list[Path]:
    """Sound files that are to be rows: all but those that the fixture says are none."""
    none = getattr(importlib.import_module(f"tests.fixtures.{name}"), "NO_ROWS", ())
    sounds = (path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".mp3", ".flac", ".ogg"))
    return sorted(path for path in sounds if path.name not in none)


def imported(name: str, folder: Path, out: str = "real", **options: Any) -> Dataset:
    import_dataset(
        name,
        {"path": folder} | options.pop("settings", {}),
        locate(out),
        options.pop("cluster", Cluster(workers=2)),
        **options,
    )
    return Dataset(out)


@pytest.mark.parametrize("first", NAMES, indirect=True)
class TestImporter:
    def test_says_where_it_comes_from(self, tree: tuple[str, Path, int]) -> None:
        importer: Importer = IMPORTERS.load(tree[0])
        assert importer.summary.endswith(".")
        assert importer.licence
        assert "(" in importer.citation
        assert importer.url.startswith("https://")
        assert all(kind_and_sum.count(":") == 1 for kind_and_sum in importer.checksums.values())
        assert set(importer.steps) <= set(EFFECTS.names())

    def test_every_recording_is_a_row_with_labels_and_a_group(self, tree: tuple[str, Path, int], real: Dataset) -> None:
        name, folder, count = tree
        data = real
        assert data.n == count == len(data.usable())
        assert verify(data).whole
        importer: Importer = IMPORTERS.load(name)
        assert (data.recipe.licence, data.recipe.citation) == (importer.licence, importer.citation)
        assert ((data.read("labels/order") >= 0).sum(axis=1) == 1).all()
        assert set(data.read("labels/file")) == {
            path.relative_to(folder).as_posix() for path in sounds_in(name, folder)
        }
        peaks = np.abs(data.audio()).max(axis=(1, 2))
        assert (peaks > (0.9 if data.recipe.audio.peak == "normalise" else 0.01)).all()
        groups = data.read("dry/group")[data.read("dry/index").astype(int)]
        for group in set(groups):
            assert len(set(data.split()[groups == group])) == 1

    def test_the_bytes_do_not_depend_on_workers_or_batches(self, tree: tuple[str, Path, int], real: Dataset) -> None:
        """`real` was made by one worker, in batches of the usual size."""
        name, folder, _ = tree
        two = imported(name, folder, "two", cluster=Cluster(workers=2, batch=256))
        assert np.array_equal(real.read("integrity/rows"), two.read("integrity/rows"))
        assert np.array_equal(real.read("integrity/dry"), two.read("integrity/dry"))

    def test_again_is_a_no_op_and_other_files_are_refused(self, tree: tuple[str, Path, int]) -> None:
        name, folder, _ = tree
        data = imported(name, folder)
        assert imported(name, folder).snapshot == data.snapshot
        victim = sounds_in(name, folder)[0]
        victim.unlink()
        if name not in NO_LIST:
            with pytest.raises(SourceError, match="missing"):
                imported(name, folder)
        with pytest.raises(UsageError, match="other files"):
            imported(name, folder, keep_going=True)

    def test_unreadable_files_are_named_and_left_out_only_when_asked(
        self, tree: tuple[str, Path, int], real: Dataset
    ) -> None:
        name, folder, count = tree
        victim = sounds_in(name, folder)[3]
        rows = int((real.read("labels/file") == victim.relative_to(folder).as_posix()).sum())
        victim.write_bytes(b"RIFFxxxx")
        with pytest.raises(SourceError, match=victim.name):
            imported(name, folder, "without")
        data = imported(name, folder, "without", keep_going=True)
        assert len(data.usable()) == count - rows

    def test_repaired_files_are_imported_by_the_same_command(self, tree: tuple[str, Path, int]) -> None:
        """Though the import was begun with others: as long as it has no rows."""
        name, folder, count = tree
        victim = sounds_in(name, folder)[3]
        content = victim.read_bytes()
        victim.write_bytes(b"RIFFxxxx")
        with pytest.raises(SourceError, match=victim.name):
            imported(name, folder)
        victim.write_bytes(content)
        data = imported(name, folder)
        assert len(data.usable()) == count
        assert verify(data).whole

    def test_files_that_end_too_early_are_named(self, tree: tuple[str, Path, int]) -> None:
        """As after half a download: their headers still tell the whole length."""
        name, folder, _ = tree
        victim = sounds_in(name, folder)[3]
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
        with pytest.raises(SourceError, match="cut short") as told:
            imported(name, folder)
        assert victim.name in str(told.value)

    def test_a_wrong_folder_is_refused(self, tree: tuple[str, Path, int], tmp_path: Path) -> None:
        (tmp_path / "nothing").mkdir()
        with pytest.raises(NotFoundError):
            imported(tree[0], tmp_path / "nothing")

    def test_there_is_nothing_to_render_again(self, real: Dataset) -> None:
        with pytest.raises(UsageError, match="was imported"):
            rerender_rows(real, 4)

    def test_exports_carry_its_labels(self, first: tuple[str, Path, int], real: Dataset, tmp_path: Path) -> None:
        count = first[2]
        export(real, tmp_path / "out", "wav")
        tables = [pd.read_csv(path) for path in (tmp_path / "out").rglob("metadata.csv")]
        assert sum(map(len, tables)) == count
        assert {"file", "effects", "dry"} <= set(tables[0].columns)
        assert all(("tags" in table) == real.has(TAGS) for table in tables)

    def test_features_and_training_work_on_it(self, first: tuple[str, Path, int], real: Dataset) -> None:
        count = first[2]
        featurizing.featurize(real.location, {"autofx163": {}}, Cluster(workers=2))
        rows = load_rows([Dataset("real")], ["autofx163"], "note")
        assert rows.features.shape == (count, 163)
        assert (rows.classes >= 0).all()
        assert not rows.mask.any()


def cutting() -> list[str]:
    """Importers that cut files into pieces."""
    return [name for name in NAMES if "piece_seconds" in IMPORTERS.load(name).settings.model_fields]


@pytest.mark.parametrize("first", cutting(), indirect=True)
def test_a_row_holds_one_piece(tree: tuple[str, Path, int], real: Dataset) -> None:
    """Longer ones would lose their ends, shorter ones overlap."""
    name, folder, _ = tree
    importer: Importer = IMPORTERS.load(name)
    assert importer.settings.model_fields["piece_seconds"].default == importer.audio.seconds
    short = imported(name, folder, "short", settings={"piece_seconds": 0.5})
    too = imported(name, folder, "too", audio={"seconds": 0.5})
    assert short.recipe.audio.seconds == 0.5
    assert short.recipe.n > real.recipe.n
    assert np.array_equal(short.read("integrity/rows"), too.read("integrity/rows"))
    with pytest.raises(UsageError, match="a row holds one piece"):
        imported(name, folder, "both", audio={"seconds": 1.0}, settings={"piece_seconds": 0.5})
