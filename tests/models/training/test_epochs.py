"""Epochs of runs, also of runs that an older version began."""

from __future__ import annotations

from pathlib import Path

import pytest

from timbre_data.models.evaluation import epochs


def test_a_run_of_an_older_version_can_be_read_and_goes_on(tmp_path: Path) -> None:
    old = {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "seconds": 2.0}
    new = {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.5, "seconds": 2.0, "waiting": 0.5}
    epochs.write(tmp_path, [old, new])
    read = epochs.read(tmp_path)
    assert read == [old, new]
    assert epochs.waiting_share(read) is None
    epochs.write(tmp_path, [new, new])
    assert epochs.waiting_share(epochs.read(tmp_path)) == pytest.approx(0.25)
