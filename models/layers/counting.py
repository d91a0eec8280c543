"""Counting parameters."""

from __future__ import annotations

from torch import nn


def parameter_count(network: nn.Module, *, statistics: bool = False) -> int:
    """Number of trainable parameters, and with `statistics` of the running means and variances of batch norms (as Keras
    counts).
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)] if statistics else []
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return trained + sum(2 * norm.num_features for norm in norms)
