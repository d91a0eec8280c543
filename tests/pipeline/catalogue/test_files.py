"""A file is written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from timbre_data.pipeline.catalogue.files import OwnFolder, whole


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


def test_a_folder_of_our_own_goes_with_its_process_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "out.partial-mine").mkdir()
    (tmp_path / "out.partial-mine" / "precious").write_text("x")
    program = f"from pathlib import Path; from timbre_data.pipeline.catalogue.files import OwnFolder; import os, signal; print(OwnFolder(Path({str(tmp_path)!r}), 'out.partial-').path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    left = Path(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip())
    assert left.is_dir()
    first = OwnFolder(tmp_path, "out.partial-")
    assert not left.exists()
    second = OwnFolder(tmp_path, "out.partial-")
    assert first.path.is_dir()
    first.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial-mine"]
    assert (tmp_path / "out.partial-mine" / "precious").read_text() == "x"
