"""Rows drawn around presets: read as their synth reads them, drawn as far as asked, and played as they were."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vita
from numpy.typing import NDArray

from tests.conftest import build
from timbre_data import api
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.isolation import difference_db
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.preset_format import PresetError
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.banks import BANKS
from timbre_data.pipeline.synths.capture.messages import row_messages
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.pipeline.synths.midi import MidiSettings, _called_up
from timbre_data.pipeline.synths.vital import SPACE, VitalSettings
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.profile import Profile, ProfileParameter
from timbre_data.schemas.recipe import Recipe

RATE, SAMPLES = 22_050, 11_025
NOTE = Performance.of(PlayedNote(0.0, 0.3, 60, 100))
CHANGED = {
    "pad": {"osc_1_level": 0.6, "env_1_attack": 0.9, "filter_1_on": 1.0, "filter_1_cutoff": 70.0, "filter_1_filter_input": 0.0},
    "keys": {"osc_1_level": 0.8, "osc_2_on": 1.0, "osc_2_level": 0.5, "osc_2_tune": 0.25, "env_1_sustain": 0.3},
    "bass": {"osc_1_unison_voices": 3.0, "osc_1_distortion_type": 1.0, "osc_1_distortion_amount": 0.7, "env_1_decay": 0.8},
}  # fmt: skip
OFF = {"osc_1_random_phase": 0.0, "osc_2_random_phase": 0.0, "osc_3_random_phase": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three presets as Vital itself writes them, one in a folder below."""
    root = tmp_path_factory.mktemp("vital")
    (root / "low").mkdir()
    for name, changes in CHANGED.items():
        synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++
        synth.load_init_preset()
        controls = synth.get_controls()
        for control, value in changes.items():
            controls[control].set(value)
        place = root / "low" if name == "bass" else root
        (place / f"{name}.vital").write_text(synth.to_json())
    return root


def vital_recipe(presets: Any, n: int = 12, **changes: Any) -> Recipe:
    data = recipes.around_presets(recipes.for_synth("vital"), str(presets), 0.1)
    return recipes.load(validation.override(data, {"n": n, "audio.seconds": 0.5, "audio.rate": RATE} | changes))


def test_presets_of_vital_are_read_as_vital_reads_them(folder: Path) -> None:
    presets = VitalSettings.model_validate({"presets": str(folder)}).presets
    assert presets is not None
    assert [entry.name for entry in presets.entries] == ["keys", "low/bass", "pad"]
    for entry in presets.entries:
        synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++
        assert synth.load_preset(str(folder / entry.file))
        controls = synth.get_controls()
        places = dict(zip(presets.parameters, entry.places, strict=True))
        for name, place in places.items():
            assert place is None or place == pytest.approx(controls[name].get_normalized(), abs=1e-6), name
        assert (places["filter_1_cutoff"] is not None) == (entry.name == "pad")
        assert (places["osc_2_tune"] is not None) == (entry.name == "keys")
        assert (places["osc_1_unison_detune"] is not None) == (entry.name == "low/bass")
        assert places["env_2_decay"] is None, "nothing is modulated by it"


def test_without_spread_a_row_is_the_preset(folder: Path) -> None:
    """The sound of a row is what Vital plays after loading the preset, and nothing else."""
    settings = VitalSettings.model_validate({"presets": {"path": str(folder), "spread": 0.0}})
    assert settings.presets is not None
    player = SYNTHS.load("vital").open(settings, RATE, 1, "process")
    patches = [
        {"preset": float(k)}
        | {name: float(SPACE[name].to_value(np.nan if p is None else p)) for name, p in zip(SPACE.names, e.places, strict=True)}
        for k, e in enumerate(settings.presets.entries)
    ]  # fmt: skip
    sounds = player.play([NOTE] * 3, patches, SAMPLES)
    player.close()
    for entry, sound in zip(settings.presets.entries, sounds, strict=True):
        synth = vita.Synth()  # type: ignore[attr-defined]  # made in C++
        synth.set_sample_rate(RATE)
        synth.load_preset(str(folder / entry.file))
        controls = synth.get_controls()
        for name, value in OFF.items():
            controls[name].set(value)
        alone = np.asarray(synth.render(60, 100 / 127, 0.3, 0.6)).mean(axis=0)[:SAMPLES]
        assert difference_db(alone[None, None].astype(np.float32), sound[None]) < -40, entry.name


