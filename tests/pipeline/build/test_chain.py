from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.chain import UNUSED, Chain
from timbre_data.pipeline.build.plan import Plan
from timbre_data.schemas.recipe import ChainSpec

GOLDEN = Path(__file__).parents[2] / "goldens" / "labels.json"
ROWS = np.arange(4000)


def chain_of(*effects: str, **fields: object) -> Chain:
    return Chain(ChainSpec.model_validate({"steps": [{"effect": effect} for effect in effects]} | fields))


def test_labels_depend_on_seed_and_row_only() -> None:
    chain = chain_of("distortion", "delay")
    whole = chain.draw(3, np.arange(100))
    scattered = chain.draw(3, np.array([97, 5, 40]))
    assert np.array_equal(scattered.labels, whole.labels[[97, 5, 40]])
    assert not np.array_equal(chain.draw(4, np.arange(100)).labels, whole.labels)
    assert not np.array_equal(chain.draw(3, np.arange(100), attempt=1).labels, whole.labels)
    assert abs(np.corrcoef(whole.labels[:, 7], chain_of("delay").draw(3, np.arange(100)).labels[:, 0])[0, 1]) < 0.4


def test_uniform_labels_are_uniform_and_independent() -> None:
    labels = chain_of("modulation").draw(0, ROWS).labels
    for column in labels.T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-3
    off_diagonal = np.asarray(np.corrcoef(labels.T))[~np.eye(5, dtype=bool)]
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(len(ROWS))


def test_sobol_labels_fill_more_evenly_and_do_not_depend_on_the_batch() -> None:
    chain = Chain(
        ChainSpec.model_validate(
            {
                "steps": [
                    {
                        "effect": "delay",
                        "parameters": {p: {"distribution": "sobol"} for p in ("delay_seconds", "feedback", "mix")},
                    }
                ]
            }
        )
    )
    whole = chain.draw(0, np.arange(256)).labels
    parts = np.concatenate([chain.draw(0, np.arange(a, a + 64)).labels for a in range(0, 256, 64)])
    assert np.array_equal(whole, parts)
    plain = chain_of("delay").draw(0, np.arange(256)).labels
    assert scipy.stats.qmc.discrepancy(whole.astype(float)) < 0.2 * scipy.stats.qmc.discrepancy(plain.astype(float))


def test_choose_one_gives_a_balanced_class_label() -> None:
    order = chain_of("delay", "reverb", "tremolo", choose=1).draw(0, ROWS).order
    assert ((order != UNUSED).sum(axis=1) == 1).all()
    assert scipy.stats.chisquare((order != UNUSED).sum(axis=0)).pvalue > 1e-3


def test_choose_and_shuffle_draw_every_order() -> None:
    draw = chain_of("delay", "reverb", "tremolo", choose=[1, 2], shuffle=True).draw(0, ROWS)
    used = (draw.order != UNUSED).sum(axis=1)
    assert set(used) == {1, 2}
    assert len(np.unique(draw.order, axis=0)) == 3 + 6


def test_probability_turns_steps_off_and_masks_their_labels() -> None:
    chain = Chain(
        ChainSpec.model_validate({"steps": [{"effect": "delay", "probability": 0.25}, {"effect": "tremolo"}]})
    )
    draw = chain.draw(0, ROWS)
    on = draw.order[:, 0] != UNUSED
    assert on.mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(draw.mask[:, :3].all(axis=1), on)
    assert (draw.labels[~on, :3] == 0).all()


def test_order_is_the_order_of_the_sound() -> None:
    chain = chain_of("distortion", "delay")
    audio = np.random.default_rng(0).uniform(-1, 1, (1, 4000)).astype(np.float32)
    values = chain.space.to_values(np.full((1, len(chain.space)), 0.4))[0]
    first, second = chain.effects
    assert first is not None
    assert second is not None
    distortion, delay = chain.step_values(values, 0), chain.step_values(values, 1)
    there = chain.render(audio, 22_050, values, np.array([0, 1], np.int8))
    back = chain.render(audio, 22_050, values, np.array([1, 0], np.int8))
    assert np.array_equal(there, second.render(first.render(audio, 22_050, distortion), 22_050, delay))
    assert np.array_equal(back, first.render(second.render(audio, 22_050, delay), 22_050, distortion))
    assert not np.array_equal(there, back)


def test_an_effect_may_come_twice_under_two_names() -> None:
    chain = Chain(
        ChainSpec.model_validate(
            {"steps": [{"effect": "delay", "name": "first"}, {"effect": "delay", "name": "second"}]}
        )
    )
    assert chain.space.names[0] == "first.delay_seconds"
    with pytest.raises(ValueError, match="different names"):
        ChainSpec.model_validate({"steps": [{"effect": "delay"}, {"effect": "delay"}]})


def test_growing_n_keeps_dry_sounds_and_splits() -> None:
    small, large = (Plan(recipes.load({"name": "x", "chain": "delay", "n": n})) for n in (100, 5000))
    rows = np.arange(100)
    assert np.array_equal(small.dry_order, large.dry_order)
    assert np.array_equal(small.split(small.dry_index(rows)), large.split(large.dry_index(rows)))


def test_every_dry_note_is_used_twenty_times_at_the_papers_size() -> None:
    plan = Plan(recipes.load(recipes.for_effect("delay")))
    assert (np.bincount(plan.dry_index(np.arange(37_440))) == 20).all()


def test_labels_are_those_of_the_first_release() -> None:
    """Datasets are named by recipe and seed: these draws must never change. scripts/update-goldens rewrites the
    file.
    """
    golden = json.loads(GOLDEN.read_text())
    for effect, expected in golden.items():
        recipe = recipes.load(recipes.for_effect(effect))
        assert Chain(recipe.chain).draw(recipe.seed, np.array([0, 1, 37_439])).labels.tolist() == expected
    assert set(golden) == {"modulation", "delay", "distortion"}
