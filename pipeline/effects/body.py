"""Body: the colour of an instrument's body, pick-up, cabinet or microphone, as resonances and a band."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.signal import butter, sosfilt

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.biquad import cookbook
from timbre_data.pipeline.sound.colouring import generator_of
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

RESONANCES = 8


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    rng = generator_of(values["seed"], 2)
    hertz = np.exp(rng.uniform(np.log(90), np.log(min(6000.0, 0.4 * rate)), RESONANCES))
    gains, widths = rng.uniform(-1, 1, RESONANCES) * values["depth_db"], np.exp(rng.uniform(0, np.log(6), RESONANCES))
    sections = [cookbook("peaking", f, gain, q, rate) for f, gain, q in zip(hertz, gains, widths, strict=True)]
    sections.append(butter(1, values["low_hz"], "highpass", fs=rate, output="sos")[0])
    sections.append(butter(2, min(values["high_hz"], 0.49 * rate), "lowpass", fs=rate, output="sos")[0])
    return np.asarray(sosfilt(np.array(sections), audio.astype(np.float64), axis=1), np.float32)


EFFECT = Effect(
    summary="Body: drawn resonances of an instrument, cabinet or microphone, and its band.",
    family="other",
    space=ParameterSpace.of(
        Parameter(
            name="depth_db", low=1, high=12, unit="dB", kind="db", description="largest gain or loss of a resonance"
        ),
        Parameter(name="low_hz", low=20, high=150, unit="Hz", kind="log", description="lower end of the band"),
        Parameter(name="high_hz", low=2500, high=10500, unit="Hz", kind="log", description="upper end of the band"),
        Parameter(name="seed", low=0, high=1, unit="1", description="which body: another one for each number"),
    ),
    render=_render,
)
