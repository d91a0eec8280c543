from __future__ import annotations

import inspect
import pickle

import pytest

from timbre_data.schemas import errors

EXAMPLES = [
    errors.UnknownNameError("effect", "distorsion", ["delay", "distortion"]),
    errors.RecipeError("audio.rate", -1, "a positive number"),
    errors.SourceError("wav_folder", {f"{i}.wav": "silent" for i in range(25)}),
    errors.RenderError(7, {"mix": 0.5}, "ValueError: no"),
    *(
        cls("what was wrong: what to do")
        for cls in (errors.UsageError, errors.NotFoundError, errors.CorruptDataError, errors.LockedError)
    ),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_cross_process_borders_whole(error: errors.TimbreDataError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_messages_are_one_line(error: errors.TimbreDataError) -> None:
    assert "\n" not in str(error)


def test_an_unknown_name_offers_the_nearest_and_all() -> None:
    message = str(EXAMPLES[0])
    assert "Did you mean 'distortion'?" in message
    assert "Known: delay, distortion" in message


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = inspect.getdoc(errors) or ""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.TimbreDataError)]
    assert all(cls.__name__ in drawn for cls in classes)