def test_a_dataset_around_presets_repeats_itself_and_is_made_again(folder: Path) -> None:
    one = build(vital_recipe(folder, 12), "one", cluster=Cluster(workers=1, batch=256))
    build(vital_recipe(folder, 7), "two")
    two = build(vital_recipe(folder, 12), "two", cluster=Cluster(workers=2))
    assert np.array_equal(one.read("params"), two.read("params"))
    assert one.space.names[0] == "vital.preset"
    assert one.space["vital.preset"].positions == ("keys", "low/bass", "pad")
    mask = one.read("labels/mask")
    cutoff, preset = one.space.names.index("vital.filter_1_cutoff"), one.read("params")[:, 0]
    assert np.array_equal(mask[:, cutoff], preset == 1.0)
    assert rerender_rows(one, 4)["equal"] == 4
    assert Dataset("one").recipe.chain.steps[0].settings["presets"]["spread"] == 0.1


def test_the_same_by_the_command_and_in_python(folder: Path, command: Callable[..., int]) -> None:
    small = {"n": 3, "audio.seconds": 0.1}
    api.render(synth="vital", around=str(folder), spread=0.2, out="python", overrides=small)
    words = ["render", "--synth", "vital", "--around", str(folder), "--spread", "0.2", "--out", "command"]
    assert command(*words, "--n", "3", "--set", "audio.seconds=0.1") == 0
    assert np.array_equal(Dataset("python").read("params"), Dataset("command").read("params"))
    assert Dataset("python").recipe.chain.steps[0].settings["presets"]["spread"] == 0.2


