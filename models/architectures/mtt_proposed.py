"""Auto-tagging on MagnaTagATune (Pons et al.), as published: 75 thousand parameters."""

from __future__ import annotations

from timbre_data.models.architectures._musically_motivated import model

MODEL = model(1, 74_526)
