"""The flow against posteriors that are known in closed form: oscillators that may be exchanged.

k oscillators have frequencies drawn from [0, 1], and what is heard of them is their sorted list with Gaussian noise.
Given that, each order of them is equally likely: k! modes. Sorted, they are Gaussians around what was heard, cut to
[0, 1] and to their order, from which anybody can draw by throwing away what does not fit.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest

from timbre_data.models.evaluation.posterior import coverage, ranks, tarp, uniform_p
from timbre_data.models.layers.flow import Flow, row_noise
from timbre_data.models.layers.knob_tokens import KnobTokens

NOISE = 0.05
ROWS, DRAWS = 1200, 19
STEPS, BATCH = {2: 700, 4: 1200}, 128


def heard(count: int, oscillators: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies [shape=(n, k)] and what is heard of them [shape=(n, k)]."""
    frequencies = torch.rand(count, oscillators, generator=generator)
    return frequencies, frequencies.sort(1).values + NOISE * torch.randn(count, oscillators, generator=generator)


def exact_draws(sound: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Sorted draws from the true posterior of one sound [shape=(count, k)]."""
    rng = np.random.default_rng(3)
    tried = sound + NOISE * rng.standard_normal((200 * count, len(sound)))
    fitting = tried[(np.diff(tried, axis=1) > 0).all(axis=1) & (tried > 0).all(axis=1) & (tried < 1).all(axis=1)]
    return fitting[:count]


def trained_flow(oscillators: int) -> tuple[Flow, torch.nn.Module]:
    """A flow and a regression that learned the toy."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    flow = Flow((0,) * oscillators, oscillators, [tuple((k,) for k in range(oscillators))], width=48, layers=2)
    regression = torch.nn.Sequential(
        torch.nn.Linear(oscillators, 64), torch.nn.GELU(), torch.nn.Linear(64, oscillators)
    )
    optimizer = torch.optim.Adam([*flow.parameters(), *regression.parameters()], lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS[oscillators])
    for _ in range(STEPS[oscillators]):
        frequencies, sound = heard(BATCH, oscillators, generator)
        loss = flow.loss(sound, frequencies, torch.ones_like(frequencies, dtype=torch.bool), draws=4)
        loss = loss + (regression(sound) - frequencies).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return flow.eval(), regression


@pytest.mark.slow  # a training each
@pytest.mark.timeout(1200)  # minutes beside other work
@pytest.mark.parametrize("oscillators", [2, 4])
def test_every_order_of_oscillators_is_drawn(oscillators: int) -> None:
    flow, regression = trained_flow(oscillators)
    sound = torch.linspace(0.15, 0.85, oscillators)
    draws = flow.draw(sound.repeat(2400, 1), torch.randn(2400, oscillators, 1))
    orders = draws.argsort(dim=1).numpy()
    found, times = np.unique(orders, axis=0, return_counts=True)
    assert len(found) == math.factorial(oscillators)
    assert chisquare(times).pvalue > 1e-3
    exact = exact_draws(sound.numpy(), 2400)
    ordered = draws.sort(dim=1).values.numpy()
    for k in range(oscillators):
        assert ordered[:, k].mean() == pytest.approx(exact[:, k].mean(), abs=0.01)
        assert ordered[:, k].std() == pytest.approx(exact[:, k].std(), rel=0.2)
    answer = regression(sound[None])[0].detach()
    assert float((answer - sound.mean()).abs().max()) < 0.1  # the mean of all orders, which is none of them
    generator = torch.Generator().manual_seed(5)
    labels, sounds = heard(ROWS, oscillators, generator)
    noise = torch.randn(ROWS * DRAWS, oscillators, 1, generator=generator)
    many = flow.draw(sounds.repeat_interleave(DRAWS, dim=0), noise).unflatten(0, (ROWS, DRAWS)).numpy()
    rank = ranks(many, labels.numpy())
    for level in (0.5, 0.9):
        assert coverage(rank, DRAWS, level).mean() == pytest.approx(level, abs=0.03)
    assert uniform_p(tarp(many, labels.numpy(), np.ones(labels.shape, bool))) > 1e-4
    assert oscillators != 2 or agrees_with_the_true_density(flow)


def agrees_with_the_true_density(flow: Flow) -> bool:
    """For two oscillators in the middle of the range, where nothing is cut off: Gaussians over 2; equal for both
    orders.
    """
    sound = torch.tensor([[0.3, 0.7]]).repeat(50, 1)
    labels = sound + 0.7 * NOISE * torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    found = flow.log_density(sound, labels)
    gauss = -(labels - sound).square().sum(dim=1) / (2 * NOISE**2) - 2 * math.log(NOISE * math.sqrt(2 * math.pi))
    near = float((found - (gauss - math.log(2))).abs().mean()) < 0.25
    return near and torch.allclose(flow.log_density(sound, labels.flip(1)), found, atol=1e-4)


def test_parts_that_may_be_exchanged_are_treated_alike() -> None:
    """Before any training, too; other knobs are not."""
    torch.manual_seed(1)
    flow = Flow((0, 3, 0, 3, 0, 0), 5, [((0, 1), (2, 3))], width=32, layers=2)
    with torch.no_grad():
        for weights in flow.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    tokens, time, condition = torch.randn(4, 4, 4), torch.rand(4), torch.randn(4, 5)
    velocity = flow(tokens, time, condition)
    exchanged = flow(tokens[:, [1, 0, 2, 3]], time, condition)
    assert torch.allclose(exchanged, velocity[:, [1, 0, 2, 3]], atol=1e-5)
    others = flow(tokens[:, [0, 1, 3, 2]], time, condition)
    assert not torch.allclose(others, velocity[:, [0, 1, 3, 2]], atol=1e-3)


def test_knobs_survive_as_tokens() -> None:
    tokens = KnobTokens((0, 3, 0, 3, 5), [((0, 1), (2, 3))])
    labels = torch.tensor([[0.2, 0.5, 0.9, 1.0, 0.25], [0.0, 0.0, 1.0, 0.5, 1.0]])
    encoded = tokens.encode(labels)
    assert encoded.shape == (2, 3, 5)
    assert torch.allclose(tokens.decode(encoded), labels, atol=1e-6)
    mask = torch.tensor([[True, False, False, False, True], [True, True, True, True, True]])
    assert tokens.weights(mask).sum(dim=(1, 2)).tolist() == pytest.approx([2, 5])


def test_knobs_that_do_not_apply_do_not_count() -> None:
    flow = Flow((0, 0), 3, width=16, layers=1)
    labels, mask = torch.rand(8, 2), torch.tensor([[True, False]]).repeat(8, 1)
    other = torch.stack([labels[:, 0], torch.rand(8)], dim=1)
    losses = [
        flow.loss(torch.zeros(8, 3), one, mask, generator=torch.Generator().manual_seed(0)) for one in (labels, other)
    ]
    assert losses[0] == losses[1]


def test_a_rows_draws_do_not_depend_on_the_others() -> None:
    flow = Flow((0, 4), 3, width=16, layers=1)
    rows = np.array([3, 8, 5])
    all_three, alone = row_noise(flow, rows, 6, seed=2), row_noise(flow, rows[1:2], 6, seed=2)
    assert torch.equal(all_three[6:12], alone)
    assert not torch.equal(row_noise(flow, rows[1:2], 6, seed=3), alone)


def test_what_is_too_sure_or_not_sure_enough_is_found() -> None:
    """Calibration is a test that fails: with draws that are right, narrow, wide, and moved."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(400, 3))
    labels = centres + rng.normal(size=centres.shape)
    yes = np.ones(labels.shape, bool)

    def measured(spread: float, moved: float = 0.0) -> tuple[float, float, float]:
        draws = centres[:, None] + moved + spread * rng.normal(size=(400, 64, 3))
        rank = ranks(draws, labels)
        return (
            float(coverage(rank, 64, 0.5).mean()),
            float(kstest((rank.ravel() + rng.random(rank.size)) / 65, "uniform").pvalue),
            uniform_p(tarp(draws, labels, yes)),
        )

    right = measured(1)
    assert right[0] == pytest.approx(0.5, abs=0.04)
    assert min(right[1:]) > 0.01
    assert measured(0.5)[0] < 0.35
    assert measured(2)[0] > 0.7
    assert max(measured(0.5)[1:]) < 1e-3
    assert measured(1, moved=0.7)[1] < 1e-6
