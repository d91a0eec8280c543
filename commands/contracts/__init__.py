"""Contracts that every member of a kind must fulfil, one file per kind: run by the tests over all shipped members, and
by `timbre-data check FILE`.
"""

from __future__ import annotations

from timbre_data.pipeline.catalogue.registry import Registry

CONTRACTS: Registry[type] = Registry(__name__, kind="contract", attribute="CONTRACT")
