"""Hosted effect plug-ins, with one that looks like pedalboard's and remembers the sound before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import build
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.synths.hosting import client
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.pipeline.synths.hosting.trust import trust, trusting
from timbre_data.schemas.errors import RecipeError, UsageError
from timbre_data.schemas.recipe import Recipe

SETTINGS = {"path": "fake.vst3", "parameters": [{"name": "gain", "target": "Gain"}, {"name": "echo", "target": "Echo"}]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    real = client.Hosted.__init__

    def init(self: Any, name: str, factory: Any, *rest: Any) -> None:
        real(self, name, ("tests.fixtures.plugin", "hosted_effect"), *rest)

    monkeypatch.setattr(client.Hosted, "__init__", init)
    trust("fake.vst3")


def plugin_recipe(**changes: Any) -> Recipe:
    chain = [{"effect": "plugin", "name": "box", "settings": SETTINGS}]
    data = {"name": "p", "chain": chain, "n": 70, "audio": {"seconds": 0.7}}
    return recipes.load(validation.override(data, changes))


@pytest.mark.usefixtures("fake")
def test_rows_of_a_hosted_effect_are_their_labels_sound() -> None:
    data = build(plugin_recipe(**{"audio.dtype": "float32"}), "p", cluster=Cluster(workers=2))
    assert data.space.names == ("box.gain", "box.echo")
    for row in (0, 40, 69):
        gain, echo = data.read("params", row)
        dry, wet = data.dry(row)[0], data.audio(row, original_level=True)[0]
        late = int(data.recipe.audio.rate / 2)
        expected = 2 * gain * (dry + echo * np.concatenate([np.zeros(late, np.float32), dry])[: len(dry)])
        assert np.allclose(wet, expected, atol=1e-4)
    assert rerender_rows(data, 5)["equal"] == 5


@pytest.mark.usefixtures("fake")
def test_an_unknown_parameter_is_said() -> None:
    wrong = {"path": "fake.vst3", "parameters": [{"name": "gain", "target": "Nope"}]}
    with pytest.raises(UsageError, match=r"has no parameter Nope"):
        build(plugin_recipe(**{"chain.0.settings": wrong}), "p")
    close_instruments()


def test_a_plugin_needs_its_file_and_others_take_no_settings() -> None:
    with pytest.raises(RecipeError, match="path"):
        plugin_recipe(**{"chain.0.settings": {}})
    with pytest.raises(RecipeError, match="no settings"):
        recipes.load({"name": "x", "chain": [{"effect": "delay", "settings": {"a": 1}}]})
    with pytest.raises(UsageError, match=r"there is no fake\.vst3"), trusting():
        build(plugin_recipe(), "p")
