"""The vocabulary (effects, sources, features) and the machine (plan, render, store, build)."""

import hashlib
import os
import re
import sys
from pathlib import Path


def _choose_kernel_cache() -> None:
    """Give compiled kernels a folder that is named after their sources.

    numba notices a change of a function's own file only, not of the functions and constants that it takes from elsewhere: next to the
    sources, an upgrade could go on running old code inside new.
    """
    digest = hashlib.sha256()
    for text in _kernel_sources(Path(__file__).parent):
        digest.update(text.encode())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(home / "timbre-data" / f"kernels-{digest.hexdigest()[:16]}")
    os.environ.setdefault("NUMBA_CACHE_DIR", folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def _kernel_sources(folder: Path) -> list[str]:
    """The text of every module of a package that uses numba, and of what those import from it, and so on."""
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py") if path != folder / "__init__.py"}
    waiting = [path for path, text in texts.items() if "numba" in text]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        for package, names in re.findall(r"from timbre_data\.pipeline([\w.]*) import (\([^)]*\)|.*)", texts[path]):
            module = folder.joinpath(*package.split("."))
            imported = [module.with_suffix(".py"), *(module / f"{name}.py" for name in re.findall(r"\w+", names))]
            waiting += [one for one in imported if one in texts and one not in found]
    return [texts[path] for path in sorted(found)]


_choose_kernel_cache()
