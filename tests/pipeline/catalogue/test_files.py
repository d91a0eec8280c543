"""A file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from timbre_data.pipeline.catalogue.files import whole


def _write_half(out: Path) -> None:
    with whole(out) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "x.txt"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(out)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_what_ends_takes_the_place(tmp_path: Path) -> None:
    out = tmp_path / "x.txt"
    out.write_text("old")
    with whole(out) as partial:
        assert partial.suffix == out.suffix
        partial.write_text("new")
        assert out.read_text() == "old"
    assert out.read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]
