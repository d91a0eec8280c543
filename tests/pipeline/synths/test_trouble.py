"""What goes wrong with a captured synth is noticed soon and told: what stopped, what it said, what there was else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import build
from tests.pipeline.synths.test_capture import NOTE, RATE, SAMPLES, capture_recipe, family, opened
from timbre_data.pipeline.build import isolation
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.isolation import BUT_FOR_PHASE, NOT_REPEATABLE, Floor, measured_isolation
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.recipes import for_synth, load
from timbre_data.pipeline.build.rerendering import COMPARISONS, rerender_rows, spectral_difference_db
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.catalogue.validation import override
from timbre_data.pipeline.synths import SYNTHS, midi
from timbre_data.pipeline.synths.capture import profiles
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.trust import trusting
from timbre_data.schemas.errors import SynthError
from timbre_data.schemas.profile import Profile

HOW_TO = Path(__file__).parents[3] / "docs/how-to/profile.md"


class Told(NoProgress):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def failing(**changes: object) -> SynthError:
    """The error of a profile like amsynth's with something wrong."""
    profile = profiles.read_profile("amsynth").model_copy(update={"start_seconds": 1.0, "name": "broken"} | changes)
    with trusting():
        player = SYNTHS.load("midi").open(midi.MidiSettings(profile=profile), RATE, 1, "reuse")
        assert isinstance(player, Hosted)
        try:
            with pytest.raises(SynthError) as told:
                player.play([NOTE], [{}], SAMPLES)
        finally:
            player.close()
    return told.value


@pytest.mark.slow  # starts the programs
@pytest.mark.parametrize("victim", ["jackd", "amsynth", "host"])
def test_what_is_stopped_is_noticed_within_15_seconds_of_a_long_task(victim: str) -> None:
    """A task of minutes gives a host minutes to answer."""
    player, patch = opened("amsynth")
    player.play([NOTE], [patch], SAMPLES)
    assert player.process_id is not None
    host = player.process_id
    below = family(host)

    def play() -> None:
        with suppress(SynthError):  # it is closed in the end
            player.play([NOTE] * 2000, [patch] * 2000, SAMPLES)

    task = threading.Thread(target=play)
    task.start()
    time.sleep(0.7)
    chosen = host if victim == "host" else next(pid for pid, name in below.items() if name.startswith(victim))
    os.kill(chosen, signal.SIGSTOP)
    begun = time.monotonic()
    while not player.restarts and time.monotonic() - begun < 30:
        time.sleep(0.1)
    noticed = time.monotonic() - begun
    player.close()
    task.join(20)
    assert player.restarts >= 1
    assert noticed < 15


@pytest.mark.slow  # starts the programs three times
def test_a_program_that_ends_leaves_its_whole_log() -> None:
    error = failing(name="ended", command=("sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 7"))
    match = re.search(r"exit code 7: line 3; all it said: ([^)]+)\)", str(error))
    assert match, error
    assert Path(match.group(1)).read_text() == "line 1\nline 2\nline 3\n"


@pytest.mark.slow  # starts the programs three times
def test_the_ports_that_are_there_are_named_where_the_wanted_one_is_not() -> None:
    profile = profiles.read_profile("amsynth")
    error = failing(ports=profile.ports.model_copy(update={"audio": ("amsynth:nope",)}))
    assert re.search(r"the port amsynth:nope of broken did not appear .*there are: amsynth:", str(error)), error


