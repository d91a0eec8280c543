"""A synth profile: everything there is to know about an external synth in order to capture it. A YAML file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from timbre_data.schemas.base import Frozen
from timbre_data.schemas.parameter import Condition, Distribution, Kind, Parameter, Uniform
from timbre_data.schemas.recipe import NAME
from timbre_data.schemas.space import ParameterSpace

STEPS_7, STEPS_14 = 127, 16383
NEAR = 4
"""Controller values by which a preset's position may differ from a profile's."""


VALUE = "{value}"


def _is_exclusive(text: str) -> bool:
    """Whether a hexadecimal text with one `{value}` is a system exclusive message."""
    try:
        message = bytes.fromhex(text.replace(VALUE, "00"))
    except ValueError:
        return False
    begins_and_ends = message[:1] == b"\xf0" and message[-1:] == b"\xf7"
    return text.count(VALUE) == 1 and begins_and_ends and len(message) > 2 and max(message[1:-1]) < 0x80


class ProfileParameter(Frozen):
    """One knob and the message that turns it: a control change (`cc`), an NRPN (its two numbers), a program change, or
    a system exclusive message (hexadecimal, with `{value}` where the value stands).

    `values` are the controller values at which positions begin (a choice or switch); other knobs run over 0 to 127, or
    over `sent` (14 bits with an NRPN), the other way round where `sent` falls. `target` is what the program itself
    calls the knob, where a file tells it which controller drives which. `when` tells where the knob is heard at all,
    `response` what was measured as it rises: `timbre-data synth check` finds both.
    """

    name: str = Field(description="name in the dataset")
    cc: int | None = Field(None, ge=0, le=119, description="control change number")
    nrpn: tuple[int, int] | None = Field(None, description="the two numbers of an NRPN")
    program: bool = Field(False, description="whether it is sent as a program change")
    sysex: str = Field("", description="system exclusive message, hexadecimal, with {value} in it")
    kind: Kind = Field("linear", description="scale of the values")
    low: float = Field(0.0, description="lowest value, in the parameter's own unit")
    high: float = Field(127.0, description="highest value, in the parameter's own unit")
    unit: str = Field("", description="unit of the values; 1 for a dimensionless one")
    positions: tuple[str, ...] = Field((), description="names of the positions of a choice")
    values: tuple[int, ...] = Field((), description="controller value at which each position starts")
    sent: tuple[int, int] | None = Field(None, description="lowest and highest value that is sent")
    target: str = Field("", description="name of the parameter in the program")
    stored: tuple[float, float] | None = Field(
        None, description="value in the program's presets at the lowest and the highest place"
    )
    distribution: Distribution = Field(Uniform(), description="how values are drawn")
    when: Condition | None = Field(None, description="setting of another knob at which this one is heard")
    response: dict[str, float] = Field(
        default_factory=dict, description="measured change of each quantity over the knob's range"
    )
    description: str = Field("", description="what the parameter does")

    @model_serializer(mode="wrap")
    def _as_stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not set: profiles stored before these fields were there stay the same."""
        data: dict[str, Any] = serialize(self)
        return {
            name: value for name, value in data.items() if value or name not in ("when", "response", "stored", "sysex")
        }

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        if [self.cc is not None, self.nrpn is not None, self.program, bool(self.sysex)].count(True) != 1:
            raise ValueError(f"{self.name} needs exactly one of cc, nrpn, program and sysex")
        if self.sysex and not _is_exclusive(self.sysex):
            raise ValueError(f"{self.name}: {self.sysex!r} is not a system exclusive message with one {{value}}")
        if self.stored and self.stored[0] == self.stored[1]:
            raise ValueError(f"{self.name}: the two values of stored are the same")
        count = 2 if self.kind == "switch" else len(self.positions)
        if self.kind in ("choice", "switch") and self.values and len(self.values) != count:
            raise ValueError(f"{self.name} has {count} positions and {len(self.values)} values")
        if self.nrpn and not all(0 <= number <= 127 for number in self.nrpn):
            raise ValueError(f"{self.name}: the numbers of an NRPN lie between 0 and 127")
        if any(not 0 <= value <= self.most for value in (*self.values, *(self.sent or ()))):
            raise ValueError(f"{self.name}: values lie between 0 and {self.most}")
        return self

    @property
    def most(self) -> int:
        """The largest value its message can carry."""
        return STEPS_14 if self.nrpn else STEPS_7

    def parameter(self) -> Parameter:
        """As a parameter of the dataset: a continuous one has just as many steps as the message can tell apart."""
        continuous = self.kind in ("linear", "log", "db")
        low, high = self.sent or (0, self.most)
        fields = {} if self.kind in ("choice", "switch") else {"low": self.low, "high": self.high}
        return Parameter(
            name=self.name,
            kind=self.kind,
            unit=self.unit or ("" if self.kind in ("choice", "switch") else "1"),
            positions=self.positions,
            distribution=self.distribution,
            resolution=1 / max(abs(high - low), 2) if continuous else None,
            midi_cc=self.cc,
            condition=self.when,
            description=self.description,
            **fields,
        )

    def place(self, stored: float) -> float | None:
        """The normalized value of a value in a preset, clipped to the range; None for one that lies between two
        positions, or where nothing says what the values mean.
        """
        if self.stored is None:
            return None
        low, high = self.stored
        share = min(max((stored - low) / (high - low), 0.0), 1.0)
        if self.kind not in ("choice", "switch"):
            return share
        count = max(self.parameter().steps - 1, 1)
        values = self.values or tuple(round(k * self.most / count) for k in range(count + 1))
        nearest = min(range(len(values)), key=lambda k: abs(values[k] - share * self.most))
        return nearest / count if abs(values[nearest] - share * self.most) <= NEAR else None

    def messages(self, value: float) -> list[bytes]:
        """The MIDI messages (channel 1) that set the knob to a value in its own unit."""
        parameter = self.parameter()
        if self.kind in ("choice", "switch"):
            count = max(parameter.steps - 1, 1)
            number = self.values[int(value)] if self.values else round(int(value) * self.most / count)
        else:
            low, high = self.sent or (0, self.most)
            number = round(low + (high - low) * float(parameter.to_unit(value)))
        if self.program:
            return [bytes((0xC0, number))]
        if self.sysex:
            return [bytes.fromhex(self.sysex.replace(VALUE, f"{number:02x}"))]
        if self.cc is not None:
            return [bytes((0xB0, self.cc, number))]
        assert self.nrpn is not None
        high_part, low_part = self.nrpn
        fine = (
            38,
            number & 127,
        )  # before the coarse part for synths that act on that, and after it as the standard has it
        selected = ((99, high_part), (98, low_part), fine, (6, number >> 7), fine)
        return [bytes((0xB0, controller, content)) for controller, content in selected]


