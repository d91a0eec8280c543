"""Real programs captured over JACK: same bytes, nothing lost when they crash or hang, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import build
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.isolation import difference_db
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths import SYNTHS, midi
from timbre_data.pipeline.synths.capture import profiles
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.trust import trusting
from timbre_data.schemas.errors import NotFoundError, RecipeError, SynthError
from timbre_data.schemas.profile import Profile
from timbre_data.schemas.recipe import Recipe

RATE, SAMPLES = 44_100, 22_050
NOTE = Performance.of(PlayedNote(0.0, 0.3, 60, 100))


def capture_recipe(profile: str, n: int, **changes: Any) -> Recipe:
    """A recipe of half-second notes of an external synth."""
    data = recipes.for_synth(profile) | {"n": n, "audio": {"rate": RATE, "seconds": 0.5}}
    return recipes.load(validation.override(data, changes))


def opened(profile: str, isolation: str = "reuse") -> tuple[Hosted, dict[str, float]]:
    """A captured synth and a patch in the middle of its range."""
    settings = midi.MidiSettings.model_validate({"profile": profile})
    space = settings.profile.space()
    patch = {p.name: float(p.to_value(0.5)) for p in space}
    player = SYNTHS.load("midi").open(settings, RATE, 1, isolation)
    assert isinstance(player, Hosted)
    return player, patch


def family(root: int) -> dict[int, str]:
    """The processes below one, by number."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    below: dict[int, str] = {}
    grown = True
    lines = [line.split(None, 2) for line in listed.splitlines()]
    while grown:
        grown = False
        for pid, parent, name in lines:
            if int(pid) not in below and (int(parent) == root or int(parent) in below) and name != "ps":
                below[int(pid)] = name
                grown = True
    return below


def alive(processes: dict[int, str]) -> dict[int, str]:
    """Those that still run (a zombie does not)."""
    found = {}
    for pid, name in processes.items():
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            found[pid] = name
    return found


def wait_until_gone(processes: dict[int, str], seconds: float = 8) -> dict[int, str]:
    deadline = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive(processes)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param("zynaddsubfx", marks=pytest.mark.slow),  # starts the programs three times
        pytest.param("amsynth", marks=pytest.mark.slow),
        pytest.param("fluidsynth", marks=pytest.mark.slow),
    ],
)
def test_a_real_synth_is_captured_and_captured_again(profile: str) -> None:
    n = 6 if profile == "fluidsynth" else 24  # it is started anew for each row
    data = build(capture_recipe(profile, n), profile, cluster=Cluster(workers=1))
    sounds = data.audio()[:, 0]
    assert (np.abs(sounds).max(axis=1) > 1e-4).all()
    assert len(np.unique(data.read("integrity/rows"))) == n
    isolation = data.meta["isolation"]
    assert isolation["noise_floor_db"] is None or isolation["noise_floor_db"] < -90
    again = rerender_rows(data, 6)
    assert again["equal"] == 6 or again["largest_db"] < -90


@pytest.mark.slow
def test_two_captures_of_one_recipe_are_equal_for_any_workers() -> None:
    recipe = capture_recipe("zynaddsubfx", 300)
    one, two = build(recipe, "one", cluster=Cluster(workers=1)), build(recipe, "two", cluster=Cluster(workers=2))
    assert np.array_equal(one.read("integrity/rows"), two.read("integrity/rows"))
    assert np.array_equal(one.read("audio"), two.read("audio"))


@pytest.mark.slow
def test_two_of_each_run_side_by_side() -> None:
    for profile in ("amsynth", "fluidsynth", "zynaddsubfx"):
        players = [opened(profile) for _ in range(2)]
        try:
            for player, patch in players:
                assert np.abs(player.play([NOTE], [patch], SAMPLES)).max() > 1e-4
                assert not player.restarts
        finally:
            for player, _ in players:
                player.close()


def test_every_note_begins_at_the_same_frame() -> None:
    player, patch = opened("amsynth", "settle")
    try:
        patch |= {"osc1_waveform": 1.0, "amp_attack": 0.0, "filter_cutoff": 127.0, "filter_attack": 0.0}
        sounds = player.play([NOTE] * 8, [patch] * 8, SAMPLES)[:, 0]
        onsets = {int(np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())[0]) for sound in sounds}
        assert len(onsets) == 1
    finally:
        player.close()


def test_closing_a_synth_that_plays_in_another_thread_leaves_nothing() -> None:
    """An interrupted build closes its synths while worker threads still play."""
    before = family(os.getpid())
    player, patch = opened("amsynth")
    player.play([NOTE], [patch], SAMPLES)
    failures: list[BaseException] = []

    def play_on() -> None:
        try:
            for _ in range(1000):
                player.play([NOTE] * 8, [patch] * 8, SAMPLES)
        except SynthError as error:
            failures.append(error)

    thread = threading.Thread(target=play_on)
    thread.start()
    time.sleep(0.2)
    started = family(os.getpid())
    player.close()
    thread.join(20)
    assert not thread.is_alive()
    assert failures
    assert player.process_id is None
    assert not wait_until_gone({pid: name for pid, name in started.items() if pid not in before})
    with pytest.raises(SynthError, match="closed"):
        player.play([NOTE], [patch], SAMPLES)


