"""Rows for PyTorch: the same values in any process, the same batches for any number of workers, from anywhere on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:This process")


@pytest.fixture
def data(render: Callable[..., Dataset]) -> Dataset:
    return render("distortion", "d", n=300)


def loader(rows: Any, workers: int, **options: Any) -> DataLoader[Any]:
    if workers:
        options |= {"num_workers": workers, "multiprocessing_context": "fork"}
    return DataLoader(rows, **options)


def everything(batches: Any) -> list[list[torch.Tensor]]:
    return [list(batch) for batch in batches]


def same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)
    )


def test_items_are_the_rows_of_a_split(data: Dataset) -> None:
    rows = data.torch(split="test", fields=["audio", "params", "row", "dry", "labels/mask"])
    expected = np.flatnonzero(data.split() == 2)
    assert len(rows) == len(expected)
    sound, params, row, dry, mask = rows[3]
    assert int(row) == expected[3]
    assert np.array_equal(sound.numpy(), data.audio(int(expected[3])))
    assert np.array_equal(dry.numpy(), data.dry(int(expected[3])))
    assert np.array_equal(params.numpy(), data.read("params", int(expected[3])))
    assert mask.dtype == torch.bool
    stored = data.torch(split="test", fields=["audio"], stored_integers=True)[3][0]
    assert stored.dtype == torch.int16
    assert np.array_equal(stored.numpy(), data.read("audio", int(expected[3])))


def test_features_and_texts_are_fields(data: Dataset) -> None:
    featurizing.featurize(data.location, {"autofx163": {}, "logmel": {"n_mels": 20}}, Cluster(workers=1))
    data = Dataset("d")
    vector, spectrogram = data.torch(fields=["autofx163", "logmel"])[7]
    assert np.array_equal(vector.numpy(), data.read("features/autofx163", 7))
    assert spectrogram.dtype == torch.float32
    assert np.array_equal(spectrogram.numpy(), data.read("spectrograms/logmel", 7).astype(np.float32))


@pytest.mark.parametrize("fields", [["no such"], ["dry/identity"], ["labels"]])
def test_what_is_no_field_is_refused(data: Dataset, fields: list[str]) -> None:
    with pytest.raises(UsageError):
        data.torch(fields=fields)


def test_the_same_batches_for_any_number_of_workers(data: Dataset) -> None:
    stream = data.torch_stream(batch_size=32, fields=["audio", "params", "row"], seed=5, epoch=2)
    alone = everything(loader(stream, 0, batch_size=None))
    assert sorted(torch.cat([batch[2] for batch in alone]).tolist()) == list(range(300))
    for sound, params, rows in alone[:2]:
        assert np.array_equal(sound.numpy(), np.stack([data.audio(int(row)) for row in rows]))
        assert np.array_equal(params.numpy(), np.stack([data.read("params", int(row)) for row in rows]))
    for workers in (1, 2):
        assert same(everything(loader(stream, workers, batch_size=None)), alone), workers
    mapped = data.torch(fields=["audio", "row"])
    plain = everything(loader(mapped, 0, batch_size=50))
    assert same(everything(loader(mapped, 2, batch_size=50)), plain)


@pytest.mark.slow  # starts processes that import everything
@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_give_the_same(data: Dataset, tmp_path: Path, how: str) -> None:
    """In a program of its own: the server that a process forks from is started once, and other tests have theirs."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-W", "ignore", str(script), how], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr


SCRIPT = """
import sys
import torch
from timbre_data.api import Dataset

if __name__ == "__main__":
    data = Dataset("d")
    for rows, size in ((data.torch_stream(batch_size=32, seed=5), None), (data.torch(), 50)):
        alone = list(torch.utils.data.DataLoader(rows, batch_size=size))
        loader = torch.utils.data.DataLoader(rows, batch_size=size, num_workers=2, multiprocessing_context=sys.argv[1])
        print(all(torch.equal(a, b) for one, other in zip(alone, loader, strict=True) for a, b in zip(one, other)))
"""


def test_another_epoch_and_another_seed_are_another_order(data: Dataset) -> None:
    def rows(**options: Any) -> list[int]:
        batches = data.torch_stream(batch_size=64, fields=["row"], **options)
        return [int(row) for batch in batches for row in batch[0]]

    orders = [rows(seed=0, epoch=0), rows(seed=0, epoch=1), rows(seed=1, epoch=0)]
    assert orders[0] == rows(seed=0, epoch=0)
    assert len({tuple(order) for order in orders}) == 3
    assert all(order != sorted(order) for order in orders)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_in_its_middle(data: Dataset, workers: int) -> None:
    stream = data.torch_stream(batch_size=32, fields=["row"], seed=1, epoch=4)
    whole = everything(loader(stream, workers, batch_size=None))
    again = data.torch_stream(batch_size=32, fields=["row"], seed=1)
    again.load_state_dict({"epoch": 4, "batch": 5})
    assert same(everything(loader(again, workers, batch_size=None)), whole[5:])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore")  # torchdata's own, about torch
def test_torchdata_keeps_the_state(data: Dataset, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    options: dict[str, Any] = {"batch_size": None, "num_workers": workers, "snapshot_every_n_steps": 1}
    stream = data.torch_stream(batch_size=32, fields=["row"], seed=1)
    first = stateful.StatefulDataLoader(stream, **options)
    running = iter(first)
    begun = [list(next(running)) for _ in range(4)]
    state = first.state_dict()
    rest = everything(running)
    later = stateful.StatefulDataLoader(data.torch_stream(batch_size=32, fields=["row"], seed=1), **options)
    later.load_state_dict(state)
    assert same(everything(later), rest)
    assert len(begun) + len(rest) == 10


def test_an_export_gives_the_same_rows(data: Dataset, tmp_path: Any) -> None:
    export(data, tmp_path / "out", "zarr")
    exported = Dataset(str(tmp_path / "out")).torch_stream(batch_size=64, fields=["audio", "row"])
    assert same(everything(loader(exported, 2, batch_size=None)), everything(data.torch_stream(batch_size=64, fields=["audio", "row"])))  # fmt: skip


def test_damage_in_a_forked_worker_is_told(data: Dataset, home: Any) -> None:
    for chunk in (home / "d" / "store" / "chunks").iterdir():
        if chunk.stat().st_size > 100_000:
            chunk.write_bytes(b"x" * chunk.stat().st_size)
    with pytest.raises(Exception, match="damaged or missing"):
        everything(loader(data.torch_stream(batch_size=64, fields=["audio"]), 1, batch_size=None))
