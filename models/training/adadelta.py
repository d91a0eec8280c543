"""AdaDelta in one pass over the weights, where PyTorch's goes over them a dozen times: of the published inverse
synthesiser's training, with five sounds a batch, that step was a third.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

PART = 1 << 20
"""Weights that one thread takes at once."""


@njit(cache=True, nogil=True, error_model="numpy")
def _update(
    weights: NDArray[np.float32],
    gradients: NDArray[np.float32],
    squares: NDArray[np.float32],
    steps: NDArray[np.float32],
    rate: np.float32,
    rho: np.float32,
    epsilon: np.float32,
    decay: np.float32,
) -> None:  # pragma: no cover  # compiled
    """Zeiler 2012, algorithm 1, in place: running means of squared gradients and of squared steps [shape=(n,) each]."""
    rest = np.float32(1) - rho
    for k in range(len(weights)):
        gradient = gradients[k] + decay * weights[k]
        squares[k] = rho * squares[k] + rest * gradient * gradient
        step = np.sqrt(steps[k] + epsilon) / np.sqrt(squares[k] + epsilon) * gradient
        steps[k] = rho * steps[k] + rest * step * step
        weights[k] -= rate * step


class Adadelta(torch.optim.Adadelta):
    """As `torch.optim.Adadelta`, with the same state, to rounding: dense float32 weights on the processor are updated
    in one pass, by as many threads as PyTorch has, others as there.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; `closure` computes the loss anew, which is returned."""
        if not all(_is_plain(group) for group in self.param_groups):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work: list[tuple[Any, ...]] = []
        for group in self.param_groups:
            constants = tuple(np.float32(group[name]) for name in ("lr", "rho", "eps", "weight_decay"))
            for weights in (one for one in group["params"] if one.grad is not None):
                state = self.state[weights]
                if not state:
                    state["step"] = torch.zeros(())
                    state["square_avg"] = torch.zeros_like(weights, memory_format=torch.preserve_format)
                    state["acc_delta"] = torch.zeros_like(weights, memory_format=torch.preserve_format)
                state["step"] += 1
                tables = (weights, weights.grad, state["square_avg"], state["acc_delta"])
                flat = [one.detach().view(-1).numpy() for one in tables]
                work += [(*(one[k : k + PART] for one in flat), *constants) for k in range(0, len(flat[0]), PART)]
        threads = min(torch.get_num_threads(), len(work))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda part: _update(*part), work))
        else:
            for part in work:
                _update(*part)
        return loss


def _is_plain(group: dict[str, Any]) -> bool:
    """Whether a group has no option, and no weight, that needs PyTorch's own step."""
    options = any(group.get(name) for name in ("foreach", "maximize", "differentiable", "capturable"))
    rate = isinstance(group["lr"], torch.Tensor)
    return not (options or rate) and all(
        one.device.type == "cpu"
        and one.dtype == torch.float32
        and one.is_contiguous()
        and (one.grad is None or (one.grad.layout == torch.strided and one.grad.is_contiguous()))
        for one in group["params"]
    )
