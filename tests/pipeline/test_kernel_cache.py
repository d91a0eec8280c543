"""The folder of compiled kernels: another one when anything that is compiled into them changes, the same one otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

import timbre_data.pipeline
from timbre_data.pipeline import _kernel_sources

PACKAGE = {
    "kernels.py": "from numba import njit\nfrom timbre_data.pipeline.deep import (\n    CONSTANT,\n)",
    "deep/__init__.py": "",
    "deep.py": "from timbre_data.pipeline.inner import further, unused",
    "inner/further.py": "SIZE = 3",
    "inner/other.py": "SIZE = 4",
    "apart.py": "from timbre_data.pipeline.kernels import kernel",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", PACKAGE)
def test_what_kernels_are_made_of_counts_and_the_rest_does_not(package: Path, name: str) -> None:
    before = _kernel_sources(package)
    (package / name).write_text(PACKAGE[name] + "\n# changed")
    assert (_kernel_sources(package) != before) == (name in {"kernels.py", "deep.py", "inner/further.py"})


def test_every_module_with_a_kernel_is_among_them() -> None:
    folder = Path(timbre_data.pipeline.__file__).parent
    sources = _kernel_sources(folder)
    compiled = [path for path in folder.rglob("*.py") if "njit(" in path.read_text() or "@njit" in path.read_text()]
    assert len(compiled) > 8
    assert all(path.read_text() in sources for path in compiled)
    assert len(sources) < len(list(folder.rglob("*.py"))) / 2
