"""Nothing that is handed over starts a program, loads a plug-in, or writes outside its folder unless it is trusted."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import build, small_recipe
from timbre_data.models.training import checkpoints
from timbre_data.models.training.checkpoint_io import before, load_checkpoint, newest_checkpoint
from timbre_data.models.training.runs import MODEL_FILE
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.pipeline.synths.hosting import trust
from timbre_data.schemas.errors import CorruptDataError, RecipeError, UntrustedError
from timbre_data.schemas.profile import Profile


def hostile_profile(marker: Path) -> dict[str, Any]:
    """A profile that looks like amsynth and touches a file."""
    profile: dict[str, Any] = read_profile("amsynth").model_dump(mode="json")
    return profile | {"command": ["touch", str(marker)], "start_seconds": 0.2}


def handed_over(marker: Path, name: str = "foreign") -> Dataset:
    """A dataset whose description names a program of its maker's choice, as somebody else could have made it."""
    data = build(small_recipe(n=4), name)
    recipe = data.recipe.model_dump(mode="json")
    recipe["chain"]["steps"] = [{"synth": "midi", "name": "amsynth", "settings": {"profile": hostile_profile(marker)}}]
    recipe["source"] = {"name": "notes"}
    with Writer(locate(name)) as writer:
        stored = meta(writer.peek())
        set_meta(writer.root(), recipe=recipe, isolation={"mode": "reuse", "noise_floor_db": None}, families=["synth"])
        assert stored
        writer.commit("hostile")
    return Dataset(name)


def test_rendering_a_dataset_of_somebody_else_again_starts_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = handed_over(marker)
    with pytest.raises(UntrustedError, match=r"touch .*marker.*--trust"):
        rerender_rows(data, 2)
    assert not marker.exists()


@pytest.mark.parametrize("how", ["recipe", "profile"])
def test_a_recipe_or_profile_of_somebody_else_starts_nothing(
    how: str, tmp_path: Path, home: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "foreign.yaml"
    profile = hostile_profile(marker)
    chain = {"name": "foreign", "chain": [{"synth": "midi", "name": "a", "settings": {"profile": profile}}], "n": 4}
    path.write_text(yaml.safe_dump(chain if how == "recipe" else profile))
    words = ["--recipe", str(path)] if how == "recipe" else ["--synth", str(path)]
    assert command("render", *words, "--n", "4", "--out", "d") == 2
    said = capsys.readouterr().err
    assert f"touch {marker}" in said
    assert "--trust" in said
    assert len(said.strip().splitlines()) == 1
    assert not marker.exists()
    assert not (home / "d").exists()
    if how == "profile":
        assert command("synth", "play", str(path), "--out", str(tmp_path / "a.wav")) == 2
        assert not marker.exists()


def test_shipped_profiles_need_no_trust_and_a_changed_word_does() -> None:
    profile = read_profile("zynaddsubfx")
    trust.require_program(profile)
    for change in ({"command": (*profile.command, "-x")}, {"environment": {"LD_PRELOAD": "/tmp/x.so"}}):
        changed = profile.model_copy(update=change)
        with pytest.raises(UntrustedError, match="--trust"):
            trust.require_program(changed)
        with trust.trusting():
            trust.require_program(changed)
        with pytest.raises(UntrustedError):
            trust.require_program(changed)
    trust.require_program(profile.model_copy(update={"command": ()}))


def test_words_for_presets_are_part_of_what_is_started() -> None:
    shipped = read_profile("amsynth")
    assert shipped.presets is not None
    trust.require_program(shipped.model_copy(update={"presets": None}))  # as datasets of before have it
    other = shipped.presets.model_copy(update={"arguments": ("-b", "/etc/passwd")})
    with pytest.raises(UntrustedError, match="-b /etc/passwd"):
        trust.require_program(shipped.model_copy(update={"presets": other}))
    with pytest.raises(ValueError, match="does not stay"):
        Profile.model_validate(shipped.model_dump() | {"presets": shipped.presets.model_dump() | {"file": "../x"}})


def test_a_plugin_is_loaded_only_if_named_here_or_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["timbre-data", "render", "--recipe", "foreign.yaml"])
    with pytest.raises(UntrustedError, match="machine code"):
        trust.require_plugin("/tmp/evil.vst3")
    recipe = {
        "name": "p",
        "n": 4,
        "chain": [{"effect": "plugin", "settings": {"path": "/tmp/evil.vst3", "parameters": [{"name": "a"}]}}],
    }
    with pytest.raises(UntrustedError):
        build(recipes.load(validation.override(recipe, {"audio.seconds": 0.2})), "p")
    monkeypatch.setattr(sys, "argv", ["timbre-data", "render", "--set", "chain.0.settings.path=/tmp/evil.vst3"])
    trust.require_plugin("/tmp/evil.vst3")


def test_a_worker_trusts_for_one_task_alone() -> None:
    changed = read_profile("zynaddsubfx").model_copy(update={"command": ("true",)})
    with trust.trusting_in_task((trust.digest_of(changed),)):
        trust.require_program(changed)
        with ThreadPoolExecutor(1) as pool, pytest.raises(UntrustedError):
            pool.submit(trust.require_program, changed).result()
    with pytest.raises(UntrustedError):
        trust.require_program(changed)


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", "C:\\x", "a\\..\\..\\x", "~/../x", ""])
def test_files_of_a_profile_stay_in_its_folder(name: str) -> None:
    profile = read_profile("amsynth").model_dump(mode="json") | {"files": {name: "x"}}
    with pytest.raises(ValueError, match="does not stay"):
        Profile.model_validate(profile)


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._marker}",)


def test_checkpoints_of_a_run_run_no_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for content in ({"state_dict": {}, "x": Hostile(marker)}, Hostile(marker)):
        torch.save(content, tmp_path / "last.ckpt")
        shutil.copy(tmp_path / "last.ckpt", tmp_path / MODEL_FILE)
        with pytest.raises(CorruptDataError, match="is damaged"):
            load_checkpoint(tmp_path / "last.ckpt")
        with pytest.raises(CorruptDataError):
            newest_checkpoint(tmp_path / "last.ckpt")
        with pytest.raises(CorruptDataError):
            checkpoints.load(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(CorruptDataError):
        load_checkpoint(tmp_path / "last.ckpt")
    assert not marker.exists()


def test_the_checkpoint_before_is_taken_where_the_newest_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "epoch": 1}, before(path))
    path.write_bytes(b"half")
    assert newest_checkpoint(path) == before(path)
    before(path).write_bytes(b"")
    with pytest.raises(CorruptDataError, match="Delete it"):
        newest_checkpoint(path)
    path.unlink()
    before(path).unlink()
    assert newest_checkpoint(path) is None


def test_a_recipes_description_is_data() -> None:
    """YAML tags make no objects."""
    process = subprocess.run(
        [sys.executable, "-c", "from timbre_data.cli import main; main()", "render", "--recipe", "/dev/stdin"],
        input="!!python/object/apply:os.system ['echo pwned']",
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert "pwned" not in process.stdout
    assert len(process.stderr.strip().splitlines()) == 1


def test_errors_name_the_field() -> None:
    with pytest.raises(RecipeError):
        recipes.load({"name": "x", "chain": [{"synth": "midi", "settings": {"profile": json.loads("{}")}}], "n": 2})
