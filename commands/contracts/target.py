"""The contract of targets: a name for what is learned, outputs that fit it, a loss that falls when predictions are
right.
"""

from __future__ import annotations

from functools import cached_property

import torch

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.models.targets import TARGETS
from timbre_data.models.targets._target import Target


class TargetContract(Contract):
    """A target says what a run learns."""

    @cached_property
    def target(self) -> Target:
        """The member that the module exposes."""
        return TARGETS.load(self.name)

    def check_says_what_it_is(self) -> None:
        """A summary, and which tasks it is for."""
        sentence(self.target.summary)
        assert self.target.task in ("classification", "regression", "transformation"), (
            f"unknown task {self.target.task}"
        )

    def check_right_predictions_cost_less(self) -> None:
        """The loss of a right answer is below that of a wrong one."""
        right, wrong, targets, mask = self.target.example()
        good, bad = (
            self.target.loss(one, targets, mask, mask, self.target.always_multi_label) for one in (right, wrong)
        )
        assert torch.isfinite(good), "the loss of a right prediction is not finite"
        assert good < bad, f"a right prediction costs {float(good):g}, a wrong one {float(bad):g}"

    def check_decoded_predictions_are_shares(self) -> None:
        """Probabilities and normalized parameters lie in [0, 1]; sounds are not decoded."""
        if self.target.task == "transformation":
            return
        decoded = self.target.decode(self.target.example()[0], self.target.always_multi_label)
        assert ((decoded >= 0) & (decoded <= 1)).all(), "decoded predictions lie outside [0, 1]"


CONTRACT = TargetContract
