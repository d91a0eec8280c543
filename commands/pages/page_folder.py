"""The folder of a page: its own files and the data in scripts, which a browser loads from a folder without a server.

Pages opened as files may not fetch anything, but they may load scripts: all data, sounds too, are scripts that hand
their content to the page. What comes from a dataset is data in them; the page shows it as text.
"""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.schemas.errors import UsageError

ASSETS = Path(__file__).parent / "assets"
MARK = "timbre-page.json"
"""The file by which a folder is known for a page, which a new one may replace."""
NOT_NEEDED = {
    "listen": ("charts.js", "rows.js", "shell.js", "vendor"),
    "app": ("charts.js", "rows.js", "shell.js", "vendor", "data.js"),
}
"""Files of the other pages that a kind of page does without."""
TYPES = {"f": "f4", "i": "i4", "u": "i4", "b": "u1"}
"""How numbers of a kind are written: little-endian, as the page reads them."""


class PageFolder:
    """A page's folder while it is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def script(self, path: str, call: str, *arguments: Any) -> None:
        """Write a script that calls `timbre.CALL(...)` with data."""
        text = ", ".join(json.dumps(plain(argument), allow_nan=False, separators=(",", ":")) for argument in arguments)
        self.write(path, f"timbre.{call}({text});\n".encode())

    def write(self, path: str, content: bytes) -> None:
        """Write a file."""
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@contextmanager
def page_folder(out: Path, kind: str) -> Iterator[PageFolder]:
    """A folder with the own files of a kind of page, to be filled: it takes its place whole, or not at all.

    Raises `UsageError` where something else is there.
    """
    if out.exists() and not (out / MARK).is_file():
        raise UsageError(f"{out} exists and is not a page of timbre-data: choose another folder with --out.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        others = [f"{path.stem}.*" for path in ASSETS.glob("*.html") if path.stem != kind]
        others += NOT_NEEDED.get(kind, ())
        shutil.copytree(
            ASSETS, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "parts", *others)
        )
        (partial / f"{kind}.html").unlink()
        (partial / "index.html").write_text(_with_parts((ASSETS / f"{kind}.html").read_text("utf-8")), encoding="utf-8")
        yield PageFolder(partial)
        (partial / MARK).write_text(json.dumps({"page": kind}) + "\n", encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _with_parts(page: str) -> str:
    """A page with the parts that it shares with others in their places."""
    return re.sub(
        r"<!-- part: (\w+) -->\n", lambda part: (ASSETS / "parts" / f"{part[1]}.html").read_text("utf-8"), page
    )


def packed(values: NDArray[Any]) -> dict[str, str]:
    """A column of numbers as the page reads it."""
    kind = TYPES[values.dtype.kind]
    content = np.ascontiguousarray(values, f"<{kind}" if kind != "u1" else kind).tobytes()
    return {"type": kind, "data": base64.b64encode(content).decode("ascii")}


def plain(data: Any) -> Any:
    """Data as JSON has it: numbers that are not finite become null."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, np.ndarray):
        return plain(data.tolist())
    if isinstance(data, np.generic):
        return plain(data.item())
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data if isinstance(data, str | int | float | bool | None) else str(data)
