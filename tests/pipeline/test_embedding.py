"""Embeddings: what a program of somebody's says of each row, stored with the program's digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import small_recipe
from tests.fixtures import embedding
from timbre_data.models.training import checkpoints
from timbre_data.models.training.train import train
from timbre_data.pipeline.build import rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.settings import TrainSettings

SMALL: dict[str, Any] = {"scales": [{"n_fft": 1024, "hop_length": 1024, "n_mels": 32}], "width": 4, "hidden": 16}


def test_it_is_what_the_program_says(tmp_path: Path) -> None:
    features = FEATURE_SETS.load("embedding")
    path = str(embedding.make(tmp_path))
    settings = features.settings(path=path)
    sounds = np.random.default_rng(0).uniform(-1, 1, (3, 1024)).astype(np.float32)
    unknown = np.full(3, np.nan, np.float32)
    expected = np.abs(sounds).reshape(3, 8, 128).mean(axis=2)
    assert np.allclose(features.compute(sounds, 22_050, unknown, settings), expected, atol=1e-6)
    steady = np.sin(2 * np.pi * 441 * np.arange(2048) / 44_100).astype(np.float32)[None]
    at_half = features.settings(path=path, rate=22_050)
    halved = features.compute(steady, 44_100, unknown[:1], at_half)
    assert np.allclose(halved[0, 1:-1], 2 / np.pi, atol=0.05)


def test_another_file_of_that_name_is_refused(home: Path, tmp_path: Path, command: Callable[..., int]) -> None:
    path = embedding.make(tmp_path)
    rendering.render(small_recipe("delay", n=64), locate("d"), Cluster(workers=2))
    arguments = ("featurize", "d", "--features", "embedding")
    assert command(*arguments, "--set", f"embedding.path={path}") == 0
    stored = Dataset("d").feature_sets()["embedding"]
    assert len(stored["settings"]["sha256"]) == 64
    assert command(*arguments, "--set", f"embedding.path={path}") == 0
    embedding.make(tmp_path, width=4)
    assert command(*arguments, "--set", f"embedding.path={path}") == 2
    assert command(*arguments, "--set", f"embedding.path={tmp_path / 'none.onnx'}") == 2
    (tmp_path / "text.onnx").write_text("no program")
    rendering.render(small_recipe("delay", n=32), locate("e"), Cluster(workers=2))
    assert (
        command("featurize", "e", "--features", "embedding", "--set", f"embedding.path={tmp_path / 'text.onnx'}") == 2
    )


@pytest.mark.slow  # a training and an export
def test_an_encoder_of_ours_and_what_it_holds(shared: Path, tmp_path: Path, command: Callable[..., int]) -> None:
    """Exported, it says of stored rows what the network does; nearest neighbours in it tell effects."""
    data = tuple(str(shared / name) for name in ("modulation", "delay", "distortion"))
    run, _ = train(TrainSettings(model="regressor_cnn", data=data, max_epochs=3, batch_size=32, options=SMALL))
    features, distortion = FEATURE_SETS.load("embedding"), Dataset(data[2])
    sounds = np.stack([distortion.audio(k).mean(axis=0) for k in range(4)])
    unknown = np.full(4, np.nan, np.float32)
    network: Any = checkpoints.load(run).network.eval().network
    for vector, made, width in (("embedding", network.embed, 16), ("style", network.style, 20 * SMALL["width"])):
        encoder = tmp_path / f"{vector}.onnx"
        assert command("export-model", str(run), "--out", str(encoder), f"--{vector}") == 0
        found = features.compute(sounds, distortion.recipe.audio.rate, unknown, features.settings(path=str(encoder)))
        with torch.inference_mode():
            expected = made(torch.zeros(4, 0), torch.from_numpy(sounds)).numpy()
        assert found.shape == (4, width * (len(SMALL["scales"]) if vector == "style" else 1))
        assert np.allclose(found, expected, atol=2e-3)
    texture = expected.reshape(4, len(SMALL["scales"]), -1)
    with torch.inference_mode():
        first = network.trunks[0][0](network.front.apart(network.front(torch.from_numpy(sounds)))[0]).numpy()
    assert np.allclose(texture[:, 0, : first.shape[1]], first.mean(axis=(2, 3)), atol=1e-4)
    assert np.allclose(texture[:, 0, first.shape[1] : 2 * first.shape[1]], first.std(axis=(2, 3)), atol=1e-4)
    assert command("export-model", str(run), "--out", str(tmp_path / "both.onnx"), "--embedding", "--style") == 2
    plain, _ = train(TrainSettings(model="regressor_mlp", data=data[:1], max_epochs=1), name="plain")
    assert command("export-model", str(plain), "--out", str(tmp_path / "x.onnx"), "--style") == 2
