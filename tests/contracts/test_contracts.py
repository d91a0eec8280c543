"""Every shipped member of every kind keeps the contract of its kind (`commands/contracts`): a new file is tested the
day it is added.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.fixtures import embedding, note_folder
from tests.fixtures.idmt_smt_audio_effects import make
from tests.fixtures.midi import write_song
from timbre_data.commands._kinds import REGISTRIES, kind_of
from timbre_data.commands.contracts import CONTRACTS
from timbre_data.commands.contracts._contract import Contract
from timbre_data.pipeline.effects._sox import LADSPA
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.synths.hosting import client
from timbre_data.pipeline.synths.hosting.trust import trusting

NOT_ALONE = {("effect", "plugin")}
"""Members that are one only with a file: see tests/pipeline/effects/test_plugin.py."""
LEFT_OUT = pytest.mark.skipif(
    shutil.which("sox") is None or not LADSPA.is_dir(), reason="SoX or LADSPA is not installed"
)
"""For effects of other makers: what their programs are missing for is said at the end of a run of tests."""
PLUGIN: dict[str, Any] = {
    "path": "fake.vst3",
    "parameters": [{"name": "level"}, {"name": "detune", "target": "Detune (cents)"}],
}


def settings_for(kind: str, name: str, folder: Path) -> dict[str, Any]:
    """What a member needs to be opened here; one without required settings needs nothing."""
    if (kind, name) == ("source", "wav_folder"):
        rng = np.random.default_rng(0)
        for i in range(4):
            soundfile.write(folder / f"{i}.wav", rng.uniform(-0.5, 0.5, (30_000, 1 + i % 2)), 44_100)
        return {"path": folder}
    if (kind, name) == ("source", "idmt_smt_audio_effects"):
        make(folder)
        return {"path": folder}
    if (kind, name) == ("source", "note_folder"):
        note_folder.make(folder)
        return {"path": folder}
    if (kind, name) == ("source", "midi_file"):
        write_song(folder / "song.mid")
        return {"path": folder, "seconds": 1.0}
    if (kind, name) == ("feature", "embedding"):
        return {"path": str(embedding.make(folder))}
    if kind == "importer":
        importlib.import_module(f"tests.fixtures.{name}").make(folder)
        return {"path": folder}
    if kind == "synth":
        return {"midi": {"profile": "zynaddsubfx"}, "plugin": PLUGIN}.get(name, {})
    return {}


def is_slow(kind: str, name: str, check: str) -> bool:
    """Profiles and the synth midi start programs (the latter plays once in the quick tests); FCN-4 has 17 million
    weights.
    """
    quick = {"check_says_what_it_is", "check_parameters_are_described"}
    if (kind, name) == ("synth", "midi"):
        return check not in quick | {"check_plays_in_the_requested_format"}
    if kind == "exporter":
        return check == "check_snippets_run"
    if kind == "effect" and name.startswith(("sox_", "ladspa_")):  # a process a sound
        return check not in quick | {"check_every_parameter_is_audible"}
    return (kind == "profile" and check not in quick) or (kind, name) == ("model", "choi_fcn4")


def cases() -> list[Any]:
    """Kind, member and check of everything that is shipped."""
    return [
        pytest.param(
            (kind, name),
            check,
            id=f"{kind}-{name}-{check.removeprefix('check_')}",
            marks=[
                *([pytest.mark.slow] if is_slow(kind, name, check) else []),
                *([LEFT_OUT] if kind == "effect" and name.startswith(("sox_", "ladspa_")) else []),
            ],
        )
        for kind in CONTRACTS.names()
        for name in kind_of(kind).names
        if (kind, name) not in NOT_ALONE
        for check in CONTRACTS.load(kind).checks()  # type: ignore[attr-defined]  # a class of contracts
    ]


@pytest.fixture(scope="module")
def contract(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    kind, name = request.param
    with pytest.MonkeyPatch.context() as patch, trusting(name == "plugin"):
        if name == "plugin":  # no plug-in is shipped: the host serves a synth of the tests
            real = client.Hosted.__init__

            def fake(self: Any, name: str, factory: Any, *rest: Any, **named: Any) -> None:
                real(self, name, ("tests.fixtures.plugin", "hosted"), *rest, **named)

            patch.setattr(client.Hosted, "__init__", fake)
        made = CONTRACTS.load(kind)(name, settings_for(kind, name, tmp_path_factory.mktemp(name)))
        yield made
        made.close()


@pytest.mark.parametrize(("contract", "check"), cases(), indirect=["contract"])
def test_contract(contract: Contract, check: str) -> None:
    getattr(contract, check)()


def test_every_kind_has_a_contract() -> None:
    assert set(CONTRACTS.names()) == {*REGISTRIES, "profile"}


def test_every_importer_has_a_fixture() -> None:
    for name in IMPORTERS.names():
        assert importlib.import_module(f"tests.fixtures.{name}").make


def test_the_papers_parameter_counts() -> None:
    from timbre_data.models.architectures import MODELS

    counts: Mapping[str, int] = {
        variant: count
        for name in ("regressor_mlp", "autofx")
        for variant, (_, count) in MODELS.load(name).published.items()
    }
    assert (counts["163NC"], counts["163C"], counts["211C"]) == (58_315, 58_915, 63_715)
    assert (counts["AutoFX"], counts["AutoFX + features"]) == (3_651_407, 3_675_983)


@lru_cache(maxsize=1)
def _broken() -> str:
    return (Path(__file__).parents[1] / "fixtures" / "broken_effect.txt").read_text(encoding="utf-8")


def test_a_broken_effect_breaks_its_contract(tmp_path: Path) -> None:
    """A contract that cannot fail is none: each of these promises is broken on purpose."""
    from timbre_data.pipeline.effects import EFFECTS

    (tmp_path / "broken_ring.py").write_text(_broken(), encoding="utf-8")
    name = EFFECTS.resolve(str(tmp_path / "broken_ring.py"))
    failed = {one.check for one in CONTRACTS.load("effect")(name).outcomes() if one.problem}
    assert failed == {
        "says what it is",
        "parameters are described",
        "keeps shape and type",
        "is pure and thread safe",
        "survives the corners of its range",
        "every parameter is audible",
    }
