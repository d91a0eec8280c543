"""Published figures stand beside what they belong to, and beside nothing else."""

from __future__ import annotations

import pytest

from timbre_data.models.architectures import MODELS
from timbre_data.models.evaluation import published
from timbre_data.pipeline.catalogue.effect import FAMILIES

ELEVEN = sorted(published.IDMT_CLASSES)


@pytest.mark.parametrize(
    ("name", "model", "classes", "rows"),
    [
        ("211C", "regressor_mlp", (), ["Table 5.1, MLP-211"]),
        ("163C", "regressor_mlp", (), ["Table 5.1, MLP-163"]),
        ("AutoFX", "autofx", (), ["Table 5.1, AutoFX"]),
        ("163NC", "regressor_mlp", (), []),  # it was not measured there
        ("AutoFX + features", "autofx", (), []),
        (None, "regressor_cnn", (), []),
        (None, "class_mlp", ELEVEN, ["Table 4.3, Complete GM", "Table 4.3, Complete Full"]),
        (None, "class_mlp", FAMILIES, ["Table 4.3, Simplified GM", "Table 4.3, Simplified Full"]),
        (None, "class_mlp", ["modulation", "delay", "distortion"], []),
        (None, "instrument_cnn", ELEVEN, []),
    ],
)
def test_a_cost_is_of_the_same_network(name: str | None, model: str, classes: list[str], rows: list[str]) -> None:
    assert [cost.row for cost in published.costs(name, model, list(classes))] == rows


def test_a_network_of_that_cost_has_about_as_many_parameters() -> None:
    """Table 5.1's counts are those of the architectures, as they are counted here."""
    counts = {
        key: count for one in ("regressor_mlp", "autofx") for key, (_, count) in MODELS.load(one).published.items()
    }
    for name, cost in published.REGRESSOR_COSTS.items():
        assert cost.parameters is not None
        printed = float(cost.parameters[:-1]) * {"k": 1e3, "M": 1e6}[cost.parameters[-1]]
        assert counts[name] == pytest.approx(printed, rel=0.02)
