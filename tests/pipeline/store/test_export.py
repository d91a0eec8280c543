"""Hand-over formats, read back with other people's tools."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import zarr

from tests.conftest import all_columns, small_recipe
from timbre_data.pipeline.build import featurizing, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.columns import SPLITS
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import BuildError, CorruptDataError, UsageError


@pytest.fixture
def data(render: Callable[..., Dataset]) -> Dataset:
    made = render("distortion", "d", n=150)
    featurizing.featurize(made.location, {"autofx163": {}}, Cluster(workers=2))
    return Dataset("d")


def test_plain_zarr_is_the_same_data_for_anybody(data: Dataset, tmp_path: Path) -> None:
    export(data, tmp_path / "out", "zarr")
    root = zarr.open_group(tmp_path / "out", mode="r")
    for path, values in all_columns(data).items():
        assert np.array_equal(np.asarray(root[path][:]), values), path  # type: ignore[index]  # an array
    assert root.attrs["timbre_data"]["recipe"]["seed"] == 0  # type: ignore[index,call-overload]  # a mapping


def test_wav_and_csv_are_sample_exact(data: Dataset, tmp_path: Path) -> None:
    export(data, tmp_path / "out", "wav")
    total = 0
    for split in SPLITS:
        table = pd.read_csv(tmp_path / "out" / split / "metadata.csv")
        total += len(table)
        for record in table.head(5).itertuples():
            sound, rate = soundfile.read(
                tmp_path / "out" / split / str(record.file_name), dtype="int16", always_2d=True
            )
            assert rate == 22_050
            assert np.array_equal(sound.T, data.read("audio", int(record.row)))  # type: ignore[arg-type]  # a number
        values = data.space.to_values(data.read("params", table["row"].to_numpy()))
        assert np.allclose(table["distortion.drive_db"], values[:, 0], rtol=1e-6)
    assert total == 150


def test_parquet_holds_sounds_and_labels(data: Dataset, tmp_path: Path) -> None:
    export(data, tmp_path / "out", "parquet")
    tables = [pd.read_parquet(path) for path in sorted((tmp_path / "out" / "data").glob("*.parquet"))]
    joined = pd.concat(tables).sort_values("row")
    assert joined["row"].tolist() == list(range(150))
    import io

    sound, _ = soundfile.read(io.BytesIO(joined["audio"].iloc[7]["bytes"]), dtype="int16", always_2d=True)
    assert np.array_equal(sound.T, data.read("audio", 7))


@pytest.mark.parametrize("form", ["zarr", "wav", "parquet"])
def test_checksums_and_card_come_along(data: Dataset, tmp_path: Path, form: str) -> None:
    export(data, tmp_path / "out", form)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "distortion.drive_db | 0 to 60 | dB" in card
    assert data.snapshot in card


def test_nothing_is_overwritten_and_nothing_half_written_stays(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export(data, tmp_path / "out", "wav")

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", broken)
    with pytest.raises(BuildError, match="is full"):
        export(data, tmp_path / "other", "wav")
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("datasets", "runs")] == ["out"]


def test_an_unfinished_dataset_is_not_handed_over(tmp_path: Path) -> None:
    from timbre_data.pipeline.build.plan import Plan
    from timbre_data.pipeline.store.writer import Writer

    with Writer(locate("d"), create=True) as writer:
        rendering._prepare(writer, Plan(small_recipe(n=50)))
    with pytest.raises(CorruptDataError, match="not finished"):
        export(Dataset("d"), tmp_path / "out", "zarr")
