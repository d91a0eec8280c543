"""Published figures name what they are of, and stand beside what they belong to and beside nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from timbre_data.models.architectures import MODELS
from timbre_data.models.baselines import BASELINES
from timbre_data.models.evaluation import published, run_facts
from timbre_data.models.evaluation.published import ASSAYAG, DHOOGHE, MARTINEZ, PONS, SIVALINGAM
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue.effect import FAMILIES
from timbre_data.schemas.errors import UsageError

ELEVEN = sorted(published.IDMT_CLASSES)
FOUR = sorted(published.FOUR_CLASSES)
INSTRUMENTS = sorted(published.IRMAS_CLASSES)
MLP = {"hidden": 100, "layers": 5, "first_activation": False}
ALL: dict[str, Any] = {"options": MLP, "parameters": published.COLUMNS}
THESIS: dict[str, Any] = {"knobs": 12, "sounds": 500, "optimizer": "adadelta"}
TUNED: dict[str, Any] = {"optimizer_options": {"rho": 0.45, "weight_decay": 5e-4}}


@pytest.mark.parametrize("result", published.RESULTS, ids=lambda one: one.name)
def test_every_result_says_where_it_is_from_and_what_it_is_of(result: published.Result) -> None:
    assert result.paper
    assert result.table
    assert result.row
    assert len(result.condition) > 10
    assert result.belongs, "it would stand beside everything"
    assert all(value > 0 for value in result.values.values())
    network = result.belongs.get("network")
    if network and network not in published.MSE:
        assert network in MODELS or network in BASELINES


def test_names_are_unique() -> None:
    assert len({one.name for one in published.RESULTS}) == len(published.RESULTS)
    assert published.named(f"{PONS}, Table II, Multi-layer").values["macro_precision"] == 0.550
    with pytest.raises(UsageError, match="no published result"):
        published.named("Table 9")


@pytest.mark.parametrize(
    ("model", "about", "rows"),
    [
        ("regressor_mlp", {"features": ["autofx163"], **ALL}, [f"{DHOOGHE}, Table C.2, 163NC"]),
        ("regressor_mlp", {"features": ["autofx163"], "options": MLP, "parameters": published.COLUMNS[:5]}, []),
        ("regressor-mlp", {"features": ["autofx163"], "conditioning": 6, **ALL}, [f"{DHOOGHE}, Table C.2, 163C", f"{DHOOGHE}, Table 5.1, MLP-163"]),
        ("regressor_mlp", {"features": ["autofx163"], "options": MLP | {"layers": 1}, "parameters": published.COLUMNS}, []),
        ("autofx", {"conditioning": 6, "parameters": published.COLUMNS}, [f"{DHOOGHE}, Table C.2, AutoFX", f"{DHOOGHE}, Table 5.1, AutoFX"]),
        ("autofx", {"conditioning": 6, "options": {"spectrogram": "log_mel"}, "parameters": published.COLUMNS}, []),
        ("autofx", {"conditioning": 6, "features": ["autofx48"], "parameters": published.COLUMNS}, [f"{DHOOGHE}, Table C.2, AutoFX + features"]),
        ("regressor_cnn", {}, []),
        ("class_mlp", {"classes": ELEVEN}, [f"{DHOOGHE}, abstract, eleven effects, up to", f"{DHOOGHE}, Figure 5.5, eleven effects, on other sounds", f"{DHOOGHE}, Table 4.3, Complete GM", f"{DHOOGHE}, Table 4.3, Complete Full"]),
        ("class_mlp", {"classes": FAMILIES}, [f"{DHOOGHE}, Section 4.3, six families of effects, up to", f"{DHOOGHE}, Figure 5.6, six families of effects, on other sounds", f"{DHOOGHE}, Figure 5.7, six families of effects, learned from both", f"{DHOOGHE}, Table 4.3, Simplified GM", f"{DHOOGHE}, Table 4.3, Simplified Full"]),
        ("class_mlp", {"classes": ["modulation", "delay", "distortion"]}, []),
        ("svm", {"classes": ELEVEN}, [f"{DHOOGHE}, Table 4.1, SVM, guitar mono", f"{DHOOGHE}, Table 4.1, SVM, full set"]),
        ("svm", {"classes": FAMILIES}, []),
        ("instrument_cnn", {"classes": ELEVEN}, []),
        ("instrument_cnn", {"classes": INSTRUMENTS}, []),
        ("instrument_cnn", {"classes": FOUR}, [f"{SIVALINGAM}, results, accuracy"]),
        ("instrument_cnn", {"classes": FOUR, "options": {"summary": "average", "input": "mel"}}, [f"{SIVALINGAM}, results, accuracy"]),
        ("instrument_cnn", {"classes": FOUR, "options": {"summary": "attention"}}, []),
        ("instrument_cnn", {"classes": FOUR, "options": {"input": "constant_q"}}, []),
        ("irmas_single", {"classes": INSTRUMENTS}, [f"{PONS}, Table II, Single-layer"]),
        ("irmas_single", {"classes": INSTRUMENTS, "options": {"shapes": [{"count": 8, "height": 5, "width": 1}]}}, []),
        ("irmas_single", {"classes": INSTRUMENTS[:4]}, []),
        ("mtt_dieleman", {"classes": ["guitar"]}, [f"{PONS}, Table III, Dieleman et al."]),
        ("jingju_mlp", {"groups": ["dan0001", "dan/x"]}, [f"{PONS}, Table I, MLP, dan"]),
        ("jingju_gmm", {"groups": ["laosheng1"], "options": {"components": 40}}, [f"{PONS}, Table I, GMMs, laosheng"]),
        ("jingju_mlp", {"groups": ["dan0001", "laosheng0001"]}, []),
        ("jingju_mlp", {"groups": ["somebody"]}, []),
        ("eq_autoencoder", {"transformation": "peaking"}, [f"{MARTINEZ}, Table 2, peaking"]),
        ("eq_autoencoder", {"transformation": "peaking", "options": {"latent": "dense"}}, [f"{MARTINEZ}, Table 2, peaking"]),
        ("eq_autoencoder", {"transformation": "peaking", "options": {"latent": "recurrent"}}, []),
        ("eq_autoencoder", {"transformation": "peaking", "options": {"warped_loss": True}}, []),
        ("eq_autoencoder", {}, []),
        ("inverse_synth", {"knobs": 12, "sounds": 10_000}, [f"{ASSAYAG}, Figure 15, best of 100 sounds"]),
        ("inverse_synth", THESIS | TUNED, [f"{ASSAYAG}, Figure 12, AdaDelta", f"{ASSAYAG}, Figure 13a, 4 layers of 800", f"{ASSAYAG}, Figure 13b, rho 0.45, weight decay 5e-4"]),
        ("inverse_synth", THESIS | {"optimizer_options": {"rho": 0.45, "weight_decay": 0}}, [f"{ASSAYAG}, Figure 12, AdaDelta", f"{ASSAYAG}, Figure 13a, 4 layers of 800"]),
        ("inverse_synth", THESIS | {"optimizer": "sgd"}, []),
        ("inverse_synth", THESIS | TUNED | {"options": {"components": 64}}, []),
        ("inverse_synth", THESIS | TUNED | {"options": {"layers": 2}}, []),
        ("mtt_proposed", {"options": {"shapes": [], "dropout": 0.5, "norm": False}}, [f"{PONS}, Table III, Proposed"]),
        ("mtt_proposed", {"options": {"dropout": 0}}, []),
        ("mtt_proposed_x2", {"options": {"norm": True}}, []),
        ("inverse_synth", {"knobs": 1, "sounds": 1000}, []),
    ],
)  # fmt: skip
def test_a_figure_stands_beside_what_it_is_of(model: str, about: dict[str, Any], rows: list[str]) -> None:
    facts = run_facts.facts(model, **about)
    assert [one.name for one in published.beside(facts)] == rows
    for one in published.RESULTS:
        assert (one.misplaced(facts) is None) == (one.name in rows)


def test_a_misplaced_figure_is_named() -> None:
    facts = run_facts.facts("regressor_mlp", features=["autofx163"], **ALL)
    wrong = published.named(f"{DHOOGHE}, Table C.2, 211C").misplaced(facts)
    assert wrong == "D'Hooghe 2022, Table C.2, 211C is of network 211C, this is 163NC"


def test_what_may_differ_is_said() -> None:
    figure = published.named(f"{ASSAYAG}, Figure 12, AdaDelta")
    for bins, said in ((500, "500 bins instead of 5001"), (5001, "")):
        facts = run_facts.facts("inverse_synth", **THESIS, options={"bins": bins})
        assert figure.misplaced(facts) is None
        assert figure.unlike(facts) == said


def test_a_number_of_classes_that_differs_is_said() -> None:
    theirs = published.named(f"{PONS}, Table I, Proposed, dan")
    for count, said in ((29, "; here 29 classes instead of 32"), (32, "")):
        facts = run_facts.facts("jingju_proposed", groups=["dan1"], classes=[f"p{k}" for k in range(count)])
        assert theirs.misplaced(facts) is None
        assert theirs.said(facts) == theirs.condition + said
    carried = published.named(f"{DHOOGHE}, Figure 5.5, eleven effects, on other sounds")
    assert carried.unlike(run_facts.facts("class_mlp", classes=ELEVEN)) == "11 classes instead of 3"


def test_the_four_targets_of_the_equaliser_are_known_by_their_filters() -> None:
    shipped = {"eq-shelving": "shelving", "eq-peaking": "peaking", "eq-lowpass": "low-pass", "eq-highpass": "high-pass"}
    for name in (*shipped, "eq-any", "pairs-distortion", "distortion"):
        steps = recipes.load(recipes.read_named(name)).chain.steps
        assert run_facts.transformation(steps) == shipped.get(name), name
    weaker = recipes.read_named("eq-shelving")
    weaker["chain"][0]["parameters"]["gain_db"] = 9
    assert run_facts.transformation(recipes.load(weaker).chain.steps) is None


def test_a_network_of_a_cost_has_about_as_many_parameters() -> None:
    """Table 5.1's counts are those of the architectures, as they are counted here."""
    counts = {
        key: count for one in ("regressor_mlp", "autofx") for key, (_, count) in MODELS.load(one).published.items()
    }
    sizes = [one for one in published.RESULTS if one.table == "Table 5.1"]
    assert len(sizes) == 3
    for one in sizes:
        assert one.size is not None
        printed = float(one.size[:-1]) * {"k": 1e3, "M": 1e6}[one.size[-1]]
        assert counts[one.belongs["network"]] == pytest.approx(printed, rel=0.02)


def test_scores_are_better_where_they_are_more() -> None:
    keys = {key for one in published.RESULTS for key in one.values}
    scores = {key for key in keys if published.more_is_better(key)}
    wanted = {
        "accuracy",
        "carried_accuracy",
        "both_accuracy",
        "roc_auc",
        *(f"{average}_{score}" for average in ("micro", "macro") for score in ("precision", "recall", "f1")),
    }
    assert scores == wanted
