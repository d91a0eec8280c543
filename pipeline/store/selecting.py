"""Choosing rows of a dataset by a condition on their labels: `drive_db > 40 and split == "test"`.

A condition is parsed, never run as code: names of columns, numbers and texts, comparisons, `in`, `and`, `or`, `not` and
arithmetic. A comparison with what a row has no value of (a parameter of an effect that is off, an unknown pitch) is
false.
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    DRY_F0,
    DRY_GROUP,
    DRY_IDENTITY,
    DRY_INDEX,
    DRY_NOTE,
    DRY_VELOCITY,
    EFFECT_DB,
    GAIN,
    MASK,
    ORDER,
    ORIGIN_DATASET,
    ORIGIN_ROW,
    PARAMS,
    SPLITS,
    TAGS,
)
from timbre_data.pipeline.store.layout import effects_text
from timbre_data.pipeline.store.origins import origins_of
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

MOST_VALUES = 1000
"""Different values at most of a column that is balanced."""
_OF_ROW = {"gain": GAIN, "effect_db": EFFECT_DB, "attempt": ATTEMPT}
_OF_DRY = {"note": DRY_NOTE, "velocity": DRY_VELOCITY, "f0_hz": DRY_F0, "dry": DRY_IDENTITY, "group": DRY_GROUP}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True)
class Selection:
    """Which rows: those for which `where` holds, of them `n` at random (by `seed`), equally many of each value of the
    column `balance`.
    """

    where: str | None = None
    n: int | None = None
    balance: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Names:
    """A column of names: which of them each row has [shape=(n, k)]."""

    names: list[str]
    there: NDArray[np.bool_]


def select_rows(data: Dataset, selection: Selection) -> NDArray[np.int64]:
    """The numbers of the selected rows, ascending; failed rows are never selected. Raises `UsageError` for a condition
    that is none, unknown columns, and more rows than there are.
    """
    columns = _Columns(data)
    rows = data.usable()
    if selection.where is not None:
        rows = rows[_Condition(selection.where, columns).holds(data.n)[rows]]
    if selection.n is not None and selection.n < 1:
        raise UsageError(f"--n must be at least 1, got {selection.n}.")
    rng = generator(selection.seed, number_of("selection"))
    if selection.balance is not None:
        rows = _balanced(rows, columns, selection, rng)
    elif selection.n is not None:
        if selection.n > len(rows):
            raise UsageError(f"--n {selection.n}: only {len(rows)} rows of {data.location.address} fit.")
        rows = rng.choice(rows, selection.n, replace=False)
    if not len(rows):
        raise UsageError(f"no row of {data.location.address} fits: {selection.where}.")
    return np.sort(rows).astype(np.int64)


def _balanced(
    rows: NDArray[np.int64], columns: _Columns, selection: Selection, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Equally many rows of each value of a column; where `n` does not divide, the first values have one more."""
    name = selection.balance or ""
    column = columns(name)
    if isinstance(column, Names):
        raise UsageError(f"--balance {name}: a row may have several of them; balance a column with one value a row.")
    values, numbers, counts = np.unique(column[rows].astype(column.dtype), return_inverse=True, return_counts=True)
    if len(values) > MOST_VALUES:
        raise UsageError(
            f"--balance {name}: it has {len(values)} different values; balance one of at most {MOST_VALUES}."
        )
    if not len(values):
        return rows[:0]
    total = int(counts.min()) * len(values) if selection.n is None else selection.n
    wanted = np.full(len(values), total // len(values)) + (np.arange(len(values)) < total % len(values))
    for value, have, want in zip(values.tolist(), counts.tolist(), wanted.tolist(), strict=True):
        if have < want:
            raise UsageError(f"--n {total} --balance {name}: there are {have} rows of {value}, {want} are needed.")
    return np.concatenate(
        [rng.choice(rows[numbers == k], count, replace=False) for k, count in enumerate(wanted.tolist())]
    )


class _Columns:
    """The columns that conditions can name, read when they are needed."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._read: dict[str, NDArray[Any] | Names] = {}
        self._extra = {path.partition("/")[2]: path for path in data.meta.get("extra_labels", ())}
        own = [name for name, path in self._extra.items() if path == TAGS or data.array(path).ndim == 1]
        self.known = ["split", "effect", "effects", "row", "origin", *_OF_ROW, *_OF_DRY, *own, *data.space.names]

    def __call__(self, name: str) -> NDArray[Any] | Names:
        """One column, by its name or its last part. Raises `UsageError`."""
        ends = [one for one in self.known if one == name] or [one for one in self.known if one.endswith(f".{name}")]
        if len(ends) != 1:
            raise UsageError(self._refusal(name, ends))
        if ends[0] not in self._read:
            self._read[ends[0]] = self._column(ends[0])
        return self._read[ends[0]]

    def _refusal(self, name: str, ends: list[str]) -> str:
        if ends:
            return f"{name} may be {', '.join(ends)}: write which."
        short = list(dict.fromkeys(one.rpartition(".")[2] for one in reversed(self.known)))
        parts = [one for one in short if len(name) > 2 and (one.startswith(name) or f"_{name}_" in f"_{one}_")]
        near = parts[:1] or difflib.get_close_matches(name, short, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"{self._data.location.address} has no column '{name}'.{hint} Columns: {', '.join(self.known)}."

    def _column(self, name: str) -> NDArray[Any] | Names:
        data = self._data
        if name == "row":
            return data.read(ORIGIN_ROW) if data.has(ORIGIN_ROW) else np.arange(data.n)
        if name == "split":
            return np.array(SPLITS)[data.split()]
        if name == "origin":
            names = np.array([origin.name for origin in origins_of(data)])
            return names[data.read(ORIGIN_DATASET)] if data.has(ORIGIN_DATASET) else np.repeat(names, data.n)
        if name in ("effect", "effects"):
            steps, order = data.names(ORDER, "steps"), data.read(ORDER)
            if name == "effects":
                return Names(steps, order >= 0)
            kinds, back = np.unique(order, axis=0, return_inverse=True)
            return np.array([effects_text(kind, steps) for kind in kinds.tolist()])[back.reshape(-1)]
        if name in _OF_ROW:
            return data.read(_OF_ROW[name])
        if name in _OF_DRY:
            return _comparable(data.read(_OF_DRY[name]))[data.read(DRY_INDEX)]
        if name in self._extra:
            path = self._extra[name]
            return Names(data.names(TAGS), data.read(TAGS)) if path == TAGS else _comparable(data.read(path))
        place = data.space.names.index(name)
        values = data.space.parameters[place].to_value(data.read(PARAMS)[:, place])
        return np.where(data.read(MASK)[:, place], values, np.nan)


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    return np.array(values.tolist(), str) if values.dtype.kind in "OTU" else values


class _Condition:
    """A condition in Python's syntax, evaluated on whole columns."""

    def __init__(self, text: str, columns: _Columns) -> None:
        self._text, self._columns = text, columns
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            hint = (
                ", where '==' compares and 'and', 'or' and 'not' join" if re.search(r"[^=<>!]=[^=]|[&|!]", text) else ""
            )
            raise self._refused(f"it is not a condition{hint}") from None

    def _refused(self, reason: str) -> UsageError:
        return UsageError(
            f"--where {self._text[:120]}: {reason}. Write, for example, 'drive_db > 40 and split == \"test\"'."
        )

    def holds(self, n: int) -> NDArray[np.bool_]:
        """Whether it holds, row by row [shape=(n,)]."""
        try:
            with np.errstate(all="ignore"):
                result = np.asarray(self._value(self._tree))
        except (RecursionError, OverflowError):
            raise self._refused("it is not a condition that can be computed") from None
        except ZeroDivisionError:
            raise self._refused("it divides by zero") from None
        if result.dtype != bool:
            raise self._refused("it is a value and not a condition")
        return np.broadcast_to(result, (n,))

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name() | ast.Attribute():
                return self._columns(self._name(node))
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.BoolOp():
                parts = [self._truth(value) for value in node.values]
                return (np.logical_and if isinstance(node.op, ast.And) else np.logical_or).reduce(
                    np.broadcast_arrays(*parts)
                )
            case ast.UnaryOp(op=ast.Not()):
                return np.logical_not(self._truth(node.operand))
            case ast.UnaryOp(op=ast.USub()):
                return -self._number(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self._number(node.operand)
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                raise self._refused("conditions are joined with 'and' and 'or'")
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](self._number(node.left), self._number(node.right))
            case ast.Compare():
                return self._comparison(node)
        raise self._refused(f"{ast.unparse(node)[:60]} cannot stand in a condition")

    def _name(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return node.id
        raise self._refused(f"{ast.unparse(node)[:60]} cannot stand in a condition")

    def _truth(self, node: ast.expr) -> Any:
        value = self._value(node)
        if isinstance(value, Names) or np.asarray(value).dtype != bool:
            raise self._refused(f"{ast.unparse(node)[:60]} is a value and not a condition")
        return value

    def _number(self, node: ast.expr) -> Any:
        value = self._value(node)
        if isinstance(value, Names) or np.asarray(value).dtype.kind not in "iuf":
            raise self._refused(f"{ast.unparse(node)[:60]} is not a number")
        return np.asarray(value, np.float64)

    def _comparison(self, node: ast.Compare) -> Any:
        result: Any = np.True_
        left = node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(sign, ast.In | ast.NotIn):
                found = self._member(left, right)
                result = result & (~found if isinstance(sign, ast.NotIn) else found)
            elif type(sign) in _COMPARISONS:
                result = result & self._compared(left, right, _COMPARISONS[type(sign)])
            else:
                raise self._refused("'is' cannot stand in a condition")
            left = right
        return result

    def _compared(self, left: ast.expr, right: ast.expr, compare: Callable[[Any, Any], Any]) -> Any:
        values = [self._value(side) for side in (left, right)]
        shown = f"{ast.unparse(left)[:40]} and {ast.unparse(right)[:40]}"
        if any(isinstance(value, Names) for value in values):
            raise self._refused(f"{shown}: a row has several of them, so ask with 'in'")
        a, b = map(np.asarray, values)
        if (a.dtype.kind == "U") != (b.dtype.kind == "U"):
            raise self._refused(f"of {shown}, one is a number and the other a text")
        known = True
        for side in (a, b):
            if side.dtype.kind == "f":
                known = known & ~np.isnan(side)
        return np.asarray(compare(a, b)) & known

    def _member(self, left: ast.expr, right: ast.expr) -> Any:
        """`"delay" in effects`, `"guitar" in dry` (a part of a text), `note in (60, 62)`."""
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            found = [self._compared(left, one, operator.eq) for one in right.elts]
            return np.logical_or.reduce(np.broadcast_arrays(*found)) if found else np.False_
        wanted, column = self._value(left), self._value(right)
        if not isinstance(wanted, str):
            raise self._refused(f"{ast.unparse(left)[:60]} is not a text")
        if isinstance(column, Names):
            if wanted not in column.names:
                raise self._refused(f"'{wanted}' is none of {', '.join(column.names)}")
            return column.there[:, column.names.index(wanted)]
        texts = np.asarray(column)
        if texts.dtype.kind != "U":
            raise self._refused(f"{ast.unparse(right)[:60]} is not a text")
        return np.char.find(texts, wanted) >= 0


def selection_text(selection: Mapping[str, Any]) -> str:
    """A selection in words, as far as it says something."""
    parts = [str(selection["where"])] if selection.get("where") else []
    if selection.get("n"):
        parts.append(f"{selection['n']} at random, seed {selection['seed']}")
    if selection.get("balance"):
        parts.append(f"equally many of each {selection['balance']}")
    return "; ".join(parts) or "all rows"
