"""What a musically motivated first layer promises (Pons et al. 2017, Section II): the same timbre at another pitch,
level or duration is nearer than another timbre. Rendered pairs, weights as they begin.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from timbre_data.models.architectures._musically_motivated import SHAPES as TAGGING
from timbre_data.models.architectures._timbre import irmas_frontend, magnatagatune_frontend
from timbre_data.models.architectures.irmas_single import SHAPES as INSTRUMENTS
from timbre_data.models.layers.shaped_filters import ShapedFilters
from timbre_data.models.layers.spectrogram import MelFrontend


def tone(rate: int, hertz: float, slope: float, seconds: float = 2.6, level: float = 0.3) -> torch.Tensor:
    """A harmonic tone whose partials lie under a fixed envelope that falls by so many dB an octave [shape=(1,
    samples)].
    """
    time = np.arange(round(2.8 * rate)) / rate
    partials = np.arange(1, int(0.45 * rate / hertz) + 1)
    weights = 10 ** (-slope * np.log2(partials * hertz / 100) / 20)
    sound = (weights[:, None] * np.sin(2 * np.pi * partials[:, None] * hertz * time)).sum(axis=0)
    sound *= (time < seconds) / np.abs(sound).max() * level
    return torch.from_numpy(sound.astype(np.float32))[None]


def layer(task: str) -> tuple[int, MelFrontend, ShapedFilters]:
    """Rate, spectrogram and first layer of a task."""
    torch.manual_seed(0)
    if task == "tags":
        return 16_000, magnatagatune_frontend(16_000), ShapedFilters(TAGGING, padding="time", pool=(0, 4)).eval()
    first = ShapedFilters(INSTRUMENTS, padding="same", pool=(96, 32), norm=True).eval()
    return 12_000, irmas_frontend(12_000), first


def answer(sound: torch.Tensor, front: MelFrontend, first: ShapedFilters) -> torch.Tensor:
    """What the first layer finds, its largest over time, the spectrogram standardised."""
    mel = front(sound)
    found: torch.Tensor = first(((mel - mel.mean()) / mel.std())[:, None])
    return found.amax(dim=3).flatten()


@pytest.mark.parametrize("task", ["tags", "instruments"])
def test_a_timbre_is_nearer_to_itself_than_to_another(task: str) -> None:
    rate, front, first = layer(task)
    with torch.inference_mode():
        here = answer(tone(rate, 220, 6), front, first)
        changed = {
            "pitch": answer(tone(rate, 247, 6), front, first),
            "level": answer(tone(rate, 220, 6, level=0.15), front, first),
            "duration": answer(tone(rate, 220, 6, seconds=1.6), front, first),
        }
        other = answer(tone(rate, 220, 24), front, first)
    timbre = float((here - other).norm())
    distances = {name: float((here - one).norm()) / timbre for name, one in changed.items()}
    assert distances["pitch"] < 0.5
    assert distances["level"] < 0.2
    assert distances["duration"] < 0.9


def test_it_is_the_pool_over_frequency_that_forgets_the_pitch() -> None:
    """With the same filters and no pool over frequency another pitch is about as far as another timbre."""
    rate, front, pooled = layer("instruments")
    everywhere = ShapedFilters(INSTRUMENTS, padding="same", pool=(1, 32), norm=True).eval()
    everywhere.load_state_dict(pooled.state_dict())
    ratios = []
    with torch.inference_mode():
        for first in (pooled, everywhere):
            here, higher, other = (
                answer(tone(rate, hertz, slope), front, first) for hertz, slope in ((220, 6), (247, 6), (220, 24))
            )
            ratios.append(float((here - higher).norm() / (here - other).norm()))
    assert ratios[0] < 0.5 * ratios[1]
