"""The contract of architectures: published parameter counts, outputs in range, gradients everywhere, saved and loaded
the same.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.layers.shaped_filters import biases_before_norms
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoints import Standardized, Trained


class ModelContract(Contract):
    """An architecture builds a network for a shape."""

    @cached_property
    def model(self) -> Model:
        """The member that the module exposes."""
        return MODELS.load(self.name)

    def shape_and_inputs(self, rows: int) -> tuple[Shape, dict[str, torch.Tensor]]:
        """A small shape for any model, and inputs of that shape."""
        torch.manual_seed(1)  # with 0, all sigmoids of inverse_synth are saturated, as its wide initialisation has it
        if self.model.task == "transformation":
            return Shape(0, 0, samples=1024, rate=16_000), {"frames": 0.1 * torch.randn(rows, 1024)}
        if self.model.input == "features":
            return Shape(20, 4), {"features": 1000 * torch.randn(rows, 20) + 5}
        inputs = {"features": torch.randn(rows, 20), "audio": 0.5 * torch.randn(rows, 12_000)}
        return Shape(20, 4, samples=12_000, rate=22_050), inputs

    def network_and_inputs(self, rows: int) -> tuple[Any, dict[str, torch.Tensor]]:
        """A network, and inputs that are about standardized."""
        shape, inputs = self.shape_and_inputs(rows)
        network = self.model.build(shape, self.model.options())
        if "features" in inputs:
            inputs["features"] = inputs["features"] / 1000
        return network, inputs

    def check_says_what_it_is(self) -> None:
        """A summary, and who published it: a name, and a work or year."""
        sentence(self.model.summary)
        source = self.model.source
        assert source[:1].isupper() or source.startswith("ours, after"), f"the source names nobody: {source!r}"
        assert "," in source, f"the source names no work or year: {source!r}"

    def check_has_the_published_parameter_counts(self) -> None:
        """Each variant of `published` has the count that the paper gives."""
        for variant, (shape, count) in self.model.published.items():
            network = self.model.build(shape, self.model.options())
            counted = parameter_count(network, statistics=self.model.counts_statistics)
            assert counted == count, f"{variant}: {counted} parameters, published {count}"

    def check_maps_inputs_to_outputs(self) -> None:
        """The requested number of outputs; those of a regressor lie in [0, 1]."""
        shape, inputs = self.shape_and_inputs(3)
        network = self.model.build(shape, self.model.options())
        out = network(**inputs)
        decode, loss = getattr(network, "decode", None), getattr(network, "loss", None)
        if loss is not None:
            value = loss(out, torch.rand(3, 4), torch.ones(3, 4) > 0, torch.ones(3, 4) > 0)
            assert torch.isfinite(value), "its loss is not finite"
        if decode is not None:
            out = decode(out)
        assert out.shape == ((3, 1024) if self.model.task == "transformation" else (3, 4)), f"wrong shape {out.shape}"
        if self.model.task == "regression":
            assert ((out >= 0) & (out <= 1)).all(), "outputs of a regressor lie in [0, 1]"

    def check_every_weight_learns(self) -> None:
        """Every parameter gets a gradient, from the network's own loss where it has one; that of a bias before a
        batch norm, which takes it away, may be zero.
        """
        network, inputs = self.network_and_inputs(3)
        out, loss = network(**inputs), getattr(network, "loss", None)
        if loss is None:
            out.square().sum().backward()
        else:
            loss(out, torch.rand(3, 4), torch.ones(3, 4) > 0, torch.ones(3, 4) > 0).backward()
        taken_away = biases_before_norms(network)
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{name} gets no gradient"
            assert parameter in taken_away or parameter.grad.abs().sum() > 0, f"the gradient of {name} is zero"

    def check_responds_to_its_input_before_training(self) -> None:
        """The output depends on the input before training: otherwise nothing could be learned."""
        network, inputs = self.network_and_inputs(6)
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0
        with torch.no_grad():
            assert network(**inputs).std(dim=0).mean() > 4e-4, "different inputs give the same output"

    def check_is_saved_and_loaded_the_same(self) -> None:
        """A run's file gives the same predictions."""
        shape, inputs = self.shape_and_inputs(2)
        network = Standardized(self.model.build(shape, self.model.options()), shape.inputs)
        if "features" in inputs:
            inputs["features"][:, 3] = 7  # a constant feature must not divide by zero
            network.fit(inputs["features"])
        trained = Trained(
            model=self.name,
            network=network,
            shape=shape,
            options=self.model.options().model_dump(),
            features=("autofx163",),
            feature_names=tuple(map(str, range(20))),
            outputs=tuple("abcd"),
            target=self.model.target_name,
        )
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save(trained, Path(folder))
            loaded = checkpoints.load(Path(folder))

        def answer(one: Trained) -> torch.Tensor:
            if self.model.task == "transformation":
                out: torch.Tensor = one.network.network(**inputs)
                return out
            return one.predict(**inputs)

        assert torch.isfinite(answer(trained)).all(), "predictions are not finite"
        assert torch.equal(answer(loaded), answer(trained)), "it predicts otherwise once saved and loaded"
        assert loaded.outputs == trained.outputs


CONTRACT = ModelContract
