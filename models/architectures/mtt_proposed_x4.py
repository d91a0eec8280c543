"""Auto-tagging on MagnaTagATune (Pons et al.), with both convolution layers four times as wide.

The text widens the first layer alone; its parameter counts are those of both.
"""

from __future__ import annotations

from timbre_data.models.architectures._musically_motivated import model

MODEL = model(4, 565_278)
