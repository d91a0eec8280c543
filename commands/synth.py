"""Commands for synths: inspect a plug-in, play a note, draft and check the profile of an external one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from timbre_data.commands._shared import Group, Json, Seed, Settings, Trust, emit, group, say
from timbre_data.schemas.errors import UsageError

app = group("Inspect plug-ins, play synths, draft and check profiles of external ones.")
GROUP = Group(app, order=60, name="synth")


@app.command("inspect", epilog="Example: timbre-data synth inspect ~/.vst3/Surge\\ XT.vst3 --out surge.yaml")
def inspect(
    plugin: Annotated[str, typer.Argument(help="Plug-in: a .vst3 or .component file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="YAML file to write the settings to, instead of printing them.")
    ] = None,
    plugin_name: Annotated[
        str | None, typer.Option("--plugin-name", help="Name of the plug-in, if the file holds several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft the settings of a plug-in: its parameters with ranges and kinds, and which look unusable and why."""
    import yaml

    from timbre_data.pipeline.synths.hosting import vst3

    parameters = vst3.inspect(plugin, plugin_name)
    text = yaml.safe_dump({"synth": "plugin", "settings": parameters}, sort_keys=False, allow_unicode=True)
    if out is not None:
        _refuse_existing(out)
        _write(out, text)
        text = f"{out}: {len(parameters['parameters'])} parameters, {len(parameters['unusable'])} left out; use it as the first step of a recipe's chain"
    emit(parameters, text.rstrip(), as_json)


@app.command("play", epilog="Example: timbre-data synth play amsynth --out note.wav --note 48")
def play(
    synth: Annotated[str, typer.Argument(help="Synth, or profile of an external synth (name or file).")],
    out: Annotated[Path, typer.Option("--out", help="WAV file to write.")],
    note: Annotated[int, typer.Option("--note", min=0, max=127, help="MIDI note number.")] = 60,
    seed: Seed = 0,
    settings: Settings = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Play one note with a random patch into a WAV file, and print the patch."""
    from timbre_data.pipeline.build import audition, recipes
    from timbre_data.pipeline.catalogue import validation

    data = recipes.for_synth(synth) | {"n": 1, "seed": seed, "source": {"name": "notes", "keys": [note]}}
    patch = audition.play_one(recipes.load(validation.override(data, settings or [])), out)
    emit(patch, "\n".join(f"{name}: {text}" for name, text in patch.items()), as_json)


@app.command("draft", epilog="Example: timbre-data synth draft 'yoshimi -i -c -j -J -R {rate}' --out yoshimi.yaml")
def draft(
    program: Annotated[
        str, typer.Argument(help="Command that starts the synth with JACK for MIDI and sound, in quotes.")
    ],
    out: Annotated[Path, typer.Option("--out", help="YAML file to write the profile to.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the profile. Default: that of the file.")] = None,
    as_json: Json = False,
) -> None:
    """Draft the profile of a program that has none: its ports, the controllers that change its sound, its times."""
    import shlex

    from timbre_data.pipeline.build.profiling.drafting import draft_profile
    from timbre_data.pipeline.build.progress_bar import bar

    _refuse_existing(out)
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise UsageError(f"{program}: {error}.") from None
    with bar(enabled=True, resume=None) as progress:
        made = draft_profile(words, name or out.stem, progress=progress)
    _write(out, made.text)
    knobs = [parameter.name for parameter in made.profile.parameters]
    for note in made.notes:
        say(f"note: {note}")
    text = f"{out}: {len(knobs)} controllers change the sound: {', '.join(knobs)}"
    emit({"profile": str(out), "knobs": knobs, "notes": list(made.notes)}, text, as_json)
    say(f"next: give the knobs of {out} names and descriptions, then timbre-data synth check {out} --trust")


@app.command("check", epilog="Example: timbre-data synth check amsynth --picture amsynth.png")
def check(
    profile: Annotated[str, typer.Argument(help="Profile of an external synth: file, or name of a shipped one.")],
    knobs: Annotated[
        str | None, typer.Option("--knobs", help="Only these knobs, comma-separated. Default: all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="YAML file to write the corrected profile to.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Picture of the sweeps to write: .png, .svg or .pdf.")
    ] = None,
    isolation: Annotated[
        bool, typer.Option("--isolation/--no-isolation", help="Measure how rows must be kept apart (up to a minute).")
    ] = True,
    seed: Seed = 0,
    settings: Settings = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Sweep the knobs of a running synth: are any dead, inverted, exchanged, masked or noisy? Exit code 1 if so."""
    from timbre_data.pipeline.build.profiling.checking import as_data, as_text, check_profile
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.synths.capture.profiles import profile_file
    from timbre_data.pipeline.synths.midi import MidiSettings

    file = profile_file(profile)
    for path in (out, picture):
        if path is not None:
            _refuse_existing(path)
    if picture is not None and picture.suffix not in PICTURES:
        raise UsageError(f"{picture}: a picture ends in {', '.join(PICTURES)}.")
    data = validation.override({"profile": profile}, settings or [])
    chosen = validation.validate(MidiSettings, data, "settings")
    names = [part.strip() for part in knobs.split(",")] if knobs else []
    with bar(enabled=True, resume=None) as progress:
        found = check_profile(chosen, knobs=names, seed=seed, isolation=isolation, progress=progress)
    emit(as_data(found), as_text(found), as_json)
    if picture is not None:
        from timbre_data.pipeline.build.profiling.picture import draw
        from timbre_data.pipeline.catalogue.files import whole

        with whole(picture) as partial:
            draw(found, partial, picture.suffix[1:])
    if out is not None:
        from timbre_data.pipeline.build.profiling.correcting import corrected

        _write(out, corrected(file.read_text(encoding="utf-8"), found))
        say(f"{out}: the profile, corrected; look at it, then check it again")
    if found.problems:
        raise typer.Exit(1)


PICTURES = (".png", ".svg", ".pdf")


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UsageError(f"{out} exists already: choose another name.")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}.")


def _write(out: Path, text: str) -> None:
    from timbre_data.pipeline.catalogue.files import write_whole

    try:
        write_whole(out, text)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}.") from None
