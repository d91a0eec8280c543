"""External soft-synths (and hardware), played over MIDI and recorded: any program that a profile describes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.trust import require_program
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.profile import Profile


class MidiSettings(Frozen):
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
    if settings.backend == "jack":
        factory = ("timbre_data.pipeline.synths.capture.jack", "JackCapture")
        return Hosted(name, factory, (settings.profile, rate, channels, soundfont), isolation, rate, 1.0, overhead)
    factory = ("timbre_data.pipeline.synths.capture.realtime", "RealTimeCapture")
    arguments = (settings.profile, rate, channels, soundfont, settings.midi_port, settings.audio_device)
    return Hosted(name, factory, arguments, isolation, rate, 4.0, overhead + 0.2)


SYNTH = Synth(
    summary="External soft-synths over MIDI, by a profile: amsynth, zynaddsubfx, fluidsynth, setbfree, or your own.",
    settings=MidiSettings,
    space=lambda settings: settings.profile.space(),
    open=_open,
    isolations=("reuse", "settle", "fresh", "process"),
    batch=64,
    in_real_time=lambda settings: bool(settings.backend == "rtmidi"),
)
