"""Conditions on rows, against pandas; what is no condition is one line and never runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import build, small_recipe
from timbre_data.pipeline.store.columns import DRY_INDEX, DRY_NOTE, EFFECT_DB, MASK, SPLITS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.selecting import Selection, select_rows
from timbre_data.schemas.errors import UsageError


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Rows with distortion, delay, both or neither; nobody changes them."""
    steps = [{"effect": "distortion", "probability": 0.6}, {"effect": "delay", "probability": 0.5}]
    changes: dict[str, Any] = {"chain.steps": steps, "audio.seconds": 0.2}
    return build(small_recipe(n=300, **changes), str(tmp_path_factory.mktemp("selecting") / "chain"))


def table(data: Dataset) -> pd.DataFrame:
    """The labels of a dataset, as a person would lay them out."""
    values = np.where(data.read(MASK), data.space.to_values(data.read("params")), np.nan)
    frame = pd.DataFrame(values, columns=[name.replace(".", "_") for name in data.space.names])
    frame["split"] = np.array(SPLITS)[data.split()]
    frame["note"] = data.read(DRY_NOTE)[data.read(DRY_INDEX)]
    frame["effect_db"] = data.read(EFFECT_DB)
    frame["row"] = np.arange(data.n)
    return frame


@pytest.mark.parametrize(
    ("condition", "query"),
    [
        ('drive_db > 40 and split == "test"', 'distortion_drive_db > 40 and split == "test"'),
        ("delay.mix < 0.5 or not drive_db >= 20", "delay_mix < 0.5 or not distortion_drive_db >= 20"),
        ("10 < drive_db <= 30", "10 < distortion_drive_db <= 30"),
        ("note in (45, 57, 60)", "note in (45, 57, 60)"),
        ('split in ["train", "validation"] and row % 2 == 0', 'split in ["train", "validation"] and row % 2 == 0'),
        ("(drive_db + 10) * 2 > 70 and effect_db < -3", "(distortion_drive_db + 10) * 2 > 70 and effect_db < -3"),
        ("-mix > -0.25", "-delay_mix > -0.25"),
        ('split != "train"', 'split != "train"'),
        ("low_shelf_gain_db < high_shelf_gain_db", "distortion_low_shelf_gain_db < distortion_high_shelf_gain_db"),
    ],
)
def test_conditions_select_what_pandas_selects(chain: Dataset, condition: str, query: str) -> None:
    expected = table(chain).query(query).index.to_numpy()
    assert 0 < len(expected) < chain.n
    assert select_rows(chain, Selection(condition)).tolist() == expected.tolist()


def test_effects_and_texts(chain: Dataset) -> None:
    used = chain.read("labels/order") >= 0
    assert select_rows(chain, Selection('"delay" in effects')).tolist() == np.flatnonzero(used[:, 1]).tolist()
    assert select_rows(chain, Selection('effect == "distortion+delay"')).tolist() == np.flatnonzero(used.all(axis=1)).tolist()  # fmt: skip
    assert select_rows(chain, Selection('effect == ""')).tolist() == np.flatnonzero(~used.any(axis=1)).tolist()
    dry = np.array([str(name) for name in chain.read("dry/identity")])[chain.read(DRY_INDEX)]
    part = str(dry[0])[:4]
    expected = [row for row, name in enumerate(dry) if part in name]
    assert select_rows(chain, Selection(f'"{part}" in dry')).tolist() == expected


def test_a_number_of_rows_and_equally_many_of_each(chain: Dataset) -> None:
    some = select_rows(chain, Selection("drive_db > 0", n=20))
    assert len(set(some.tolist())) == 20
    assert (some == np.sort(some)).all()
    assert select_rows(chain, Selection("drive_db > 0", n=20)).tolist() == some.tolist()
    assert select_rows(chain, Selection("drive_db > 0", n=20, seed=1)).tolist() != some.tolist()
    effect = [str(used.tolist()) for used in chain.read("labels/order") >= 0]
    for selection in (Selection(balance="effect"), Selection(balance="effect", n=41)):
        counts = Counter(effect[row] for row in select_rows(chain, selection))
        assert len(counts) == 4
        assert max(counts.values()) - min(counts.values()) <= (selection.n is not None)
        assert selection.n is None or sum(counts.values()) == 41


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection("drive > 40"), "no column 'drive'. Did you mean 'drive_db'"),
        (Selection("drive_db = 40"), "'==' compares"),
        (Selection("drive_db > 40 && mix > 1"), "'and', 'or'"),
        (Selection("(drive_db > 40) & (mix > 1)"), "joined with 'and' and 'or'"),
        (Selection("drive_db >"), "not a condition"),
        (Selection("drive_db"), "a value and not a condition"),
        (Selection("drive_db > 'loud'"), "one is a number and the other a text"),
        (Selection("mix.__class__ > 1"), "no column"),
        (Selection("__import__('os').system('touch gone') == 0"), "cannot stand in a condition"),
        (Selection("[row for row in (1, 2)] == 1"), "cannot stand in a condition"),
        (Selection("effects == 'delay'"), "ask with 'in'"),
        (Selection("'reverb' in effects"), "none of distortion, delay"),
        (Selection("drive_db is 1"), "'is'"),
        (Selection("split + 1 > 2"), "is not a number"),
        (Selection("(" * 5000 + "1" + ")" * 5000), "not a condition"),
        (Selection("not " * 3000 + "True"), "condition"),
        (Selection("drive_db > 1000"), "no row"),
        (Selection("q > 1"), "no column"),
        (Selection("drive_db > 1 / 0"), "no row"),
        (Selection(n=0), "at least 1"),
        (Selection(n=1000), "only 300 rows"),
        (Selection(balance="drive_db", n=290), "values|needed"),
        (Selection(balance="effects"), "one value a row"),
        (Selection(balance="effect", n=299), "are needed"),
    ],
)
def test_what_is_no_selection_is_refused_in_one_line(chain: Dataset, selection: Selection, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        select_rows(chain, selection)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


def test_a_name_that_two_effects_have_is_asked_back(command: Callable[..., int]) -> None:
    steps = [{"effect": "delay"}, {"effect": "slapback_delay"}]
    changes: dict[str, Any] = {"chain.steps": steps, "audio.seconds": 0.1}
    data = build(small_recipe(n=20, **changes), "two")
    shared = {name.partition(".")[2] for name in data.space.names if name.startswith("delay.")} & {
        name.partition(".")[2] for name in data.space.names if name.startswith("slapback_delay.")
    }
    name = sorted(shared)[0]
    with pytest.raises(UsageError, match=rf"{name} may be delay\.{name}, slapback_delay\.{name}: write which"):
        select_rows(data, Selection(f"{name} > 0"))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(
        st.sampled_from("drive_db mix split('test\")[]<>=!&|+-*/%.,0123456789 andornotinlambda:{}@~^"), max_size=40
    )
)
def test_no_text_is_a_traceback(shared: object, text: str) -> None:
    data = Dataset(str(shared) + "/distortion")
    with suppress(UsageError):
        select_rows(data, Selection(text))