@pytest.mark.slow  # starts the programs twice
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", ["zynaddsubfx", "jackd", "host"])
def test_a_crash_or_a_hang_is_noticed_and_mended(victim: str, how: signal.Signals) -> None:
    player, patch = opened("zynaddsubfx")
    try:
        before = player.play([NOTE] * 2, [patch] * 2, SAMPLES)
        assert player.process_id is not None
        everyone = family(player.process_id) | {player.process_id: "host"}
        chosen = (
            [player.process_id]
            if victim == "host"
            else [pid for pid, name in everyone.items() if name.startswith(victim)]
        )
        assert chosen
        os.kill(chosen[-1], how)
        begun = time.monotonic()
        after = player.play([NOTE] * 2, [patch] * 2, SAMPLES)
        assert time.monotonic() - begun < 40
        assert player.restarts == 1
        assert difference_db(before, after) < -90
    finally:
        player.close()
    assert not wait_until_gone(everyone)


@pytest.mark.slow  # waits three times
def test_one_that_never_plays_is_given_up_with_a_clear_error() -> None:
    mute = profiles.read_profile("zynaddsubfx").model_copy(
        update={"command": ("sleep", "60"), "start_seconds": 0.5, "name": "mute"}
    )
    with trusting():
        player = SYNTHS.load("midi").open(midi.MidiSettings(profile=mute), RATE, 1, "reuse")
    with pytest.raises(SynthError, match=r"mute failed 3 times in a row .*port .*did not appear"):
        player.play([NOTE], [{}], SAMPLES)
    player.close()


@pytest.mark.slow  # starts the command line and a capture
def test_nothing_runs_on_after_a_kill(tmp_path: Path, home: Path) -> None:
    program = "from timbre_data.cli import main; import sys; sys.argv[1:] = ['render', '--synth', 'zynaddsubfx', '--n', '5000']; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TIMBRE_DATA_HOME": str(home)},
    )
    deadline = time.monotonic() + 60
    while "zynaddsubfx" not in family(process.pid).values() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    below = family(process.pid)
    assert {"jackd", "zynaddsubfx"} <= set(below.values())
    process.kill()
    process.wait()
    assert not wait_until_gone(below)


@pytest.mark.slow
def test_a_capture_that_was_killed_goes_on() -> None:
    recipe = capture_recipe("zynaddsubfx", 600)
    whole = build(recipe, "whole", cluster=Cluster(workers=1, batch=256))

    class Dies(NoProgress):
        def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
            self.rows = 0

        def advance(self, rows: int, rejected: int = 0) -> None:
            self.rows += rows
            if self.rows >= 256:
                raise RuntimeError("stop here")

    with pytest.raises(RuntimeError):
        build(recipe, "parts", cluster=Cluster(workers=1, batch=256), progress=Dies())
    assert 0 < Dataset("parts").present().sum() < 600
    parts = build(recipe, "parts", cluster=Cluster(workers=2, batch=256))
    assert np.array_equal(parts.read("integrity/rows"), whole.read("integrity/rows"))


@pytest.mark.slow
def test_real_time_capture_removes_its_latency() -> None:
    settings = midi.MidiSettings.model_validate({"profile": "zynaddsubfx", "backend": "rtmidi"})
    patch = {p.name: float(p.to_value(0.5)) for p in settings.profile.space()}
    player = SYNTHS.load("midi").open(settings, RATE, 1, "reuse")
    try:
        sounds = player.play([NOTE] * 12, [patch] * 12, SAMPLES)[:, 0]
        onsets = [int(np.flatnonzero(np.abs(sound) > 0.05 * np.abs(sound).max())[0]) / RATE for sound in sounds]
        # ZynAddSubFX starts notes at multiples of 256 samples, so up to 6 ms late; on a busy machine a
        # quarter of the notes may be later
        assert np.ptp(np.percentile(onsets, [25, 75])) < 256 / RATE
        assert np.median(onsets) < 0.01
    finally:
        player.close()


def test_messages_of_a_profile() -> None:
    profile = Profile.model_validate(
        {
            "name": "x",
            "ports": {"midi": "m", "audio": ["a"]},
            "parameters": [
                {"name": "cut", "cc": 74},
                {"name": "wave", "cc": 20, "kind": "choice", "positions": ["a", "b", "c"], "values": [0, 64, 127]},
                {"name": "fine", "nrpn": [120, 8], "low": -100, "high": 100, "unit": "cents"},
                {"name": "bank", "program": True, "kind": "integer", "low": 0, "high": 127},
            ],
        }
    )
    cut, wave, fine, bank = profile.parameters
    assert cut.messages(127) == [bytes((0xB0, 74, 127))]
    assert wave.messages(1) == [bytes((0xB0, 20, 64))]
    assert [m[1:] for m in fine.messages(0)] == [b"\x63\x78", b"\x62\x08", b"\x26\x00", b"\x06\x40", b"\x26\x00"]
    assert bank.messages(17) == [bytes((0xC0, 17))]
    assert profile.space()["cut"].resolution == 1 / 127
    assert profile.targets().splitlines()[20] == "wave"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: x\nports: {midi: a, audio: [b]}\nparameters: [{name: p}]",
            "exactly one of cc, nrpn, program and sysex",
        ),
        ("name: x\nports: {midi: a, audio: [b]}\nparameters: [{name: p, cc: 200}]", "parameters.0.cc = 200"),
        ("name: [", "not YAML"),
        ("name: x\nports: {midi: a, audio: [b]}\nparameters: [{name: p, cc: 1}, {name: q, cc: 1}]", "same cc"),
    ],
)
def test_a_wrong_profile_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        profiles.read_profile(str(tmp_path / "p.yaml"))


def test_an_unknown_profile_names_the_known() -> None:
    with pytest.raises(NotFoundError, match="amsynth, fluidsynth, monark, setbfree, yoshimi, zynaddsubfx"):
        profiles.read_profile("nope")
