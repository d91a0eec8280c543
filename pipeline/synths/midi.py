"""External soft-synths (and hardware), played over MIDI and recorded: any program that a profile describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from timbre_data.pipeline import recipes
from timbre_data.pipeline.kinds import Instrument, Synth
from timbre_data.pipeline.synths._hosted import Hosted
from timbre_data.schemas.errors import NotFoundError, RecipeError
from timbre_data.schemas.profile import Profile


def read_profile(name: str) -> Profile:
    """Read a profile by its file or the name of a shipped one. Raises `NotFoundError` or `RecipeError`."""
    known = recipes.shipped("profile")
    path = known.get(name, Path(name).expanduser())
    if not path.is_file():
        raise NotFoundError(f"there is no synth profile {name}. Give a YAML file, or one of: {', '.join(known)}.")
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), "...", f"not YAML ({' '.join(str(error).split())})", "synth profile") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "profile"
        raise RecipeError(
            field, first["input"], first["msg"].removeprefix("Value error, "), f"synth profile {path.name}"
        ) from None


class MidiSettings(BaseModel):
    """Which synth, and how it is captured.

    `backend` "jack" captures faster than real time with a JACK server of its own; "rtmidi" in real time, anywhere. For the latter
    `midi_port` and `audio_device` (regular expressions over names) choose what is connected, where the profile does not start the synth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    profile: Profile = Field(description="name of a shipped profile, or a YAML file; stored whole")
    backend: Literal["jack", "rtmidi"] = "jack"
    soundfont: str = Field(
        "", description="file for {soundfont} in the profile's command; by default the one found here"
    )
    midi_port: str = ""
    audio_device: str = ""

    @field_validator("profile", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return read_profile(value) if isinstance(value, str) else value


def _open(settings: MidiSettings, rate: int, channels: int, isolation: str) -> Instrument:
    soundfont = settings.soundfont
    if not soundfont and any("{soundfont}" in word for word in settings.profile.command):
        from timbre_data.pipeline.sources._fluidsynth import find_soundfont

        soundfont = str(find_soundfont(None))
    name, profile = settings.profile.name, settings.profile
    overhead = profile.control_seconds + profile.primer_seconds + profile.settle_seconds
    if settings.backend == "jack":
        factory = ("timbre_data.pipeline.synths._jack", "JackCapture")
        return Hosted(name, factory, (settings.profile, rate, channels, soundfont), isolation, rate, 1.0, overhead)
    factory = ("timbre_data.pipeline.synths._realtime", "RealTimeCapture")
    arguments = (settings.profile, rate, channels, soundfont, settings.midi_port, settings.audio_device)
    return Hosted(name, factory, arguments, isolation, rate, 4.0, overhead + 0.2)


SYNTH = Synth(
    summary="External soft-synths over MIDI, by a profile: amsynth, zynaddsubfx, fluidsynth, or your own.",
    settings=MidiSettings,
    space=lambda settings: settings.profile.space(),
    open=_open,
    isolations=("reuse", "settle", "fresh", "process"),
    batch=64,
    in_real_time=lambda settings: bool(settings.backend == "rtmidi"),
)
