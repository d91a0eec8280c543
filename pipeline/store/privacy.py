"""What is left out when a dataset is handed over: folders of the machine that it was made on."""

from __future__ import annotations

import re
from typing import Any

_ABSOLUTE = re.compile(r"^(/|~|[A-Za-z]:[\\/])")


def without_private_paths(node: Any) -> Any:
    """Settings with only the last part of every absolute path."""
    if isinstance(node, dict):
        return {key: without_private_paths(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [without_private_paths(one) for one in node]
    if isinstance(node, str) and _ABSOLUTE.match(node):
        return re.split(r"[\\/]", node.rstrip("/\\"))[-1] or node
    return node
