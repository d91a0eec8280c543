"""The dynamic range of distances: how far below the loudest point of a target a difference still counts."""

from __future__ import annotations

DYNAMIC_DB = 80.0
