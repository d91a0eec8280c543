"""Commands for synths: inspect a plug-in, play a note."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from timbre_data.commands._shared import Group, Json, Seed, Settings, Trust, emit, group
from timbre_data.schemas.errors import UsageError

app = group("Inspect plug-ins, play synths.")
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

    from timbre_data.pipeline.catalogue.files import write_whole
    from timbre_data.pipeline.synths.hosting import vst3

    parameters = vst3.inspect(plugin, plugin_name)
    text = yaml.safe_dump({"synth": "plugin", "settings": parameters}, sort_keys=False, allow_unicode=True)
    if out is not None:
        if out.exists():
            raise UsageError(f"{out} exists already: choose another name with --out.")
        try:
            write_whole(out, text)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}.") from None
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
