"""The description is proven: no flipped bit anywhere in a store changes what is read and passes `verify`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import all_columns, build, small_recipe
from tests.fixtures import irmas
from timbre_data.pipeline.build import featurizing, recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.store.description import DIGEST
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.versions import tag
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.schemas.errors import CorruptDataError, TimbreDataError

FLIPS = int(os.environ.get("TIMBRE_DATA_FLIPS", "15"))
"""Bits to flip in a store of each kind, in a run of all tests; a thousand take six minutes."""


def everything(data: Dataset) -> dict[str, Any]:
    """All that can be read of a dataset, in a form that compares."""
    arrays = {path: values.tolist() for path, values in all_columns(data).items()}
    attributes = {path: node.attrs.asdict() for path, node in data.root.members(max_depth=None)}
    return {"arrays": arrays, "attributes": attributes, "meta": data.meta, "recipe": data.recipe.model_dump()}


def flipped(original: Path, home: Path, rng: np.random.Generator, before: dict[str, Any]) -> str | None:
    """Flip one bit of one file, weighted towards small files (the description), and judge. Returns the finding."""
    shutil.rmtree(home / "d", ignore_errors=True)
    shutil.copytree(original, home / "d")
    files = sorted(path for path in (home / "d" / "store").rglob("*") if path.is_file() and path.stat().st_size)
    path = files[int(rng.integers(len(files)))]
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(content))
    try:
        data = Dataset("d")
        whole = verify(data).whole
        after = everything(data) if whole else None
    except TimbreDataError:
        return None
    except Exception as error:
        return f"{path.relative_to(home)} byte {place}: {type(error).__name__}: {error}"
    if whole and json.dumps(after, sort_keys=True, default=str) != json.dumps(before, sort_keys=True, default=str):
        return f"{path.relative_to(home)} byte {place}"
    return None


def made(kind: str, folder: Path) -> Dataset:
    """A small dataset of a kind, as it was made."""
    if kind == "rendered":
        return build(small_recipe("tremolo", n=12, **{"audio.seconds": 0.05}), "d")
    if kind == "captured":
        recipe = recipes.for_synth("amsynth") | {"n": 12, "audio": {"rate": 22_050, "seconds": 0.2}}
        return build(recipes.load(recipe), "d", cluster=Cluster(workers=1))
    irmas.make(folder / "irmas")
    import_dataset("irmas", {"path": folder / "irmas", "piece_seconds": 0.5}, locate("d"), Cluster(workers=1))
    return Dataset("d")


@pytest.mark.filterwarnings("ignore")  # of Zarr and NumPy about what they are given: only what is read counts
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("rendered", 12),
        pytest.param("rendered", FLIPS, marks=pytest.mark.slow),
        pytest.param("captured", FLIPS, marks=pytest.mark.slow),  # starts the programs
        pytest.param("imported", FLIPS, marks=pytest.mark.slow),
    ],
)
def test_no_flipped_bit_changes_what_is_read_and_passes(home: Path, tmp_path: Path, kind: str, count: int) -> None:
    data = made(kind, tmp_path)
    featurizing.featurize(data.location, {"autofx163": {}}, Cluster(workers=1))
    tag(data.location, "first")
    before = everything(Dataset("d"))
    shutil.copytree(home / "d", tmp_path / "original")
    rng = np.random.default_rng(count)
    findings = [finding for _ in range(count) if (finding := flipped(tmp_path / "original", home, rng, before))]
    assert not findings, findings


@pytest.mark.parametrize("change", ["rate", "unit", "names", "digest"])
def test_a_description_that_was_altered_is_refused(render: Callable[..., Dataset], change: str) -> None:
    """As a flipped bit does it: below the writer, which would compute the digest anew."""
    import zarr

    data = render("delay", "d", n=20)
    with Writer(data.location) as writer:
        root = zarr.open_group(writer._session.store, mode="a")
        stored = meta(root)
        if change == "rate":
            stored["recipe"]["audio"]["rate"] = 22_060
            root.attrs["timbre_data"] = stored
        elif change == "digest":
            del root.attrs[DIGEST]
        else:
            params: Any = root["params"]
            described = list(params.attrs["parameters"])
            if change == "unit":
                described[0]["unit"] = "ms"
            else:
                described[0], described[1] = described[1], described[0]
            params.attrs["parameters"] = described
        writer._session.commit("altered")
    with pytest.raises(CorruptDataError, match="does not match its digest"):
        Dataset("d")
    with pytest.raises(CorruptDataError, match="does not match its digest"), Writer(data.location):
        pass
    assert Dataset("d@v1.0.0").n == 20


def test_one_damaged_dataset_does_not_hide_the_others(
    home: Path, render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    render("delay", "good", n=20)
    render("delay", "bad", n=20)
    for path in (home / "bad" / "store" / "snapshots").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    assert command("dataset", "list") == 0
    said = capsys.readouterr().out
    assert "good" in said
    assert "DAMAGED" in said


def test_a_lost_older_version_is_found(home: Path, render: Callable[..., Dataset]) -> None:
    data = render("delay", "d", n=20)
    old = data.snapshot
    with Writer(data.location) as writer:
        set_meta(writer.root(), note="later")
        writer.commit("later")
    assert verify(Dataset("d")).whole
    (home / "d" / "store" / "snapshots" / old).unlink()
    verdict = verify(Dataset("d"))
    assert not verdict.whole
    assert verdict.history


def test_unfinished_features_are_not_exported_as_zeros(render: Callable[..., Dataset], tmp_path: Path) -> None:
    import zarr

    data = render("delay", "d", n=20)
    featurizing.featurize(data.location, {"autofx163": {}}, Cluster(workers=1))
    with Writer(data.location) as writer:
        hashes: Any = writer.root()["integrity/autofx163"]
        hashes[5:9] = 0
        writer.commit("as after a kill")
    with pytest.raises(CorruptDataError, match=r"autofx163.*--leave-out-unfinished"):
        export(Dataset("d"), tmp_path / "out", "zarr")
    mine = tmp_path / "out.partial"
    mine.mkdir()
    (mine / "precious").write_text("x")
    export(Dataset("d"), tmp_path / "out", "zarr", leave_out_unfinished=True)
    assert (mine / "precious").read_text() == "x"
    root = zarr.open_group(tmp_path / "out" / "data.zarr", mode="r")
    assert "features/autofx163" not in root
    assert not meta(root)["features"]
    assert str(Dataset(str(tmp_path / "out")).digest()) in (tmp_path / "out" / "README.md").read_text()
    assert "None" not in (tmp_path / "out" / "CITATION.cff").read_text()
    assert {path.name for path in tmp_path.glob("out*")} == {"out", "out.partial"}


def test_locations_that_cannot_be(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x" * 300, "~nouser/x", "a/" + "y" * 260):
        with pytest.raises(TimbreDataError):
            locate(name)
        assert command("render", "--fx", "delay", "--n", "4", "--out", name) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