def test_measuring_isolation_tells_what_it_finds_and_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes that take long are not tried when the time is over."""
    floors = iter([6.0, 3.0, -1.0])
    now = [0.0]
    monkeypatch.setattr("timbre_data.pipeline.build.isolation.time.monotonic", lambda: now[0])

    def measured(plan: Plan, mode: str, rows: int, seconds: float) -> Floor:
        now[0] += 35
        return Floor(
            next(floors), {name: np.full(rows, -5.0) for name in COMPARISONS}, dict.fromkeys(COMPARISONS, -4.0)
        )

    monkeypatch.setattr(isolation, "floor_of", measured)
    told = Told()
    found = measured_isolation(Plan(capture_recipe("amsynth", 20)), told)
    assert found is not None
    assert set(found["measured_db"]) == {"reuse", "settle"}
    assert found["verdict"] == NOT_REPEATABLE
    assert "isolation: settle, 2 of 4" in told.notices
    assert "isolation: settle: difference of two renders of 16 rows: 3.0 dB relative to the peak" in told.notices
    assert "isolation: fresh, process not tried, 60 s are over" in told.notices


def test_a_verdict_needs_spectra_that_tell_rows_apart() -> None:
    def floor(waveform: float, spectrograms: float, means: float) -> Floor:
        rows = {"spectrograms": np.full(8, spectrograms), "mean spectra": np.full(8, means)}
        return Floor(waveform, rows, {"spectrograms": -6.0, "mean spectra": -8.0})

    assert floor(-np.inf, -np.inf, -np.inf).verdict == "equal"
    assert floor(-100.0, -90.0, -90.0).verdict == "equal but for rounding"
    assert floor(-40.0, -40.0, -40.0).verdict == "repeatable"
    assert (floor(3.0, -20.0, -30.0).verdict, floor(3.0, -20.0, -30.0).compared_by) == (BUT_FOR_PHASE, "spectrograms")
    assert (floor(3.0, -7.0, -20.0).verdict, floor(3.0, -7.0, -20.0).compared_by) == (BUT_FOR_PHASE, "mean spectra")
    assert floor(3.0, -7.0, -9.0).verdict == NOT_REPEATABLE


def test_spectra_are_compared_without_phase() -> None:
    time_ = np.arange(RATE) / RATE
    one, shifted, other = (
        np.sin(2 * np.pi * f * time_ + p).astype(np.float32)[None, None]
        for f, p in ((440, 0.0), (440, 2.0), (660, 0.0))
    )
    for by in COMPARISONS:
        assert spectral_difference_db(one, one, by)[0] == -np.inf
        assert spectral_difference_db(one, shifted, by)[0] < -25
        assert spectral_difference_db(one, other, by)[0] > -1


@pytest.mark.slow  # starts the command line and the programs
def test_ctrl_c_stops_the_measuring_of_isolation_within_3_seconds(home: Path) -> None:
    # a shell's background jobs ignore Ctrl-C, and what they start inherits that
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listening}; from timbre_data.cli import main; import sys; sys.argv[1:] = ['render', '--synth', 'zynaddsubfx', '--n', '50', '--set', 'chain.0.isolation=process']; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TIMBRE_DATA_HOME": str(home)},
    )
    assert process.stderr is not None
    assert "isolation: process, 1 of 1" in process.stderr.readline()
    time.sleep(5)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        rest = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert time.monotonic() - begun < 4  # 3, and a second for Python's own way out on a busy machine
    assert process.returncode == 130
    assert rest.strip().splitlines()[-1].startswith("timbre-data: stopped")


@pytest.mark.slow  # starts the programs for every row
@pytest.mark.skipif(not shutil.which("setBfree"), reason="setBfree is not installed")
def test_an_organ_whose_phase_nothing_resets_is_repeatable_but_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile of the manual, with a synth whose generators and horn run freely."""
    monkeypatch.setattr(isolation, "PROBED_ROWS", 4)
    blocks = re.findall(r"```yaml[^\n]*\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.S)
    content = yaml.safe_load(next(block for block in blocks if "setBfree" in block))
    Profile.model_validate(content)
    (tmp_path / "organ.yaml").write_text(yaml.safe_dump(content))
    recipe = load(override(for_synth(str(tmp_path / "organ.yaml")), {"n": 4, "chain.0.isolation": "fresh"}))
    with trusting():
        data = build(recipe, "organ", cluster=Cluster(workers=1))
        found = data.meta["isolation"]
        assert found["verdict"] in (BUT_FOR_PHASE, NOT_REPEATABLE)
        assert found["noise_floor_db"] > -30
        assert found["compared_by"] in COMPARISONS
        again = rerender_rows(data, 2)
    assert again["equal"] == 0
    assert again["spectral_db"] < 0
