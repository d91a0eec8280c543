"""Tables for people: the same content for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbre_data.models.evaluation import intervals


@dataclass(frozen=True)
class Table:
    """A titled table; cells are text already."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """GitHub's pipe table, with the title above and the note below; columns line up in a terminal too."""
        widths = [max(len(row[i]) for row in (self.header, *self.rows)) for i in range(len(self.header))]

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        parts = [f"**{self.title}**", "", line(self.header), rule, *(line(row) for row in self.rows)]
        return "\n".join([*parts, "", self.note] if self.note else parts)


EvaluationResult = tuple[dict[str, Any], tuple[Table, ...]]
"""Metrics for programs, and tables for people."""


@dataclass(frozen=True)
class StudyResult:
    """The result of a study, for programs (`metrics`) and for people (`tables`), and where it was written."""

    folder: Path
    metrics: dict[str, Any]
    tables: tuple[Table, ...]

    def markdown(self) -> str:
        """All tables."""
        return "\n\n".join(table.markdown() for table in self.tables)


def number(value: float | None) -> str:
    """Three significant digits; a dash for nothing."""
    if value is None or value != value:
        return "-"
    return f"{value:.3g}"


def ranged(value: float, pair: Sequence[float] | None) -> str:
    """A figure and its interval, where there is one."""
    return f"{number(value)} ({intervals.text((pair[0], pair[1]))})" if pair else number(value)
