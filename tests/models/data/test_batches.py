"""Batches: their order and how spectrograms are varied."""

from __future__ import annotations

import numpy as np
import torch

from timbre_data.models.data.batches import Batches, Variation


def test_batches_hold_every_row_once_in_an_order_of_seed_and_epoch() -> None:
    data = [torch.arange(1000)]
    rows = np.arange(len(data[0]))
    first = torch.cat([batch[0] for batch in Batches(data, rows, 64, seed=1, epoch=0)])
    again = torch.cat([batch[0] for batch in Batches(data, rows, 64, seed=1, epoch=0)])
    later = torch.cat([batch[0] for batch in Batches(data, rows, 64, seed=1, epoch=1)])
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert torch.equal(first.sort().values, data[0])


def test_batches_cut_and_mask_spectrograms_the_same_way_for_the_same_seed_and_epoch() -> None:
    heard = torch.arange(1, 61.0) + 1000 * torch.arange(1, 33.0)[:, None] + torch.zeros(200, 1, 1)
    rows = np.arange(len(heard))

    def epoch(number: int) -> torch.Tensor:
        return torch.cat([batch[0] for batch in Batches([heard], rows, 64, 1, number, Variation(crop=20, mask=8))])

    first = epoch(0)
    assert first.shape == (200, 32, 20)
    assert torch.equal(first, epoch(0))
    assert not torch.equal(first, epoch(1))
    lowest = first.amin(dim=(1, 2), keepdim=True)
    silent = (first == lowest).all(dim=2)
    assert set(silent.sum(dim=1).tolist()) == set(range(9))
    assert all(len(np.flatnonzero(np.diff(one.int().numpy(), prepend=0, append=0))) <= 2 for one in silent)
    starts = first[:, -1].amin(dim=1)[~silent[:, -1]] - 32_000
    assert set(starts.tolist()) <= set(range(1, 42))
    assert len(set(starts.tolist())) > 35
    kept = first[~silent].diff(dim=1)
    assert torch.equal(kept, torch.ones_like(kept))  # neighbouring frames, in order


def test_batches_filter_spectrograms_along_bent_lines_within_the_gain() -> None:
    heard = 40 + 40 * torch.rand(64, 128, 30)  # a range of 40, its lowest value far below most others
    heard[:, 0, 0], heard[:, 0, 1] = 0, 80
    (batch,) = Batches([heard], np.arange(64), 64, 1, variation=Variation(gain=0.1))
    order = np.random.default_rng([1, 0]).permutation(64)
    lines = batch[0][:, 1:] - heard[order][:, 1:]
    assert lines.abs().max() <= 8
    assert lines.abs().max() > 7
    assert torch.allclose(lines.amin(dim=2), lines.amax(dim=2), atol=1e-4)  # one gain a band, all the time
    lines = lines.mean(dim=2)
    bent = lines.diff(dim=1).diff(dim=1).abs() > 1e-3
    assert bent.sum(dim=1).max() <= 4  # two bends, each seen by two differences at most
    assert (bent.sum(dim=1) > 0).float().mean() > 0.9
    lowest = batch[0][:, 0, 0]
    assert (lowest >= 0).all()  # nothing below the lowest value
    assert 16 < (lowest == 0).sum() < 48


def test_batches_are_not_varied_unless_asked() -> None:
    heard = torch.rand(10, 8, 20)
    varied = Batches([heard], np.arange(10), 64, 1, variation=Variation(crop=5, gain=0.2, mask=3))
    assert all(torch.equal(a, b) for (a,), (b,) in zip(varied, varied, strict=True))
    (batch,) = Batches([heard], np.arange(10), 64, None)
    assert torch.equal(batch[0], heard)
