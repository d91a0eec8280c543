"""Answers of listeners: what is accepted, and where they are kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from timbre_data.commands.listening.listening_test import Key
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import CorruptDataError, UsageError

FILE = "answers.sqlite"
LARGEST_BYTES = 64 * 1024
"""An answer of more is refused."""
MOST_RATINGS, LONGEST_COMMENT = 32, 2000


class Answer(Frozen):
    """A listener's answer to one trial: ratings from 0 to 100 of each sound by its id; of ABX and pairwise 100 for
    the chosen one and 0 for the other.
    """

    test: str = Field(pattern=r"^[0-9a-f]{16}$", description="id of the test")
    listener: str = Field(pattern=r"^[0-9a-f]{16}$", description="id that the listener's browser made up")
    trial: str = Field(pattern=r"^[0-9a-f]{12}$", description="id of the trial")
    ratings: dict[str, float] = Field(max_length=MOST_RATINGS, description="rating of each sound")
    hidden: str | None = Field(None, pattern=r"^[0-9a-f]{12}$", description="the sound that X was, in an ABX test")
    seconds: float = Field(0.0, ge=0, le=86_400, description="time taken")
    headphones: Literal["passed", "failed", "skipped"] = Field("skipped", description="the check of headphones")
    comment: str = Field("", max_length=LONGEST_COMMENT, description="what the listener wrote")


def accepted(key: Key, content: Any) -> Answer:
    """An answer that fits the test. Raises `UsageError` for anything else: what comes from a browser is not trusted."""
    try:
        answer = Answer.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"not an answer: {'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}.") from None
    trial = key.trial(answer.trial)
    if answer.test != key.test or trial is None:
        raise UsageError("not an answer to this test.")
    wanted = {stimulus.id for stimulus in trial.stimuli}
    if set(answer.ratings) != wanted:
        raise UsageError("not an answer: it must rate every sound of its trial, and no other.")
    if not all(0 <= rating <= 100 for rating in answer.ratings.values()):
        raise UsageError("not an answer: ratings go from 0 to 100.")
    if key.kind != "mushra" and sorted(answer.ratings.values()) != [0, *[0] * (len(wanted) - 2), 100]:
        raise UsageError("not an answer: one sound is chosen.")
    if (key.kind == "abx") != (answer.hidden is not None) or (answer.hidden and answer.hidden not in wanted):
        raise UsageError("not an answer: it must say which sound X was.")
    return answer


class AnswerStore:
    """Answers in an SQLite file, one row a listener and trial: a later answer takes the place of an earlier one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (listener TEXT, trial TEXT, received TEXT DEFAULT CURRENT_TIMESTAMP, content TEXT, PRIMARY KEY (listener, trial))"
            )

    def keep(self, answer: Answer) -> None:
        """Store an answer; it is on the disk when this returns."""
        with self._connected() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers (listener, trial, content) VALUES (?, ?, ?)",
                (answer.listener, answer.trial, answer.model_dump_json()),
            )

    def all(self) -> list[dict[str, Any]]:
        """All answers, as they came."""
        with self._connected() as connection:
            rows = connection.execute("SELECT content FROM answers ORDER BY listener, trial").fetchall()
        return [json.loads(content) for (content,) in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=30)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            with connection:
                yield connection
        finally:
            connection.close()


def read_answers(folder: Path, key: Key, files: Sequence[Path]) -> tuple[list[Answer], list[str]]:
    """The answers that a server kept in a test's folder, and those of downloaded files; with what was refused, a line
    each. Of two answers of a listener to one trial, the later file counts.

    Raises `CorruptDataError` for a damaged database, `UsageError` for files that cannot be read.
    """
    contents: list[tuple[str, Any]] = []
    database = folder / FILE
    if database.is_file():
        try:
            contents += [(FILE, content) for content in AnswerStore(database).all()]
        except (sqlite3.Error, ValueError) as error:
            raise CorruptDataError(f"{database} cannot be read ({error}): restore it from a copy.") from None
    for file in files:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            answers = found["answers"] if isinstance(found, dict) else found
            if not isinstance(answers, list):
                raise ValueError("it holds no list of answers")
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise UsageError(f"{file} is no file of answers ({str(error).splitlines()[0][:120]}).") from None
        contents += [(file.name, content) for content in answers]
    kept: dict[tuple[str, str], Answer] = {}
    refused: list[str] = []
    for where, content in contents:
        try:
            answer = accepted(key, content)
        except UsageError as error:
            refused.append(f"{where}: {error}")
            continue
        kept[answer.listener, answer.trial] = answer
    return list(kept.values()), refused