def test_presets_that_have_changed_are_not_played(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "presets"
    own.mkdir()
    (own / "a.vital").write_bytes((folder / "pad.vital").read_bytes())
    data = build(vital_recipe(own, 3), "d")
    assert data.space.names == tuple(f"vital.{name}" for name in SPACE.names), "one preset needs no label"
    close_instruments()
    (own / "a.vital").write_bytes((folder / "keys.vital").read_bytes())
    with pytest.raises(UsageError, match="not what the recipe was read with"):
        rerender_rows(data, 2)


def drawn(changes: dict[str, Any], spread: float, n: int = 4000) -> tuple[Chain, NDArray[np.float32]]:
    settings = {"profile": "amsynth", "presets": {"path": "", "spread": spread}}
    recipe = recipes.load(
        {"name": "a", "chain": [{"synth": "midi", "settings": settings, "parameters": changes}], "n": 8}
    )
    chain = Chain(recipe.chain)
    return chain, chain.draw(3, np.arange(n)).labels


def test_rows_lie_as_far_around_as_asked() -> None:
    chain, labels = drawn({"filter_resonance": [10, 20]}, 0.05)
    presets = chain.presets
    assert presets is not None
    which = np.rint(labels[:, 0] * (len(presets.entries) - 1)).astype(int)
    assert np.bincount(which, minlength=128).min() > 10, "all presets are used"
    names = [name.partition(".")[2] for name in chain.space.names]
    for name in ("filter_cutoff", "amp_decay", "osc2_detune"):
        base = np.array([entry.places[presets.parameters.index(name)] for entry in presets.entries], float)[which]
        inside = (base > 0.2) & (base < 0.8)
        away = (labels[:, names.index(name)] - base)[inside]
        assert inside.sum() > 100
        assert away.std() == pytest.approx(0.05, rel=0.1), name
        assert abs(away.mean()) < 0.005
    wave = names.index("osc1_waveform")
    base = np.array([entry.places[presets.parameters.index("osc1_waveform")] for entry in presets.entries], float)[
        which
    ]
    assert 0 < (np.abs(labels[:, wave] - base) > 0.01).mean() < 0.06, "positions change with the chance of the spread"
    resonance = labels[:, names.index("filter_resonance")] * 127
    assert resonance.min() >= 9.5
    assert resonance.max() <= 20.5
    assert (labels[:, names.index("master_vol")] == labels[0, names.index("master_vol")]).all(), "fixed stays fixed"
    again = chain.draw(3, np.array([17, 5])).labels
    assert np.array_equal(again, labels[[17, 5]]), "a row depends on itself alone"


def test_without_spread_labels_are_the_presets() -> None:
    chain, labels = drawn({}, 0.0, 300)
    presets = chain.presets
    assert presets is not None
    which = np.rint(labels[:, 0] * 127).astype(int)
    column = chain.space.names.index("midi.filter_attack")
    wanted = [presets.entries[k].places[presets.parameters.index("filter_attack")] for k in which]
    assert np.allclose(labels[:, column], np.array(wanted, float), atol=0.5 / 127 + 1e-6)


@pytest.mark.slow
def test_amsynth_has_in_its_banks_what_the_profile_says() -> None:
    """Of settings of one knob around the place of a preset's value, that place sounds most like the preset."""
    settings = MidiSettings.model_validate(
        {"profile": "amsynth", "presets": "/usr/share/amsynth/banks/BriansBank01.amSynth.bank"}
    )
    assert settings.presets is not None
    player = SYNTHS.load("midi").open(settings, 44_100, 1, "settle")
    best: dict[str, list[bool]] = {}
    note = Performance.of(PlayedNote(0.0, 0.4, 60, 100))
    for k in (3, 4, 5, 11):  # presets whose sound repeats
        entry = settings.presets.entries[k]
        known = {n: p * 127 for n, p in zip(settings.presets.parameters, entry.places, strict=True) if p is not None}
        steps = [
            (name, value, offset)
            for name, value in known.items()
            if name not in ("osc1_waveform", "osc2_waveform", "osc2_range")
            for offset in (-24, -12, 0, 12, 24)
            if 0 <= value + offset <= 127
        ]
        patches = [{"preset": float(k)}] + [{"preset": float(k), name: value + offset} for name, value, offset in steps]
        sounds = player.play([note] * len(patches), patches, 22_050)[:, 0]
        spectra = np.abs(np.fft.rfft(sounds.reshape(len(sounds), -1, 2205), axis=-1))
        away = np.square(spectra[1:] - spectra[0]).sum(axis=(1, 2)) / np.square(spectra[0]).sum()
        for name in known:
            here = [(away[i], step[2]) for i, step in enumerate(steps) if step[0] == name]
            if here and max(here)[0] > 1e-3:  # it is heard
                best.setdefault(name, []).append(min(here)[1] == 0)
    player.close()
    assert len(best) >= 12, best
    assert not {name for name, right in best.items() if np.mean(right) < 0.6}, best


def packed_voice() -> bytes:
    """A voice in the packed form, by the tables of the instrument's manual."""
    operators = b""
    for number in range(6, 0, -1):
        operators += bytes((90, 80, 70, 60, 99, 95, 50, 0, 39, 10, 20))
        operators += bytes(
            (2 << 2 | 1, (7 + number) << 3 | 5, 6 << 2 | 3, 90 + number, number << 1 | (number == 2), 42)
        )
    return operators + bytes((84, 95, 95, 60, 50, 50, 50, 50, 21, 1 << 3 | 7, 37, 5, 6, 7, 3 << 4 | 4 << 1 | 1, 24)) + b"TEST VOICE"  # fmt: skip


def test_a_bank_of_the_dx7_is_unpacked() -> None:
    voices = BANKS.load("dx7_bank").read(packed_voice() * 32)
    assert len(voices) == 32
    voice = voices[0]
    assert voice.name == "TEST VOICE"
    expected = {
        "op3_rate_2": 80, "op3_level_4": 0, "op3_break_point": 39, "op3_left_curve": 1, "op3_right_curve": 2, "op3_rate_scaling": 5,
        "op3_detune": 10, "op3_amplitude_sensitivity": 3, "op3_velocity_sensitivity": 6, "op3_output_level": 93, "op3_coarse": 3,
        "op2_mode": 1, "op1_mode": 0, "op1_fine": 42, "pitch_rate_1": 84, "pitch_level_1": 50, "algorithm": 21, "feedback": 7,
        "oscillator_sync": 1, "lfo_speed": 37, "lfo_amplitude_depth": 7, "lfo_sync": 1, "lfo_wave": 4, "pitch_sensitivity": 3,
        "transpose": 24,
    }  # fmt: skip
    assert {name: voice.values[name] for name in expected} == expected
    assert len(voice.values) == 145
    import mido

    sent = mido.Message.from_bytes(voice.message)
    assert sent.type == "sysex"
    assert sum(voice.message[6:-1]) % 128 == 0, "the checksum makes it so"
    assert BANKS.load("dx7_bank").read(voice.message)[0].values == voice.values
    dump = bytes((0xF0, 0x43, 0, 9, 0x20, 0)) + packed_voice() * 32
    dump += bytes((-sum(dump[6:]) & 127, 0xF7))
    assert BANKS.load("dx7_bank").read(dump) == voices


def test_a_dx7_gets_its_voice_and_then_its_knobs(tmp_path: Path) -> None:
    (tmp_path / "mine.syx").write_bytes(BANKS.load("dx7_bank").read(packed_voice() * 32)[0].message)
    profile = Profile.model_validate(
        {
            "name": "dx7",
            "ports": {"midi": "DX7", "audio": ["in"]},
            "reset": ["b07b00"],
            "presets": {"format": "dx7_bank", "load": "message"},
            "parameters": [
                {"name": "algorithm", "kind": "integer", "low": 0, "high": 31, "sysex": "f043100106{value}f7", "sent": [0, 31], "stored": [0, 31]}
            ],
        }
    )  # fmt: skip
    settings = MidiSettings.model_validate(
        {"profile": profile.model_dump(), "presets": str(tmp_path), "backend": "rtmidi"}
    )
    assert settings.presets is not None
    assert settings.presets.entries[0].places[0] == pytest.approx(21 / 31)
    voice = b"a voice"
    messages = row_messages(profile, {"algorithm": 21.0}, [[voice]])
    assert messages == [bytes.fromhex("b07b00"), voice, bytes.fromhex("f04310010615f7")]


@pytest.mark.parametrize(
    "sysex", ["f04310", "f0{value}", "f043{value}{value}f7", "43{value}", "f0zz{value}f7", "f0ff{value}f7"]
)
def test_what_is_no_system_exclusive_message_is_refused(sysex: str) -> None:
    with pytest.raises(ValueError, match="system exclusive"):
        ProfileParameter(name="a", sysex=sysex)


def test_a_place_between_two_positions_is_none() -> None:
    register = next(p for p in read_profile("amsynth").parameters if p.name == "osc2_range")
    assert [register.place(value) for value in (-1, 0, 1, 2)] == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
    assert register.place(-3) is None


def test_profiles_without_presets_are_stored_as_before() -> None:
    stored = read_profile("setbfree").model_dump(mode="json")
    assert "presets" not in stored
    assert not {"stored", "sysex"} & set(stored["parameters"][0])
    assert (
        "presets"
        not in recipes.for_synth("setbfree") | recipes.load(recipes.for_synth("setbfree")).chain.steps[0].settings
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a preset of Vital"),
        (b"\xff\xfe", "not a preset of Vital"),
        (b"[" * 100_000, "not a preset of Vital"),
        (b'{"settings": {"a": 1e999}}', "no settings of Vital"),
    ],
)
def test_a_broken_preset_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.vital").write_bytes(content)
    with pytest.raises(UsageError, match=rf"1 of 1 files cannot be read \(.*broken\.vital.*{said}"):
        VitalSettings.model_validate({"presets": str(tmp_path)})


