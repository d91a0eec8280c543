"""Vital, a wavetable synthesiser of commercial grade, through the `vita` wheel (GPL); in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.banks.vital_preset import MODULATES
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.preset_files import content_of, file_of, found
from timbre_data.pipeline.synths.hosting.vita import normalized, require_vita
from timbre_data.pipeline.synths.plugin import sent, unit_values
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Condition, Parameter
from timbre_data.schemas.presets import PRESET, AroundPresets, Presets
from timbre_data.schemas.space import ParameterSpace

FILTER_MODELS = ("analog", "dirty", "ladder", "digital", "diode", "formant", "comb", "phaser")
STILL = {f"{part}_random_phase": 0.0 for part in ("osc_1", "osc_2", "osc_3", "sample")}
"""Free phases off: two renders would differ."""
FIXED = STILL | {
    "osc_1_unison_voices": 4.0,
    "osc_1_distortion_type": 4.0,
    "osc_2_on": 1.0,
    "filter_1_on": 1.0,
    "filter_1_filter_input": 1.0,
}
"""What makes every parameter heard: several voices to detune, a phase distortion ("bend"), both oscillators and the
filter on. The first oscillator has a wavetable of its own for the same reason (`hosting.vita.morphing`).
"""
MODULATIONS = (("env_2", "filter_1_cutoff"),)
ENVELOPE = ("env_2_attack", "env_2_decay", "env_2_sustain", "env_2_release")


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
    Parameter(name="modulation_1_amount", low=-1, high=1, unit="1", description="how far the filter envelope moves the cut-off; around presets, the amount of the preset's first modulation"),
    _time("env_1_attack", "amplitude"),
    _time("env_1_decay", "amplitude"),
    Parameter(name="env_1_sustain", unit="1", description="sustain level of the amplitude envelope"),
    _time("env_1_release", "amplitude"),
    _time("env_2_attack", "filter"),
    _time("env_2_decay", "filter"),
    Parameter(name="env_2_sustain", unit="1", description="sustain level of the filter envelope"),
    _time("env_2_release", "filter"),
)  # fmt: skip


SWITCHES = {
    "osc_1": ("osc_1_on", 1.0),
    "osc_2": ("osc_2_on", 0.0),
    "filter_1": ("filter_1_on", 0.0),
    "osc_1_distortion_amount": ("osc_1_distortion_type", 0.0),
}
"""By the beginning of a parameter's name: the control of a preset that switches it on, and what it is where a preset
does not say.
"""


class VitalSettings(AroundPresets):
    """`fixed`: further controls (see `vita.Synth().get_controls()`) at values in their own units. `presets`: a `.vital`
    file, or a folder of them.
    """

    fixed: dict[str, float] = Field(
        default_factory=dict, description="further controls at fixed values, in their own units"
    )

    @field_validator("presets", mode="after")
    @classmethod
    def _found(cls, presets: Presets | None) -> Presets | None:
        if presets is None or presets.entries:
            return presets
        if not presets.path:
            raise UsageError("presets: Vital brings none. Give a .vital file, or a folder of them.")

        def places(stored: Sequence[Mapping[str, float]]) -> list[list[float | None]]:
            known = normalized([{name: values[name] for name in SPACE.names if name in values} for values in stored])
            return [
                [place.get(name) if _is_on(name, values) else None for name in SPACE.names]
                for place, values in zip(known, stored, strict=True)
            ]

        return found(presets, "vital_preset", SPACE.names, places)


def _is_on(name: str, values: Mapping[str, float]) -> bool:
    """Whether a preset has on what a parameter turns."""
    for beginning, (control, otherwise) in SWITCHES.items():
        if name.startswith(beginning) and not values.get(control, otherwise):
            return False
    if name in ENVELOPE:
        return f"{MODULATES}env_2" in values
    if name == "osc_1_unison_detune":
        return values.get("osc_1_unison_voices", 1.0) > 1
    return True


class _Vital(Hosted):
    def __init__(self, settings: VitalSettings, rate: int, channels: int, isolation: str) -> None:
        presets, files = settings.presets, None
        if presets is not None:
            for entry in presets.entries:
                content_of(presets, entry)  # they are still those of the recipe
            files = tuple(str(file_of(presets, entry)) for entry in presets.entries)
        fixed = (FIXED if files is None else STILL) | settings.fixed
        super().__init__(
            "vital",
            ("timbre_data.pipeline.synths.hosting.vita", "HostedVital"),
            (rate, channels, fixed, MODULATIONS, files),
            isolation,
            rate,
            slowest=8.0,
        )

    def play(self, performances: Any, values: Any, samples: int) -> Any:
        rows = []
        for patch in map(sent, values):
            which = {PRESET: patch.pop(PRESET)} if PRESET in patch else {}
            rows.append(unit_values(SPACE, patch) | which)
        return super().play(performances, rows, samples)


def _open(settings: VitalSettings, rate: int, channels: int, isolation: str) -> Instrument:
    return _Vital(settings, rate, channels, isolation)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    unheard: set[str] = set()
    if values["filter_1_mix"] <= 0.02:
        unheard |= {"filter_1_model", "filter_1_cutoff", "filter_1_resonance", "filter_1_drive", "modulation_1_amount"}
    if values["filter_1_mix"] <= 0.02 or abs(values["modulation_1_amount"]) <= 0.02:
        unheard |= set(ENVELOPE)
    return unheard & {name for name, value in values.items() if value == value}  # what is off has no label anyway


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
