"""Vital, a wavetable synthesiser of commercial grade, through the `vita` wheel (GPL); in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.vita import require_vita
from timbre_data.pipeline.synths.plugin import unit_values
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.parameter import Condition, Parameter
from timbre_data.schemas.space import ParameterSpace

FILTER_MODELS = ("analog", "dirty", "ladder", "digital", "diode", "formant", "comb", "phaser")
FIXED = {
    "osc_1_random_phase": 0.0,
    "osc_2_random_phase": 0.0,
    "osc_2_on": 1.0,
    "filter_1_on": 1.0,
    "filter_1_filter_input": 1.0,
}
"""Free phases off (two renders would differ), both oscillators and the filter on, their levels and mixes being
parameters.
"""
MODULATIONS = (("env_2", "filter_1_cutoff"),)


def _time(name: str, description: str) -> Parameter:
    return Parameter(
        name=name, unit="1", description=f"{description}; Vital's own scale, 0 to 32 s by the fourth power"
    )


SPACE = ParameterSpace.of(
    Parameter(name="osc_1_level", unit="1", description="level of the first oscillator"),
    Parameter(name="osc_1_wave_frame", description="place in the wavetable", condition=Condition(parameter="osc_1_level", above=0.0), unit="1"),
    Parameter(name="osc_1_unison_detune", condition=Condition(parameter="osc_1_level", above=0.0), unit="1", description="detuning of the first oscillator's unison voices, Vital's own scale"),
    Parameter(name="osc_1_distortion_amount", condition=Condition(parameter="osc_1_level", above=0.0), unit="1", description="amount of the first oscillator's phase distortion"),
    Parameter(name="osc_2_level", unit="1", description="level of the second oscillator"),
    Parameter(name="osc_2_tune", low=-1, high=1, unit="semitones", condition=Condition(parameter="osc_2_level", above=0.0), description="detuning of the second oscillator"),
    Parameter(name="filter_1_model", kind="choice", positions=FILTER_MODELS, description="model of the filter"),
    Parameter(name="filter_1_cutoff", low=8, high=136, unit="semitones", description="cut-off frequency as a MIDI note number"),
    Parameter(name="filter_1_resonance", unit="1", description="resonance of the filter"),
    Parameter(name="filter_1_drive", low=0, high=20, unit="dB", description="gain into the filter"),
    Parameter(name="filter_1_mix", unit="1", description="share of the filtered sound"),
    _time("env_1_attack", "amplitude"),
    _time("env_1_decay", "amplitude"),
    Parameter(name="env_1_sustain", unit="1", description="sustain level of the amplitude envelope"),
    _time("env_1_release", "amplitude"),
    _time("env_2_attack", "filter"),
    _time("env_2_decay", "filter"),
    Parameter(name="env_2_sustain", unit="1", description="sustain level of the filter envelope"),
    _time("env_2_release", "filter"),
)  # fmt: skip


class VitalSettings(Frozen):
    """`fixed`: further controls (see `vita.Synth().get_controls()`) at values in their own units."""

    fixed: dict[str, float] = Field(
        default_factory=dict, description="further controls at fixed values, in their own units"
    )


class _Vital(Hosted):
    def __init__(self, settings: VitalSettings, rate: int, channels: int, isolation: str) -> None:
        arguments = (rate, channels, FIXED | settings.fixed, MODULATIONS)
        super().__init__(
            "vital",
            ("timbre_data.pipeline.synths.hosting.vita", "HostedVital"),
            arguments,
            isolation,
            rate,
            slowest=8.0,
        )

    def play(self, performances: Any, values: Any, samples: int) -> Any:
        return super().play(performances, [unit_values(SPACE, patch) for patch in values], samples)


def _open(settings: VitalSettings, rate: int, channels: int, isolation: str) -> Instrument:
    return _Vital(settings, rate, channels, isolation)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    if values["filter_1_mix"] > 0.02:
        return set()
    return {"filter_1_model", "filter_1_cutoff", "filter_1_resonance", "filter_1_drive", "env_2_attack", "env_2_decay", "env_2_sustain", "env_2_release"}  # fmt: skip


SYNTH = Synth(
    summary="Vital (wavetable synthesiser) through the vita wheel: two oscillators, a filter, two envelopes, chosen by name.",
    settings=VitalSettings,
    space=lambda settings: SPACE,
    open=_open,
    isolations=("reuse", "settle", "fork", "fresh", "process"),
    batch=64,
    unidentifiable=_unidentifiable,
    requires=require_vita,
)