def test_presets_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no"):
        vital_recipe(tmp_path / "nope")
    with pytest.raises(NotFoundError, match=r"has no file with \.vital"):
        vital_recipe(tmp_path)
    with pytest.raises(UsageError, match="does not say how"):
        recipes.load(recipes.around_presets(recipes.for_synth("setbfree"), str(tmp_path), None))
    with pytest.raises(UsageError, match="go with a synth"):
        recipes.around_presets(recipes.for_effect("delay"), "presets", None)
    with pytest.raises(UsageError, match="name them with --around"):
        recipes.around_presets(recipes.for_synth("vital"), None, 0.2)
    with pytest.raises(UsageError, match="brings none"):
        recipes.load(recipes.around_presets(recipes.for_synth("vital"), "presets", None))


def test_a_control_that_vital_does_not_know_is_left_out(folder: Path, tmp_path: Path) -> None:
    """Presets of other versions have other controls."""
    data = json.loads((folder / "pad.vital").read_text())
    data["settings"] |= {"of_the_future": 3.0, "osc_1_level": 7.0}
    (tmp_path / "a.vital").write_text(json.dumps(data))
    presets = VitalSettings.model_validate({"presets": str(tmp_path)}).presets
    assert presets is not None
    assert presets.entries[0].places[presets.parameters.index("osc_1_level")] == 1.0


