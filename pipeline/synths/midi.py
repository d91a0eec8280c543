"""External soft-synths (and hardware), played over MIDI and recorded: any program that a profile describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.capture.messages import Calls
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.preset_files import content_of, found, stored_of
from timbre_data.pipeline.synths.hosting.trust import require_program
from timbre_data.pipeline.synths.plugin import sent
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.presets import AroundPresets, Presets
from timbre_data.schemas.profile import Profile


class MidiSettings(AroundPresets):
    """The synth, and the way it is captured.

    `backend` "jack" captures faster than real time with a JACK server of its own; "rtmidi" in real time, anywhere. For
    the latter `midi_port` and `audio_device` (regular expressions over names) choose what is connected, where the
    profile does not start the synth.
    """

    profile: Profile = Field(description="name of a shipped profile, or a YAML file; stored whole")
    backend: Literal["jack", "rtmidi"] = Field(
        "jack", description="jack: faster than real time; rtmidi: in real time, anywhere"
    )
    soundfont: str = Field(
        "", description="file for {soundfont} in the profile's command; by default the one found here"
    )
    midi_port: str = Field("", description="regular expression for the MIDI port (rtmidi)")
    audio_device: str = Field("", description="regular expression for the audio device (rtmidi)")

    @field_validator("profile", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return read_profile(value) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _found(cls, data: Any) -> Any:
        """With the entries of its presets filled in. What is wrong with a field is left for the field to say."""
        if not isinstance(data, dict) or not data.get("presets") or not data.get("profile"):
            return data
        try:
            known = cls.model_validate(data | {"presets": None}).profile
            presets = AroundPresets.model_validate({"presets": data["presets"]}).presets
        except ValidationError:
            return data
        return data | {
            "profile": known,
            "presets": presets and (presets if presets.entries else _entries(presets, known)),
        }


def _entries(presets: Presets, profile: Profile) -> Presets:
    """Presets with the places of a profile's knobs. Raises `UsageError` where the profile says nothing of presets."""
    if profile.presets is None:
        raise UsageError(f"presets: the profile {profile.name} does not say how its synth takes presets.")
    path = presets.path or profile.presets.path
    if not path:
        raise UsageError(f"presets: the profile {profile.name} has none of its own. Give a file or a folder.")
    known = {one.target or one.name: one for one in profile.parameters if one.stored}

    def places(stored: Sequence[Mapping[str, float]]) -> list[list[float | None]]:
        return [
            [one.place(values[name]) if name in values else None for name, one in known.items()] for values in stored
        ]

    names = tuple(one.name for one in known.values())
    whole = found(presets.model_copy(update={"path": path}), profile.presets.format, names, places)
    if profile.presets.load == "program" and len({entry.file for entry in whole.entries}) > 1:
        raise UsageError(f"presets: {profile.name} has one bank at a time, and {path} has several. Name one.")
    return whole


class _Captured(Hosted):
    """An external synth; what a preset has off is left as the preset has it."""

    def play(self, performances: Any, values: Any, samples: int) -> Any:
        return super().play(performances, [sent(patch) for patch in values], samples)


def _called_up(settings: MidiSettings) -> tuple[Profile, Calls]:
    """The profile as it is started, and the messages that call up each preset. Raises `UsageError` for presets that are
    not those of the recipe any more.
    """
    profile, presets = settings.profile, settings.presets
    if presets is None or profile.presets is None:
        return profile, ()
    way = profile.presets
    if way.load == "message":
        return profile, tuple((preset.message,) for preset in stored_of(presets, way.format))
    if way.load == "knobs":
        return profile, ((),) * len(presets.entries)
    bank = content_of(presets, presets.entries[0]).decode("utf-8", "replace")
    changes: dict[str, Any] = {"command": (*profile.command, *way.arguments)}
    if way.file:
        changes["files"] = profile.files | {way.file: bank}
    return profile.model_copy(update=changes), [_program(entry.number) for entry in presets.entries]


def _program(number: int) -> tuple[bytes, bytes]:
    """A program change from another program: a synth may leave its knobs as they are where the number stays."""
    return bytes((0xC0, (number + 1) % 128)), bytes((0xC0, number))


def _open(settings: MidiSettings, rate: int, channels: int, isolation: str) -> Instrument:
    require_program(settings.profile)
    soundfont = settings.soundfont
    if soundfont.startswith("-"):
        raise UsageError(f"soundfont {soundfont} is not the name of a file.")
    if not soundfont and any("{soundfont}" in word for word in settings.profile.command):
        from timbre_data.pipeline.sources._fluidsynth import find_soundfont

        soundfont = str(find_soundfont(None))
    name, profile = settings.profile.name, settings.profile
    overhead = profile.control_seconds + profile.primer_seconds + profile.settle_seconds
    started, presets = _called_up(settings)
    if settings.backend == "jack":
        factory = ("timbre_data.pipeline.synths.capture.jack", "JackCapture")
        return _Captured(name, factory, (started, rate, channels, soundfont, presets), isolation, rate, 1.0, overhead)
    factory = ("timbre_data.pipeline.synths.capture.realtime", "RealTimeCapture")
    arguments = (started, rate, channels, soundfont, settings.midi_port, settings.audio_device, presets)
    return _Captured(name, factory, arguments, isolation, rate, 4.0, overhead + 0.2)


SYNTH = Synth(
    summary="External soft-synths over MIDI, by a profile: amsynth, fluidsynth, setbfree, yoshimi, zynaddsubfx, or your own.",
    settings=MidiSettings,
    space=lambda settings: settings.profile.space(),
    open=_open,
    isolations=("reuse", "settle", "fresh", "process"),
    batch=64,
    in_real_time=lambda settings: bool(settings.backend == "rtmidi"),
)
