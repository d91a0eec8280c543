"""Drafting the profile of a program that has none: its ports, the controllers that change its sound, its times."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from timbre_data.pipeline.build.profiling.bench import RATE, SECONDS, Bench, spread_db
from timbre_data.pipeline.build.profiling.quantities import QUANTITIES, Measured, semitones_between
from timbre_data.pipeline.build.profiling.sweeping import LEAST_DB
from timbre_data.pipeline.build.profiling.timing import measure_timing
from timbre_data.pipeline.build.profiling.verdicts import describe
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.synths.capture.jack import PERIOD
from timbre_data.pipeline.synths.capture.programs import CaptureError, Programs, require_jack
from timbre_data.pipeline.synths.hosting.trust import digest_of, trust
from timbre_data.pipeline.synths.midi import MidiSettings
from timbre_data.schemas.errors import SynthError, UsageError
from timbre_data.schemas.profile import Profile

PORT_SECONDS, STEADY_SECONDS = 20.0, 1.5
PEDALS = {64: "sustain pedal", 65: "portamento switch", 66: "sostenuto pedal", 67: "soft pedal", 68: "legato switch", 69: "hold pedal"}  # fmt: skip
NOT_KNOBS = {0, 6, 32, 38, *range(96, 102), *PEDALS}
"""Controllers that are no knobs: bank select, data entry, parameter numbers, pedals."""
STANDARD = {
    1: ("modulation", ""),
    7: ("volume", "level"),
    10: ("pan", "balance"),
    11: ("expression", "level"),
    72: ("release_time", "release"),
    73: ("attack_time", "attack"),
    74: ("brightness", "brightness"),
}
"""Names that the MIDI standard gives to controllers, and what each must raise to be called so."""
FIXED = {7: 100, 11: 127}
SENT = (0, 64, 127)
NOISE_FACTOR = 2.5
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Ports:
    """Ports of a program: MIDI inputs and sound outputs, by name."""

    midi: Sequence[str]
    audio: Sequence[str]


@dataclass(frozen=True)
class Draft:
    """A drafted profile, and what is to be said of it."""

    profile: Profile
    text: str
    live: Sequence[int]
    notes: Sequence[str]


def draft_profile(command: Sequence[str], name: str, *, soundfont: str = "", progress: Progress | None = None) -> Draft:
    """Start a program under a JACK server of its own and find out how it is played. Raises `SynthError` where it opens
    no ports or makes no sound, and `UsageError` where no controller changes the sound.
    """  # fmt: skip
    progress = progress or NoProgress()
    require_jack()
    if not command:
        raise UsageError("synth draft: the command is empty; give the program and its arguments in quotes.")
    trust(digest_of(_profile(name, command, Ports(["-"], ["-"]))))  # it stands on this command line
    progress.notice(f"starting {command[0]}, waiting for its ports")
    ports = find_ports(_profile(name, command, Ports(["-"], ["-"])), soundfont)
    progress.notice(f"MIDI goes to {ports.midi[0]}, sound comes from {', '.join(ports.audio)}")
    profile = _profile(name, command, ports)
    with Bench(MidiSettings(profile=profile, soundfont=soundfont), progress) as bench:
        responses, noise = _screen(bench)
        timing = measure_timing(bench, [{}], noise)
    notes = [f"it has further MIDI inputs: {', '.join(ports.midi[1:])}"] if len(ports.midi) > 1 else []
    if noise > LEAST_DB:
        notes.append(f"two renders of one note are {noise:.1f} dB apart: small changes were not seen")
    if not responses:
        raise UsageError(
            f"{name}: it plays, but none of the controllers 0 to 119 changes its sound. Map its knobs to controllers (many programs read a file for it: `files` of a profile), or use its NRPNs: see the manual on profiles."
        )
    data = _as_data(name, command, ports, responses, timing.proposed)
    text = _as_yaml(data)
    return Draft(Profile.model_validate(yaml.safe_load(text)), text, sorted(responses), notes)


def find_ports(profile: Profile, soundfont: str = "") -> Ports:
    """Start a profile's program and list what it opened. Raises `SynthError`."""
    programs = Programs(profile, RATE, PERIOD, soundfont)
    try:
        client = programs.client("timbre-data-look")
        before = {port.name for port in client.get_ports()}
        programs.start_synth()
        seen: list[_Port] = []
        began = changed = time.monotonic()
        while time.monotonic() < began + PORT_SECONDS:
            programs.check()
            now = [_Port(p.name, p.is_midi, p.is_input) for p in client.get_ports() if p.name not in before]
            if now != seen:
                seen, changed = now, time.monotonic()
            if _ports(seen) and time.monotonic() > changed + STEADY_SECONDS:
                break
            time.sleep(0.05)
        client.close()
        found = _ports(seen)
    except CaptureError as error:
        raise SynthError(profile.name, [str(error)]) from None
    finally:
        programs.stop()
    if found is None:
        names = ", ".join(port.name for port in seen) or "none"
        raise SynthError(
            profile.name,
            [
                f"after {PORT_SECONDS:.0f} s it has not both a MIDI input and a sound output with JACK (its ports: {names}); see its help for options such as --jack"
            ],
        )
    return found


@dataclass(frozen=True)
class _Port:
    name: str
    is_midi: bool
    is_input: bool


