"""Auto-tagging on MagnaTagATune (Pons et al.), with both convolution layers four times as wide."""

from __future__ import annotations

from timbre_data.models.architectures._musically_motivated import model

MODEL = model(4, 565_278)
