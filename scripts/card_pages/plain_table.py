"""Tables of the manual's generated pages: no title, no padding, and nothing that breaks a cell."""

from __future__ import annotations

from collections.abc import Sequence


def cell(text: object) -> str:
    """Text that fits a cell of a table."""
    return " ".join(str(text).replace("|", "\\|").split())


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table; none without rows."""
    if not rows:
        return []
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(cell(one) for one in row) + " |" for row in rows), ""]
