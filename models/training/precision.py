"""What kind of numbers this machine multiplies fast."""

from __future__ import annotations

from collections.abc import Callable

import torch


def multiplies_in_bfloat16() -> bool:
    """Whether the processor (AMX, AVX-512 BF16) or a GPU multiplies in bfloat16; also where PyTorch cannot tell."""
    if torch.cuda.is_available():
        return True
    told = [getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in ("avx512_bf16", "amx_tile")]
    known: list[Callable[[], bool]] = [ask for ask in told if ask is not None]
    return not known or any(ask() for ask in known)
