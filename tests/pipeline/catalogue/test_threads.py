"""How many threads a network computes with."""

import pytest
import torch

from timbre_data.models.architectures import MODELS
from timbre_data.models.training.frontends import stored_frontend
from timbre_data.pipeline.catalogue import threads
from timbre_data.schemas.recipe import AudioFormat


@pytest.mark.parametrize(
    ("asked", "made"), [("1", 1), ("3", 3), ("64", 4), ("", 4), ("0", 1), ("2,1", 2), ("many", 4), ("-1", 4)]
)
def test_what_the_environment_asks_for_is_heeded(asked: str, made: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    assert threads.network_threads() == made


def test_a_training_takes_no_more_threads_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert stored_frontend(MODELS.load("inverse_cnn"), {}, AudioFormat()) is not None
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
