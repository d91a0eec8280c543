"""Noise has the slope and the decay that it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from timbre_data.pipeline.sources.noise import Noise, NoiseSettings

RATE = 16_000


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0, -9.0])
def test_the_slope_is_what_was_asked_for(slope: float) -> None:
    settings = NoiseSettings(sounds=1, slope_db=(slope, slope), decay_seconds=(1e6, 1e6))
    sound = Noise(settings).render(0, RATE, 1, 10 * RATE)[0]
    hertz, power = signal.welch(sound, RATE, nperseg=2048)
    middle = (hertz > 50) & (hertz < 5000)
    octaves, level = np.log2(hertz[middle]), 10 * np.log10(power[middle])
    assert np.polyfit(octaves, level, 1)[0] == pytest.approx(slope, abs=0.2)


def test_a_burst_fades_by_60_db_in_its_time_and_channels_differ() -> None:
    settings = NoiseSettings(sounds=1, decay_seconds=(2.0, 2.0), slope_db=(0.0, 0.0))
    sound = Noise(settings).render(0, RATE, 2, 2 * RATE)
    early, late = (np.sqrt((part**2).mean()) for part in (sound[:, 160:1760], sound[:, -1600:]))
    assert 20 * np.log10(early / late) == pytest.approx(60 * (1.895 / 2.0), abs=1.5)
    assert not np.array_equal(sound[0], sound[1])