class Ports(Frozen):
    """The ports of its MIDI input and sound output, as regular expressions over their names: left, right ..."""

    midi: str = Field(description="regular expression for the MIDI input port")
    audio: tuple[str, ...] = Field(
        min_length=1, description="regular expressions for the audio output ports: left, right ..."
    )


class ProfilePresets(Frozen):
    """The presets of an external synth: their format, and how one is called up.

    `load` "program" is a program change of its place in the bank, which is written into the program's own folder as
    `file`, and named by `arguments` behind the command; "message" sends what the file holds, for synths that take it;
    "knobs" sends nothing but the parameters.
    """

    format: str = Field(pattern=NAME, description="format of the presets; see timbre-data list banks")
    path: str = Field("", description="bank, or folder of presets, that is used where none is named")
    load: Literal["program", "message", "knobs"] = Field(
        "program", description="program: by its number; message: sent whole; knobs: as values of the knobs alone"
    )
    file: str = Field("", description="where the bank is written in the program's own folder")
    arguments: tuple[str, ...] = Field((), description="words behind the command where presets are used")


class Profile(Frozen):
    """An external synth: how it is started, reached, turned and calmed.

    `command` starts it (nothing: it is running already, or is a piece of hardware); `{soundfont}`, `{rate}`, `{port}`
    (a free TCP port) and `{folder}` (an empty folder of its own, also its home) are filled in. `files` are written
    there before the start; `{targets}` becomes 128 lines, line n the target of controller n. `start` are messages
    (hexadecimal) sent once, `reset` before every row. `settle_seconds` is how long it needs between a row's messages
    and its note for controllers to arrive, and with isolation "settle" the last note to be gone.
    """

    name: str = Field(pattern=NAME, description="name of the profile")
    description: str = Field("", description="what the synth is, in a sentence")
    licence: str = Field("", description="licence of the synth")
    install: str = Field("", description="what to install, in a sentence")
    command: tuple[str, ...] = Field(
        (), description="command that starts it, a list of words; empty if it is running already"
    )
    environment: dict[str, str] = Field(default_factory=dict, description="environment variables of the program")
    files: dict[str, str] = Field(default_factory=dict, description="files to write into its home before it starts")
    ports: Ports = Field(description="where MIDI goes in and sound comes out")
    start: tuple[str, ...] = Field((), description="messages sent once after the start, hexadecimal")
    reset: tuple[str, ...] = Field(
        ("b07800", "b07b00", "b07900"), description="messages sent before every row, hexadecimal"
    )  # all sound off, all notes off, reset all controllers
    start_seconds: float = Field(10.0, gt=0, description="how long to wait for its ports")
    control_seconds: float = Field(0.05, ge=0, description="between a row's controllers and its note")
    primer_seconds: float = Field(
        0.0,
        ge=0,
        description="how long a row's notes are played unheard before it, for a synth that glides from the last patch to the next",
    )
    settle_seconds: float = Field(1.0, ge=0, description="what isolation `settle` waits before a row")
    presets: ProfilePresets | None = Field(None, description="its presets, which rows can be drawn around")
    parameters: tuple[ProfileParameter, ...] = Field(min_length=1, description="the parameters and their messages")

    @model_serializer(mode="wrap")
    def _as_stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without presets where there are none: profiles stored before there were any stay the same."""
        data: dict[str, Any] = serialize(self)
        return {name: value for name, value in data.items() if value is not None or name != "presets"}

    @model_validator(mode="after")
    def _playable(self) -> Self:
        own = (self.presets.file,) if self.presets and self.presets.file else ()
        for name in (*self.files, *own):
            path = PurePosixPath(name.replace("\\", "/"))
            if not name or path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
                raise ValueError(f"file {name!r} does not stay in the program's own folder")
        for message in (*self.start, *self.reset):
            try:
                bytes.fromhex(message)
            except ValueError:
                raise ValueError(f"{message!r} is not a MIDI message in hexadecimal") from None
        numbers = [p.cc for p in self.parameters if p.cc is not None]
        if len(set(numbers)) != len(numbers):
            raise ValueError("two parameters have the same cc")
        self.space()
        return self

    def space(self) -> ParameterSpace:
        """Its parameters."""
        return ParameterSpace(parameters=tuple(parameter.parameter() for parameter in self.parameters))

    def targets(self) -> str:
        """128 lines: what each controller drives, or null."""
        driven = {parameter.cc: parameter.target or parameter.name for parameter in self.parameters}
        return "".join(f"{driven.get(number, 'null')}\n" for number in range(128))
