"""One filter of a known kind: shelving, peaking, low-pass, high-pass, band-pass or notch, recursive (IIR) or not (FIR),
with its exact response.

Shelves and peaks are the second-order sections of Bristow-Johnson's Audio EQ Cookbook; the rest are SciPy's designs
(`butter`, `iirpeak`, `iirnotch`, `firwin`, `firwin2`). A FIR filter of order N has N + 1 taps and delays by N / 2
samples, as in Martinez Ramirez & Reiss 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.biquad import cookbook
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

Kind = Literal["low_shelf", "high_shelf", "peaking", "lowpass", "highpass", "bandpass", "notch"]
SHAPED: tuple[Kind, ...] = ("low_shelf", "high_shelf", "peaking")
"""Kinds that have a gain."""
Pass = Literal["lowpass", "highpass"]
PASSING: tuple[Pass, ...] = ("lowpass", "highpass")


class FilterSettings(Frozen):
    """The type of the filter. Its gain, frequency and Q are parameters, fixed or random according to the recipe.

    `order` of a low- or high-pass is free (IIR: Butterworth, or with a Q for order 2); all other recursive filters are
    of order 2, and FIR filters have an even order.
    """

    kind: Kind = Field("low_shelf", description="type of filter")
    design: Literal["iir", "fir"] = Field("iir", description="iir (recursive) or fir")
    order: int = Field(2, ge=1, le=512, description="order of the filter; even for a FIR filter")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.design == "fir" and self.order % 2:
            raise ValueError(f"a FIR filter needs an even order, got {self.order}")
        if self.design == "iir" and self.kind not in PASSING and self.order != 2:
            raise ValueError(f"a recursive {self.kind} filter is of order 2, got {self.order}")
        if self.design == "iir" and self.order > 16:
            raise ValueError(f"a recursive filter of order {self.order} is not stable in practice: 16 at most")
        return self

    @property
    def has_q(self) -> bool:
        """Whether a Q is part of the design."""
        return self.kind not in PASSING or (self.design == "iir" and self.order == 2)


Section = NDArray[np.float64]


def sections(settings: FilterSettings, rate: int, values: Mapping[str, float]) -> Section:
    """A recursive filter as second-order sections [shape=(k, 6)]. Raises `UsageError` for a frequency that the rate
    cannot hold.
    """
    from scipy import signal

    hertz, q = _frequency(rate, values), values.get("q", 2**-0.5)
    if settings.kind in SHAPED:
        return cookbook(settings.kind, hertz, values["gain_db"], q, rate)[None]
    if settings.kind in PASSING and settings.order == 2:
        return cookbook(settings.kind, hertz, 0.0, q, rate)[None]
    if settings.kind in PASSING:
        passing: Pass = "lowpass" if settings.kind == "lowpass" else "highpass"
        return np.asarray(signal.butter(settings.order, hertz, passing, fs=rate, output="sos"))
    b, a = (signal.iirpeak if settings.kind == "bandpass" else signal.iirnotch)(hertz, q, fs=rate)
    return np.concatenate([b, a])[None]


def taps(settings: FilterSettings, rate: int, values: Mapping[str, float]) -> Section:
    """A FIR filter's coefficients [shape=(order + 1,)]. Raises `UsageError` for a frequency that the rate cannot
    hold.
    """
    from scipy import signal

    hertz = _frequency(rate, values)
    if settings.kind in PASSING:
        passing: Pass = "lowpass" if settings.kind == "lowpass" else "highpass"
        return np.asarray(signal.firwin(settings.order + 1, hertz, pass_zero=passing, fs=rate))
    grid = np.linspace(0, rate / 2, 1025)
    recursive = FilterSettings(kind=settings.kind)
    wanted = np.abs(signal.sosfreqz(sections(recursive, rate, values), grid, fs=rate)[1])
    return np.asarray(signal.firwin2(settings.order + 1, grid, wanted, fs=rate))


def response(
    settings: FilterSettings, rate: int, values: Mapping[str, float], hertz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """The frequency response of the filter [shape=(f,)]."""
    from scipy import signal

    designed = _designed(settings, rate, tuple(sorted(values.items())))
    if settings.design == "fir":
        return np.asarray(signal.freqz(designed, 1, hertz, fs=rate)[1], np.complex128)
    return np.asarray(signal.sosfreqz(designed, hertz, fs=rate)[1], np.complex128)


def _frequency(rate: int, values: Mapping[str, float]) -> float:
    hertz = values["frequency_hz"]
    if hertz >= rate / 2:
        raise UsageError(f"effect filter: {hertz:g} Hz needs a rate of more than {2 * hertz:g} Hz, not {rate}.")
    return hertz


@lru_cache(maxsize=1024)
def _designed(settings: FilterSettings, rate: int, values: tuple[tuple[str, float], ...]) -> Section:
    design = taps if settings.design == "fir" else sections
    return design(settings, rate, dict(values))


def _configure(settings: Any) -> Effect:
    """The effect of one kind of filter."""
    assert isinstance(settings, FilterSettings)

    def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
        from scipy import signal

        designed = _designed(settings, rate, tuple(sorted(values.items())))
        if settings.design == "fir":
            return np.asarray(signal.lfilter(designed, [1.0], audio, axis=1), np.float32)
        return np.asarray(signal.sosfilt(designed, audio.astype(np.float64), axis=1), np.float32)

    def filter_response(values: Mapping[str, float], rate: int, hertz: NDArray[np.float64]) -> NDArray[np.complex128]:
        return response(settings, rate, values, hertz)

    parameters = [
        Parameter(
            name="frequency_hz", low=40, high=6000, unit="Hz", kind="log", description="centre or corner frequency"
        )
    ]
    if settings.kind in SHAPED:
        parameters.insert(
            0,
            Parameter(
                name="gain_db",
                low=-15,
                high=15,
                unit="dB",
                kind="db",
                description="gain at the centre, or of the shelf",
            ),
        )
    if settings.has_q:
        parameters.append(Parameter(name="q", low=0.3, high=4, kind="log", unit="1", description="quality factor"))
    return Effect(
        summary=SUMMARY,
        family="other",
        space=ParameterSpace.of(*parameters),
        render=render,
        unidentifiable=_unidentifiable,
        response=filter_response,
        settings=FilterSettings,
        configure=_configure,
    )


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    return {"frequency_hz", "q"} & set(values) if abs(values.get("gain_db", 1.0)) < 1e-6 else set()


SUMMARY = "One filter with an exact response: shelving, peaking, low-pass, high-pass, band-pass or notch, IIR or FIR."
EFFECT = _configure(FilterSettings())
