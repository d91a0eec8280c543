"""Sensitivity: what the effects' own rules say is unheard is measured so; the same bytes however it is computed; and
what training and evaluation make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import build
from timbre_data.models.data.heard import only_heard, sensitivity
from timbre_data.models.data.rows import load_rows
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.sensing import PATH, sense
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import UsageError


def rendered(name: str, **changes: object) -> None:
    build(recipes.load(validation.override(recipes.read("delay"), {"n": 300, "features": [], **changes})), name)


def test_what_cannot_be_heard_is_measured_so(home: Path) -> None:
    """At mix 0 neither time nor feedback of a delay; with mix in the middle the time is heard."""
    for name, mix in (("dry", 0.0), ("wet", 0.5)):
        rendered(name, **{"n": 256, "chain.steps.0.parameters": {"mix": mix}})
        sense(locate(name), Cluster(workers=2))
    dry, wet = (Dataset(str(home / name)) for name in ("dry", "wet"))
    names = list(dry.names(PATH))
    assert names == ["delay.delay_seconds", "delay.feedback", "delay.mix", "unchanged"]
    assert dry.read(PATH)[:, :2].max() == 0
    assert np.median(wet.read(PATH)[:, 0]) > 1
    assert wet.read(PATH)[:, -1].max() < 0.5  # played again, a row is what is stored, but for 16 bits
    measured = sensitivity(wet, np.arange(256), ("delay.delay_seconds", "other.knob"))
    assert measured is not None
    assert measured[:, 1].max() == 0


def test_the_same_bytes_for_any_workers_batches_and_growth(home: Path, command: Callable[..., int]) -> None:
    rendered("one")
    assert command("featurize", "one", "--sensitivity", "--workers", "1") == 0
    rendered("other")
    sense(locate("other"), Cluster(workers=2, batch=256))
    first, second = (Dataset(str(home / name)) for name in ("one", "other"))
    assert np.array_equal(first.read(PATH), second.read(PATH))
    assert verify(first).whole
    assert command("render", "--recipe", "delay", "--n", "400", "--out", "one", "--set", "features=[]") == 0
    assert command("featurize", "one", "--sensitivity") == 0
    grown = Dataset(str(home / "one"))
    assert np.array_equal(grown.read(PATH)[:300], first.read(PATH))
    assert (grown.read("integrity/sensitivity") != 0).all()
    assert command("featurize", "one", "--sensitivity") == 0, "asking again does nothing"
    assert command("featurize", "one", "--sensitivity", "--features", "logmel") == 2


def test_a_synth_is_played(home: Path) -> None:
    """Knobs of an oscillator that is off change nothing; the range of one that is on does."""
    changes = {"n": 256, "audio.seconds": 0.2, "audio.rate": 11_025}
    build(recipes.load(validation.override(recipes.for_synth("subtractive"), changes)), "panel")
    sense(locate("panel"), Cluster(workers=2))
    data = Dataset(str(home / "panel"))
    names, measured, mask = list(data.names(PATH)), data.read(PATH), data.read("labels/mask")
    waveform = names.index("subtractive.osc2_waveform")
    assert measured[~mask[:, waveform], waveform].max(initial=0) == 0
    assert measured[mask[:, waveform], waveform].max() > 1


@pytest.mark.slow  # it starts a program
def test_a_captured_synth_is_played(home: Path) -> None:
    """A real one: its knobs are heard, and above what playing the same row again changes."""
    changes = {"n": 12, "audio.seconds": 0.5}
    build(recipes.load(validation.override(recipes.for_synth("amsynth"), changes)), "amsynth")
    sense(locate("amsynth"), Cluster(workers=1))
    measured = Dataset(str(home / "amsynth")).read(PATH)
    assert np.isfinite(measured).all()
    assert np.median(measured[:, :-1].max(axis=1)) > 3 * np.median(measured[:, -1])


def test_training_takes_only_what_is_heard(home: Path) -> None:
    rendered("d")
    data = Dataset(str(home / "d"))
    rows = load_rows([data], (), "note")
    with pytest.raises(UsageError, match="--sensitivity first"):
        only_heard(rows, [data], 1.0)
    sense(locate("d"), Cluster(workers=2))
    data = Dataset(str(home / "d"))
    heard = only_heard(rows, [data], 1.0).identifiable
    assert not (heard & ~rows.identifiable).any()
    assert 0.3 < heard.sum() / rows.identifiable.sum() < 1
    assert np.array_equal(heard, rows.identifiable & (data.read(PATH)[:, :3] >= 1))


def test_what_was_merged_is_refused(home: Path, command: Callable[..., int]) -> None:
    """Its rows were played by several chains."""
    rendered("a")
    rendered("b", seed=1)
    assert command("dataset", "merge", "a", "b", "--out", "both") == 0
    assert command("featurize", "both", "--sensitivity") == 2