def test_hundreds_of_presets_are_shown_in_short(home: Path, command: Callable[..., int], capsys: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("timbre_data.pipeline.store.versions.summary", lambda data: {"positions": list(range(128))})
        patched.setattr("timbre_data.pipeline.store.reader.Dataset", lambda name: None)
        assert command("dataset", "show", "any") == 0
        text = capsys.readouterr().out
        assert text.count("\n") < 12
        assert "... 128 in all" in text
        assert command("dataset", "show", "any", "--json") == 0
        assert json.loads(capsys.readouterr().out)["positions"] == list(range(128))


def test_vital_stays_out_of_this_process(folder: Path) -> None:
    """It is asked in another one, whose end is said in a line."""
    code = f"""
import sys
from timbre_data.pipeline.synths.hosting import vita
from timbre_data.pipeline.synths.vital import VitalSettings
VitalSettings.model_validate({{"presets": {str(folder)!r}}})
assert "vita" not in sys.modules
try:
    vita.normalized([{{"no_such_control": 1.0}}])
except vita.SynthError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "it does not say the ranges of its controls: " in done.stdout
    assert "leaked" not in done.stderr


def fxp(name: str, values: list[float]) -> bytes:
    """A preset as VST 2 hosts write it."""
    body = struct.pack(">4sIIII28s", b"FxCk", 1, 0x4D4A5831, 1, len(values), name.encode())
    body += struct.pack(f">{len(values)}f", *values)
    return b"CcnK" + struct.pack(">I", len(body)) + body


def fxb(kind: bytes, count: int, content: bytes) -> bytes:
    """A bank as VST 2 hosts write it."""
    body = struct.pack(">4sIIII128s", kind, 1, 0x4D4A5831, 1, count, b"") + content
    return b"CcnK" + struct.pack(">I", len(body)) + body


def test_parameters_of_vst_2_presets_and_banks_are_read() -> None:
    read = BANKS.load("fxp_preset").read
    brass, pad = fxp("Brass", [0, 0.25, 1]), fxp("Pad", [1, 0.5, 0])
    assert [(one.name, one.values) for one in read(fxb(b"FxBk", 2, brass + pad))] == [
        ("Brass", {"parameter_0": 0, "parameter_1": 0.25, "parameter_2": 1}),
        ("Pad", {"parameter_0": 1, "parameter_1": 0.5, "parameter_2": 0}),
    ]
    assert read(brass)[0].values["parameter_1"] == 0.25
    wrong = {
        "form of its own": (fxb(b"FBCh", 1, b"state"), brass.replace(b"FxCk", b"FPCh")),
        "cut short": (brass[:-1], brass[:20], fxb(b"FxBk", 3, brass + pad)),
        "no numbers": (fxp("x", [float("nan")]),),
        "without presets": (fxb(b"FxBk", 0, b""),),
    }
    for said, files in wrong.items():
        for content in files:
            with pytest.raises(PresetError, match=said):
                read(content)


def test_knobs_alone_are_set_around_presets_of_a_plug_in(tmp_path: Path) -> None:
    (tmp_path / "brass.fxp").write_bytes(fxp("Brass", [0, 0.25, 1]))
    (tmp_path / "pad.fxp").write_bytes(fxp("Pad", [1, 0.5, 0]))
    cutoff = {"name": "cutoff", "target": "parameter_1", "cc": 74, "stored": [0, 1]}
    profile = {"name": "jx", "ports": {"midi": "JX", "audio": ["in"]}, "presets": {"format": "fxp_preset", "load": "knobs"}, "parameters": [cutoff]}  # fmt: skip
    settings = MidiSettings.model_validate({"profile": profile, "presets": str(tmp_path), "backend": "rtmidi"})
    assert settings.presets is not None
    assert [entry.places for entry in settings.presets.entries] == [(0.25,), (0.5,)]
    whole, calls = _called_up(settings)
    assert whole == settings.profile
    assert calls == ((), ())
