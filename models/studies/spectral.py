"""Learning from the sound instead of the parameters: the real effect inside the loss, and a search at inference time.

The effect has no gradient, so its Jacobian is estimated from renders: by simultaneous perturbation (SPSA, Spall 1992;
two renders a row) as DeepAFx and D'Hooghe 2022 do, or by central differences (two renders a parameter). Renders are
spread over Dask's threads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from timbre_data.models.inference.spectral_search import Task, render_labels, search_one, spectral_loss
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.catalogue.memory import reused_memory
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.recipe import Recipe

Gradient = Literal["spsa", "differences"]


STEP = 0.01
"""Half the distance of the two renders of a derivative, in normalized parameters: the resolution of the paper's
labels.
"""


def _in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a worker's thread, set up as for a build."""
    quiet_threads()
    return function(*arguments)


class Renderer:
    """Renders batches on a Dask client's workers, a few rows a task."""

    def __init__(self, client: Any, recipe: Recipe, rows: int = 16) -> None:
        self._client, self._recipe, self._rows = client, recipe, rows

    def __call__(self, dry: Audio, labels: NDArray[np.float64], order: NDArray[np.int8]) -> Audio:
        """Wet sounds [shape=(n, samples)]."""
        pieces = [slice(i, i + self._rows) for i in range(0, len(dry), self._rows)]
        futures = [
            self._client.submit(
                _in_worker, render_labels, self._recipe, dry[piece], labels[piece], order[piece], pure=False
            )
            for piece in pieces
        ]
        return np.concatenate(self._client.gather(futures))


class EffectLayer:
    """The real effect as a layer: forward renders, backward multiplies with an estimated Jacobian."""

    def __init__(self, render: Renderer, gradient: Gradient, seed: int = 0) -> None:
        self._render, self._gradient = render, gradient
        self._rng = np.random.default_rng(seed)

    def __call__(
        self, labels: torch.Tensor, dry: Audio, order: NDArray[np.int8], mask: NDArray[np.bool_]
    ) -> torch.Tensor:
        """Sounds [shape=(n, samples)] of normalized labels [shape=(n, p)]; `mask` says which of them a row has."""
        layer = self

        class Apply(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, given: torch.Tensor) -> torch.Tensor:
                context.labels = given.detach().double().numpy()
                return torch.from_numpy(layer._render(dry, context.labels, order))

            @staticmethod
            def backward(context: Any, *upstream: torch.Tensor) -> torch.Tensor:
                products = layer.products(context.labels, upstream[0].numpy(), dry, order, mask)
                return torch.from_numpy(products).float()

        return cast(torch.Tensor, Apply.apply(labels))

    def products(
        self, labels: NDArray[np.float64], upstream: Audio, dry: Audio, order: NDArray[np.int8], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Vector-Jacobian products: the gradient of the loss with respect to the labels [shape=(n, p)]."""
        if self._gradient == "spsa":
            directions = [np.where(mask, self._rng.choice([-1.0, 1.0], labels.shape), 0.0)]
        else:
            directions = [
                np.where(mask & (np.arange(labels.shape[1]) == i), 1.0, 0.0) for i in np.flatnonzero(mask.any(axis=0))
            ]
        estimate = np.zeros(labels.shape)
        for direction in directions:
            above, below = (np.clip(labels + sign * STEP * direction, 0, 1) for sign in (1, -1))
            moved = np.abs(above - below).max(axis=1)
            difference = self._render(dry, above, order) - self._render(dry, below, order)
            slope = (upstream * difference).sum(axis=1) / np.maximum(moved, 1e-9)
            estimate += slope[:, None] * direction
        return estimate


def layers_of(network: nn.Module) -> list[nn.Module]:
    """The layers of a network that have weights of their own, in order."""
    return [module for module in network.modules() if list(module.parameters(recurse=False))]


@reused_memory()
def finetune(
    network: nn.Module,
    inputs: Sequence[torch.Tensor | None],
    task: Task,
    mask: NDArray[np.bool_],
    render: Renderer,
    *,
    gradient: Gradient,
    steps: int,
    hand_over: int,
    frozen: int = 0,
    batch: int = 16,
    learning_rate: float = 1e-4,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Train a copy of a network on sounds: (1 - w) MSE of the parameters + w MRSTFT, w rising to 1 over `hand_over`
    steps.

    With `hand_over` 0 the parameters are never looked at: the unsupervised case. The first `frozen` layers with weights
    stay as they are. `inputs` are what the network takes, row by row [shape=(n, ...) each] or None.
    """
    network = copy.deepcopy(network).train()
    for one in layers_of(network)[:frozen]:
        one.eval().requires_grad_(requires_grad=False)  # a batch norm keeps its statistics, too
    optimiser = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], lr=learning_rate)
    layer, loss, rng = EffectLayer(render, gradient, seed), spectral_loss(), np.random.default_rng(seed)
    labels, applies = torch.from_numpy(task.labels), torch.from_numpy(mask)
    for step in range(steps):
        rows = rng.choice(len(task.dry), batch, replace=len(task.dry) < batch)
        predicted = network(*(None if one is None else one[rows] for one in inputs))
        weight = min(1.0, (step + 1) / hand_over) if hand_over else 1.0
        made = layer(predicted, task.dry[rows], task.order[rows], mask[rows])
        spectral = loss(made[:, None], torch.from_numpy(task.target[rows])[:, None])
        squared = ((predicted - labels[rows]).square() * applies[rows]).sum() / applies[rows].sum().clamp(min=1)
        total = weight * spectral + (1 - weight) * squared
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 25 == 0:
            say(
                f"step {step + 1}: weight of the sound {weight:.2f}, MRSTFT {spectral.item():.3f}, MSE {squared.item():.4f}"
            )
    return network.eval()


def search(
    task: Task,
    start: NDArray[np.float32],
    mask: NDArray[np.bool_],
    client: Any,
    *,
    evaluations: int = 160,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Better labels for each row by CMA-ES (Hansen 2016) on the re-rendered distance, started at `start` [shape=(n,
    p)].

    Rows are independent and spread over the client's workers. Never worse than the start.
    """
    futures = [
        client.submit(
            _in_worker, search_one, task.take(np.array([k])), start[k], mask[k], evaluations, seed + k, pure=False
        )
        for k in range(len(start))
    ]
    return np.stack([labels for labels, _ in client.gather(futures)])
