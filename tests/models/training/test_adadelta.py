"""AdaDelta beside PyTorch's: the same steps and the same state, for any number of threads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from timbre_data.models.training import adadelta
from timbre_data.models.training.adadelta import Adadelta

OPTIONS: dict[str, Any] = {"lr": 0.7, "rho": 0.45, "eps": 1e-6, "weight_decay": 5e-4}


def trained(made: type[torch.optim.Optimizer], steps: int = 40, **options: Any) -> tuple[nn.Module, Any]:
    """A small network after some steps of learning noise, and its optimizer."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 28, 30), nn.Linear(30, 2))
    optimizer = made(network.parameters(), **(OPTIONS | options))
    go_on(network, optimizer, steps)
    return network, optimizer


def go_on(network: nn.Module, optimizer: Any, steps: int) -> None:
    for step in range(steps):
        random = torch.Generator().manual_seed(step)
        sounds, labels = torch.randn(5, 1, 32, generator=random), torch.randn(5, 2, generator=random)
        optimizer.zero_grad()
        (network(sounds) - labels).square().mean().backward()
        optimizer.step()


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in network.parameters()])


@pytest.mark.parametrize("changed", [{}, {"weight_decay": 0.0}, {"rho": 0.9, "lr": 1.0}])
def test_it_steps_as_pytorch_does(changed: dict[str, Any]) -> None:
    (ours, made), (theirs, reference) = trained(Adadelta, **changed), trained(torch.optim.Adadelta, **changed)
    assert torch.allclose(weights(ours), weights(theirs), rtol=1e-4, atol=1e-6)
    assert not torch.equal(weights(ours), weights(trained(Adadelta, steps=39, **changed)[0]))
    for one, other in zip(made.state.values(), reference.state.values(), strict=True):
        assert one.keys() == other.keys()
        assert float(one["step"]) == float(other["step"]) == 40
        for name in ("square_avg", "acc_delta"):
            assert torch.allclose(one[name], other[name], rtol=1e-3, atol=1e-9)


def test_its_state_is_pytorchs() -> None:
    """A training that was begun with either goes on with the other."""
    network, optimizer = trained(Adadelta, steps=20)
    other = torch.optim.Adadelta(network.parameters(), **OPTIONS)
    other.load_state_dict(optimizer.state_dict())
    back = Adadelta(network.parameters(), **OPTIONS)
    back.load_state_dict(other.state_dict())
    go_on(network, back, 10)
    straight, same = trained(Adadelta, steps=20)
    go_on(straight, same, 10)
    assert torch.equal(weights(network), weights(straight))


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    before = torch.get_num_threads()
    try:
        for threads, part in ((1, 1 << 20), (3, 1 << 20), (3, 100), (2, 7)):
            torch.set_num_threads(threads)
            monkeypatch.setattr(adadelta, "PART", part)
            random = torch.Generator().manual_seed(1)
            weight = nn.Parameter(torch.randn(1234, generator=random))
            optimizer = Adadelta([weight], **OPTIONS)
            for _ in range(10):
                weight.grad = torch.randn(1234, generator=random)
                optimizer.step()
            made.append(weight.detach())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(made[0], one) for one in made[1:])


@pytest.mark.parametrize("options", [{"maximize": True}, {"foreach": True}])
def test_what_it_does_not_do_itself_pytorch_does(options: dict[str, Any]) -> None:
    assert torch.equal(weights(trained(Adadelta, **options)[0]), weights(trained(torch.optim.Adadelta, **options)[0]))


def test_weights_of_other_kinds_are_left_to_pytorch() -> None:
    both = []
    for made in (Adadelta, torch.optim.Adadelta):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(6, dtype=torch.float64))
        optimizer = made([weight], **OPTIONS)
        weight.grad = weight.detach() * 2
        optimizer.step(lambda: torch.zeros(()))
        both.append(weight.detach())
    assert torch.equal(*both)


def test_a_closure_is_called_and_its_loss_returned() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = Adadelta([weight], **OPTIONS)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 3
    assert float(weight.detach().max()) < 1
