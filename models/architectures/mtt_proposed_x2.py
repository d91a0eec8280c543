"""Auto-tagging on MagnaTagATune (Pons et al.), with both convolution layers twice as wide."""

from __future__ import annotations

from timbre_data.models.architectures._musically_motivated import model

MODEL = model(2, 191_006)
