"""First layers of several filter shapes, beside PyTorch's own layers one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchmarks.shaped import plainly
from timbre_data.models.architectures import MODELS
from timbre_data.models.layers.shaped_filters import FilterShape, OverSpectrogram, ShapedFilters

SHAPES = (FilterShape(6, 5, 1), FilterShape(4, 3, 4), FilterShape(40, 17, 1), FilterShape(33, 20, 3))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(
    ("padding", "pool", "flat"), [("same", (24, 8), False), ("time", (0, 4), False), ("valid", (2, 0), True)]
)
@pytest.mark.parametrize("training", [True, False])
def test_it_is_pytorchs_layers_one_after_the_other(
    padding: str, pool: tuple[int, int], flat: bool, norm: bool, training: bool
) -> None:
    """Outputs, gradients of every weight, and running statistics; norms that turn their channel round among them."""
    torch.manual_seed(0)
    layers = [ShapedFilters(SHAPES, padding=padding, pool=pool, flat=flat, norm=norm) for _ in range(2)]  # type: ignore[arg-type]
    for module in layers[0].modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.normal_(module.bias)
        elif isinstance(module, nn.Conv2d):
            assert module.bias is not None
            nn.init.normal_(module.bias)
    layers[1].load_state_dict(layers[0].state_dict())
    x = torch.randn(3, 1, 48, 32) + 0.5
    outputs = []
    for layer, ours in zip(layers, (True, False), strict=True):
        layer.train(training)
        outputs.append(layer(x) if ours else plainly(layer, padding, pool, flat=flat)(x))
        (outputs[-1] * torch.linspace(-1, 1, outputs[-1].numel()).view_as(outputs[-1])).sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
    theirs = dict(layers[1].named_parameters())
    for name, weights in layers[0].named_parameters():
        expected = theirs[name].grad
        assert weights.grad is not None
        assert expected is not None
        largest = max(expected.abs().max().item(), 1e-2)  # behind a norm a bias has none but of rounding
        assert (weights.grad - expected).abs().max().item() < 2e-4 * largest + 1e-4, name
    for name, running in layers[1].named_buffers():
        torch.testing.assert_close(dict(layers[0].named_buffers())[name], running, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", ["mtt_small_rectangular", "jingju_small_rectangular", "instrument_cnn"])
def test_a_network_over_a_spectrogram_trains_as_by_pytorchs_layers(name: str) -> None:
    """Its first convolution, norm and pool are done another way in training, its weights have their names. What
    rounding moves from one place of a later pool to another is allowed for.
    """
    model = MODELS.load(name)
    (shape, _), *_ = model.published.values()
    torch.manual_seed(0)
    body = model.build(shape, model.options()).body
    assert isinstance(body, OverSpectrogram)
    layers = list(body)
    assert isinstance(layers[1], nn.BatchNorm2d)
    nn.init.uniform_(layers[1].weight, -1, 1)
    for layer in body.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    plain = nn.Sequential(*copy.deepcopy(layers))
    assert plain.state_dict().keys() == body.state_dict().keys()
    assert model.frontend is not None
    bins, frames = model.frontend(shape, model.options())(torch.zeros(1, shape.samples)).shape[1:]
    x = torch.randn(4, 1, bins, frames)
    for network in (body, plain):
        network.train()(x).square().sum().backward()
    theirs = dict(plain.named_parameters())
    for key, weights in body.named_parameters():
        expected = theirs[key].grad
        assert weights.grad is not None
        assert expected is not None
        assert (weights.grad - expected).norm() < 0.02 * expected.norm() + 1e-3, key
    for key, running in plain.state_dict().items():
        torch.testing.assert_close(body.state_dict()[key], running, rtol=1e-4, atol=1e-5, msg=key)
    with torch.no_grad():
        torch.testing.assert_close(body.eval()(x), plain.eval()(x), rtol=1e-4, atol=1e-5)


def test_the_same_pass_has_the_same_bytes_and_a_spectrogram_can_have_a_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once more the same, also by several threads; by PyTorch's own layers where what is filtered learns, too."""
    torch.manual_seed(0)
    layer = ShapedFilters(SHAPES, padding="same", pool=(24, 8)).train()
    x = torch.randn(3, 1, 48, 32)
    gradients = []
    for threads in (1, 1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        layer.zero_grad()
        layer(x).square().sum().backward()
        gradients.append([weights.grad.clone() for weights in layer.parameters() if weights.grad is not None])
    for one, again, by_three in zip(*gradients, strict=True):
        assert torch.equal(one, again)
        assert torch.equal(one, by_three)
    x.requires_grad_()
    layer.zero_grad()
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for one, weights in zip(gradients[0], layer.parameters(), strict=True):
        torch.testing.assert_close(one, weights.grad, rtol=1e-3, atol=1e-3)