def _ports(seen: Sequence[_Port]) -> Ports | None:
    midi = [port.name for port in seen if port.is_midi and port.is_input]
    audio = [port.name for port in seen if not port.is_midi and not port.is_input]
    return Ports(midi, _main_pair(audio)) if midi and audio else None


def _main_pair(names: Sequence[str]) -> list[str]:
    """The first two outputs; those of the left and right channel where names say so."""
    left = next((name for name in names if re.search(r"(?i)left|(^|[^a-z])l([^a-z]|$)", name.partition(":")[2])), None)
    right = next(
        (name for name in names if re.search(r"(?i)right|(^|[^a-z])r([^a-z]|$)", name.partition(":")[2])), None
    )
    return [left, right] if left and right else list(names[:2])


def _profile(name: str, command: Sequence[str], ports: Ports) -> Profile:
    """A profile with one knob, which is not turned: patches are empty."""
    parameters = [{"name": "modulation", "cc": 1}]
    found = {"midi": _pattern(ports.midi[0]), "audio": [_pattern(one) for one in ports.audio]}
    try:
        return Profile.model_validate(
            {"name": name, "command": list(command), "ports": found, "parameters": parameters}
        )
    except ValidationError:
        raise UsageError(
            f"{name!r} is no name for a profile: letters, digits, _, - and . only; choose one with --name."
        ) from None


def _pattern(port: str) -> str:
    """A regular expression for a port; the number of a process in its name is any number."""
    return re.sub(r"\d{3,}", r"\\d+", re.escape(port))


def _screen(bench: Bench) -> tuple[dict[int, dict[str, float]], float]:
    """Send every controller three values, each before a note, and measure what changes: the response of those that do
    anything. A program that was changed is started anew.
    """
    controllers = [number for number in range(120) if number not in NOT_KNOBS]
    bench.progress.start("controllers", len(controllers), SECONDS * len(SENT), "controllers")
    base = [_note(bench, None, 0) for _ in range(4)]
    if all(note.silent for note in base):
        raise SynthError(bench.profile.name, ["it makes no sound when a note is played"])
    noise = spread_db(base)
    different = max(NOISE_FACTOR * noise, LEAST_DB)
    found: dict[int, dict[str, float]] = {}
    for number in controllers:
        notes = [_note(bench, number, value) for value in SENT]
        bench.progress.advance(1)
        if spread_db([*notes, base[0]]) > different:
            bench.restart()
            again = [_note(bench, number, value) for value in SENT]  # what another one left behind is not its doing
            if spread_db([*again, base[0]]) > different:
                found[number] = _response(again, base)
                bench.restart()
    bench.progress.stop()
    return found, noise


def _note(bench: Bench, number: int | None, value: int) -> Measured:
    """A note after one controller."""
    return bench.note_after([] if number is None else [bytes((0xB0, number, value))], PAUSE_SECONDS, {})


def _response(notes: Sequence[Measured], base: Sequence[Measured]) -> dict[str, float]:
    """The largest changes from the lowest value to the highest."""
    low, high = notes[0], notes[-1]
    changes = {}
    for name, quantity in QUANTITIES.items():
        values = [one.values.get(name, 0.0) for one in base]
        change = semitones_between(low, high) if name == "pitch" else high.values[name] - low.values[name]
        if math.isfinite(change) and abs(change) > max(quantity.least, 2 * (max(values) - min(values))):
            changes[name] = change
    largest = sorted(changes, key=lambda name: -abs(changes[name]) / QUANTITIES[name].scale)[:6]
    return {name: float(f"{changes[name]:.3g}") for name in largest}


def _as_data(
    name: str, command: Sequence[str], ports: Ports, responses: dict[int, dict[str, float]], times: dict[str, float]
) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"{Path(command[0]).name}, as drafted: say here in a sentence what it is.",
        "licence": "",
        "install": f"install {Path(command[0]).name}",
        "command": list(command),
        "ports": {"midi": _pattern(ports.midi[0]), "audio": [_pattern(one) for one in ports.audio]},
        **times,
        "parameters": [_parameter(number, response) for number, response in responses.items()],
    }


def _parameter(number: int, response: dict[str, float]) -> dict[str, Any]:
    """A knob: called as the MIDI standard calls it where it does that, else by its number."""
    standard, raised = STANDARD.get(number, ("", ""))
    named = standard and (not raised or response.get(raised, 0.0) > 0)
    entry: dict[str, Any] = {
        "name": standard if named else f"cc_{number}",
        "cc": number,
        "description": f"measured: {describe(response)}",
    }
    if named and number in FIXED:
        entry["distribution"] = {"type": "fixed", "value": FIXED[number]}
    if response:
        entry["response"] = response
    return entry


def _as_yaml(data: dict[str, Any]) -> str:
    """The profile's text, a line for each field and each knob."""

    def line(content: Any) -> str:
        return yaml.safe_dump(
            content, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
        ).strip()

    head = [f"{key}: {line([value])[1:-1]}" for key, value in data.items() if key != "parameters"]
    knobs = [f"  - {line(entry)}" for entry in data["parameters"]]
    top = "# Drafted by `timbre-data synth draft`: give the knobs names, units and descriptions, and remove what is no knob."
    return "\n".join([top, *head, "parameters:", *knobs]) + "\n"
