"""Every model: the published parameter counts, outputs in range, gradients everywhere, saved and loaded the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Standardised, Trained
from timbre_data.pipeline.catalogue import registry

NAMES = registry.names("model")
CASES = [(name, variant) for name in NAMES for variant in registry.load("model", name).published]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_has_the_published_parameter_count(name: str, variant: str) -> None:
    model: Model = registry.load("model", name)
    shape, count = model.published[variant]
    assert parameter_count(model.build(shape, model.options()), statistics=model.counts_statistics) == count


def test_the_regressors_counts_are_the_papers() -> None:
    counts = {variant: count for variant, (_, count) in registry.load("model", "regressor_mlp").published.items()}
    assert counts == {"163NC": 58_315, "163C": 58_915, "211C": 63_715}


def test_the_convolutional_networks_counts_are_the_papers() -> None:
    counts = {variant: count for variant, (_, count) in registry.load("model", "autofx").published.items()}
    assert (counts["AutoFX"], counts["AutoFX + features"]) == (3_651_407, 3_675_983)


def shape_and_inputs(model: Model, rows: int) -> tuple[Shape, dict[str, torch.Tensor]]:
    """A small shape for any model, and inputs of that shape."""
    if model.task == "transformation":
        return Shape(0, 0, samples=1024, rate=16_000), {"frames": 0.1 * torch.randn(rows, 1024)}
    if model.input == "features":
        return Shape(20, 4), {"features": 1000 * torch.randn(rows, 20) + 5}
    inputs = {"features": torch.randn(rows, 20), "audio": 0.5 * torch.randn(rows, 12_000)}
    return Shape(20, 4, samples=12_000, rate=22_050), inputs


@pytest.fixture(autouse=True)
def the_same_weights_every_time() -> None:
    torch.manual_seed(1)  # with 0, all sigmoids of inverse_synth are saturated, as its wide initialisation has it


@pytest.mark.parametrize("name", NAMES)
class TestModel:
    def test_maps_features_to_outputs(self, name: str) -> None:
        model: Model = registry.load("model", name)
        shape, inputs = shape_and_inputs(model, 3)
        network = model.build(shape, model.options())
        out = network(**inputs)
        decode, loss = getattr(network, "decode", None), getattr(network, "loss", None)
        if loss is not None:
            assert torch.isfinite(loss(out, torch.rand(3, 4), torch.ones(3, 4) > 0, torch.ones(3, 4) > 0))
        if decode is not None:
            out = decode(out)
        assert out.shape == ((3, 1024) if model.task == "transformation" else (3, 4))
        if model.task == "regression":
            assert (out >= 0).all()
            assert (out <= 1).all()

    def test_every_weight_learns(self, name: str) -> None:
        model: Model = registry.load("model", name)
        shape, inputs = shape_and_inputs(model, 3)
        network = model.build(shape, model.options())
        if "features" in inputs:
            inputs["features"] /= 1000
        network(**inputs).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())

    def test_hears_differences_from_the_beginning(self, name: str) -> None:
        """Where nothing of the input comes through to the output, nothing is learned."""
        model: Model = registry.load("model", name)
        shape, inputs = shape_and_inputs(model, 6)
        network = model.build(shape, model.options())
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0
        if "features" in inputs:
            inputs["features"] /= 1000
        with torch.no_grad():
            assert network(**inputs).std(dim=0).mean() > 4e-4

    def test_is_saved_and_loaded_the_same(self, name: str, tmp_path: Path) -> None:
        model: Model = registry.load("model", name)
        shape, inputs = shape_and_inputs(model, 2)
        network = Standardised(model.build(shape, model.options()), shape.inputs)
        if "features" in inputs:
            inputs["features"][:, 3] = 7  # a constant feature must not divide by zero
            network.fit(inputs["features"])
        trained = Trained(
            name,
            network,
            shape,
            model.options().model_dump(),
            ("autofx163",),
            tuple(map(str, range(20))),
            tuple("abcd"),
        )
        checkpoints.save(trained, tmp_path)
        again = checkpoints.load(tmp_path)
        asked = (
            (lambda one: one.network.network(**inputs))
            if model.task == "transformation"
            else (lambda one: one.predict(**inputs))
        )
        assert torch.isfinite(asked(trained)).all()
        assert torch.equal(asked(again), asked(trained))
        assert again.outputs == trained.outputs

    def test_names_its_paper(self, name: str) -> None:
        """Who, and which work or year."""
        source = registry.load("model", name).source
        assert source[0].isupper() or source.startswith("ours, after")
        assert "," in source
