"""Datasets of synths: same bytes however they are made, masks, notes, phrases, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import build
from tests.fixtures.midi import write_song
from tests.fixtures.plugin import FakeParameter, FakePlugin
from timbre_data.pipeline.build import audition, recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.isolation import measured_isolation
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.sources.midi_file import read_messages
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.synths.hosting import vst3
from timbre_data.schemas.errors import RecipeError, SourceError, UnknownNameError
from timbre_data.schemas.recipe import Recipe

SMALL = {"audio.seconds": 0.2, "audio.rate": 22_050}


def synth_recipe(name: str = "subtractive", n: int = 300, **changes: Any) -> Recipe:
    return recipes.load(validation.override(recipes.for_synth(name), SMALL | {"n": n} | changes))


def test_same_bytes_for_any_workers_batch_and_growth() -> None:
    one = build(synth_recipe(n=300), "one", cluster=Cluster(workers=1, batch=512))
    two = build(synth_recipe(n=300), "two", cluster=Cluster(workers=2, batch=256))
    build(synth_recipe(n=200), "grown")
    grown = build(synth_recipe(n=300), "grown")
    for other in (two, grown):
        assert np.array_equal(one.read("integrity/rows"), other.read("integrity/rows"))
        assert np.array_equal(one.read("audio"), other.read("audio"))
    assert verify(one).whole
    assert rerender_rows(one, 8)["equal"] == 8


def test_what_is_off_is_masked() -> None:
    data = build(synth_recipe(), "s")
    labels, mask, names = data.read("params"), data.read("labels/mask"), list(data.space.names)
    on = labels[:, names.index("subtractive.osc2_on")] == 1
    assert 0 < on.sum() < len(on)
    for knob in ("osc2_volume", "osc2_range", "osc2_tuning", "osc2_waveform"):
        assert np.array_equal(mask[:, names.index(f"subtractive.{knob}")], on)
    assert mask[:, names.index("subtractive.cutoff")].all()
    assert not labels[~mask].any()


def test_rows_are_split_by_row_for_every_row_has_its_own_patch() -> None:
    data = build(synth_recipe("inverse12", n=400), "s")
    shares = np.bincount(data.split(), minlength=3) / 400
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.07)
    assert len(data.read("dry/identity")) == 1


def test_the_published_distributions() -> None:
    """Six positions and no seventh, 128 steps, a tuning around the middle with 3 % of its range (Assayag)."""
    chain = Plan(recipes.load(recipes.read("inverse12"))).chain
    draw = chain.draw(12, np.arange(4000))
    column = {name.partition(".")[2]: draw.labels[:, i] for i, name in enumerate(chain.space.names)}
    for knob in ("osc1_range", "osc1_waveform"):
        positions, counts = np.unique(column[knob], return_counts=True)
        assert np.allclose(positions, np.arange(6) / 5)
        assert counts.min() > 560
    assert np.allclose(column["cutoff"] * 127, np.rint(column["cutoff"] * 127), atol=1e-4)
    assert column["osc1_tuning"].mean() == pytest.approx(0.5, abs=0.003)
    assert column["osc1_tuning"].std() == pytest.approx(0.03, abs=0.002)
    varied = [name for name, values in column.items() if values.std() > 0]
    assert len(varied) == 12


def test_phrases_of_a_midi_file_are_played(tmp_path: Path) -> None:
    write_song(tmp_path / "song.mid")
    messages = read_messages(tmp_path / "song.mid", None, drums=False)
    notes = Performance(tuple(messages)).notes
    assert [(n.key, round(n.start_seconds, 3), round(n.stop_seconds, 3)) for n in notes] == [
        (60, 0.25, 1.0),  # held by the pedal
        (64, 0.5, 1.0),
        (67, 2.0, 3.0),  # from 1 s on a beat takes a second
    ]
    source = {"name": "midi_file", "path": str(tmp_path / "song.mid"), "seconds": 1.0}
    patch = {"amp_attack": 0.01, "osc1_on": 1, "osc1_range": "8", "cutoff": 8000}
    changes: dict[str, Any] = {"audio.seconds": 1.0, "chain.0.parameters": patch, "source": source}
    recipe = synth_recipe(n=20, **changes)
    data = build(recipe, "phrases")
    assert len(data.read("dry/identity")) == 2
    assert data.read("dry/midi")[0] != data.read("dry/midi")[1]
    assert rerender_rows(data, 4)["equal"] == 4


def test_a_broken_midi_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mid").write_bytes(b"MThd nonsense")
    with pytest.raises(SourceError, match=r"bad\.mid: not a readable MIDI file"):
        build(synth_recipe(source={"name": "midi_file", "path": str(tmp_path)}), "x")


def test_effects_come_after_a_synth() -> None:
    recipe = synth_recipe(chain=[{"synth": "subtractive"}, {"effect": "delay"}])
    data = build(recipe, "wet")
    assert data.meta["families"] == ["synth", "delay"]
    assert np.isfinite(data.read("labels/effect_db")).all()
    with pytest.raises(RecipeError, match="first step"):
        synth_recipe(chain=[{"effect": "delay"}, {"synth": "subtractive"}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": {"name": "plucked_string"}}, "takes one of midi_file, notes"),
        ({"chain.0.isolation": "fork"}, "subtractive has auto, pure"),
        ({"chain.0.parameters": {"nope": 1}}, "nope"),
        ({"chain.0.settings": {"nope": 1}}, "no such field"),
        ({"source.keys": [200]}, "keys"),
    ],
)
def test_a_wrong_recipe_is_said_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        synth_recipe(**changes)


def test_an_unknown_synth_names_synths_and_profiles() -> None:
    with pytest.raises(UnknownNameError, match="amsynth, fluidsynth, midi"):
        recipes.for_synth("nope")


def test_one_patch_can_be_heard(tmp_path: Path) -> None:
    patch = audition.play_one(synth_recipe(n=1), tmp_path / "a.wav")
    assert (tmp_path / "a.wav").stat().st_size > 1000
    assert "Hz" in patch["subtractive.cutoff"]


def test_a_pure_synth_needs_no_isolation() -> None:
    assert measured_isolation(Plan(synth_recipe())) is None


@pytest.mark.slow
def test_vital_leaks_from_row_to_row_and_the_probe_finds_the_cure() -> None:
    """A real commercial-grade synth: reused without care its rows hear each other; forked children do not."""
    recipe = synth_recipe("vital", n=24, **{"audio.seconds": 0.5})
    data = build(recipe, "v", cluster=Cluster(workers=1))
    measured = data.meta["isolation"]["measured_db"]
    assert measured["reuse"] > -60
    assert data.meta["isolation"]["mode"] != "reuse"
    assert data.meta["isolation"]["noise_floor_db"] is None or data.meta["isolation"]["noise_floor_db"] < -90
    forked = recipe.model_copy(
        update={
            "chain": recipe.chain.model_copy(
                update={"steps": (recipe.chain.steps[0].model_copy(update={"isolation": "fork"}),)}
            )
        }
    )
    assert rerender_rows(build(forked, "f", cluster=Cluster(workers=1)), 6)["equal"] == 6


def test_inspecting_a_plugin_sorts_out_what_cannot_be_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = FakePlugin()
    plugin.parameters["stuck"] = type(
        "Stuck", (FakeParameter,), {"raw_value": property(lambda self: 0.5, lambda self, value: None)}
    )("Stuck")
    plugin.parameters["drive"] = FakeParameter("Drive", is_automatable=False)
    monkeypatch.setattr(vst3, "load", lambda path, name: plugin)
    found = vst3.inspect("x.vst3")
    assert [p["name"] for p in found["parameters"]] == ["level", "detune__cents", "octave"]
    assert found["parameters"][2]["positions"] == ["low", "high"]
    assert found["unusable"] == {
        "bypass": "switches the plug-in off",
        "midi_cc_0": "a MIDI controller under another name",
        "constant": "has one value only",
        "stuck": "does not move when it is set",
        "drive": "cannot be automated",
    }


def test_a_note_goes_to_text_and_back() -> None:
    performance = Performance.of(PlayedNote(0.0, 0.5, 60, 100), PlayedNote(0.25, 0.75, 64, 1))
    assert Performance.from_text(performance.to_text()) == performance
    assert Performance.from_text("") == Performance(())


@pytest.mark.parametrize("tempo", [90.0, 100.0, 128.0])
def test_times_of_a_song_are_stored_exactly(tempo: float) -> None:
    times = np.arange(40) * 60 / tempo / 3
    song = Performance(tuple((float(one), b"\x90<d") for one in times))
    assert Performance.from_text(song.to_text()) == song
    assert Performance(((0.9, b"\x80<\x00"),)).to_text() == "0.900000 803c00"


@pytest.mark.parametrize(
    "parameters", [[{"name": "Cutoff"}], [{"name": "cutoff", "kind": "log"}], [{"name": "a"}, {"name": "a"}]]
)
def test_plugin_settings_that_cannot_be_drawn_are_refused_at_once(parameters: list[dict[str, str]]) -> None:
    recipe = {"name": "x", "source": {"name": "notes"}, "n": 1}
    with pytest.raises(RecipeError):
        recipes.load(
            recipe | {"chain": [{"synth": "plugin", "settings": {"path": "a.vst3", "parameters": parameters}}]}
        )


def test_drafts_give_every_parameter_a_name_of_its_own() -> None:
    taken: list[dict[str, str]] = []
    for name in ("Cut Off", "cut-off", "cut_off", "Größe"):
        taken.append({"name": vst3._unlike(vst3._plain(name), taken)})
    assert [one["name"] for one in taken] == ["cut_off", "cut_off_2", "cut_off_3", "gr__e"]
