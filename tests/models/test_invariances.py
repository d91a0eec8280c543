"""What a musically motivated first layer promises (Pons et al. 2017, Section II): the same timbre at another pitch,
level or duration is nearer than another timbre. Pairs of sounds of our synthesiser and of sampled instruments, weights
as they begin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from mido import Message

from timbre_data.models.architectures._musically_motivated import SHAPES as TAGGING
from timbre_data.models.architectures._timbre import irmas_frontend, magnatagatune_frontend
from timbre_data.models.architectures.irmas_single import SHAPES as INSTRUMENTS
from timbre_data.models.layers.shaped_filters import ShapedFilters
from timbre_data.models.layers.spectrogram import MelFrontend
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, play
from timbre_data.pipeline.synths.subtractive import SPACE, Subtractive

SECONDS = 2.8
PATCH = {p.name: float(p.to_value(0.0)) for p in SPACE} | {
    "osc1_on": 1, "osc1_volume": 1, "osc1_range": 3, "osc1_waveform": 2, "osc1_tuning": 0, "cutoff": 2500,
    "resonance": 0.1, "contour": 0.2, "filter_decay": 0.4, "filter_sustain": 0.4,
    "amp_attack": 0.005, "amp_sustain": 0.9, "amp_release": 0.1,
}  # fmt: skip
"""A saw through a half-open filter."""
TIMBRES: dict[str, dict[str, float]] = {
    "closed filter": {"cutoff": 400},
    "square": {"osc1_waveform": 3},
    "triangle": {"osc1_waveform": 0},
}
PROGRAMS = {"flute": 73, "trumpet": 56, "clarinet": 71, "violin": 40, "oboe": 68, "organ": 19, "saxophone": 65, "cello": 42}  # fmt: skip


def synth(rate: int, knobs: Mapping[str, float] = {}, key: int = 57, held: float = 2.4) -> torch.Tensor:
    """A note of the synthesiser [shape=(1, samples)]."""
    note = Performance.of(PlayedNote(0.0, held, key, 127))
    return torch.from_numpy(Subtractive(rate, 1).play([note], [{**PATCH, **knobs}], round(SECONDS * rate))[0])


def instrument(rate: int, name: str, key: int = 60, held: float = 2.4) -> torch.Tensor:
    """A note of a sampled instrument of General MIDI [shape=(1, samples)]."""
    events = [(0.0, Message("note_on", note=key, velocity=100)), (held, Message("note_off", note=key))]
    sound = play(find_soundfont(None), [(0, 0, PROGRAMS[name])], events, rate, round(SECONDS * rate)).mean(axis=0)
    return torch.from_numpy(sound / np.abs(sound).max() * np.float32(0.3))[None]


def layer(task: str, *, pooled: bool = True) -> tuple[int, MelFrontend, ShapedFilters]:
    """Rate, spectrogram and first layer of a task, with its pool over frequency or without."""
    torch.manual_seed(0)
    if task == "tags":
        return 16_000, magnatagatune_frontend(16_000), ShapedFilters(TAGGING, padding="time", pool=(0, 4)).eval()
    pool = (96 if pooled else 1, 32)
    return 12_000, irmas_frontend(12_000), ShapedFilters(INSTRUMENTS, padding="same", pool=pool, norm=True).eval()


def answer(
    sound: torch.Tensor, front: MelFrontend, first: ShapedFilters, like: torch.Tensor | None = None
) -> torch.Tensor:
    """What the first layer finds, its largest over time, the spectrogram standardised by itself or as that of `like`
    is.
    """
    with torch.inference_mode():
        mel = front(sound)
        known = mel if like is None else front(like)
        found: torch.Tensor = first(((mel - known.mean()) / known.std())[:, None])
    return found.amax(dim=3).flatten()


@pytest.mark.parametrize("task", ["tags", "instruments"])
def test_a_timbre_of_the_synth_is_nearer_to_itself_than_to_another(task: str) -> None:
    rate, front, first = layer(task)
    one = synth(rate)
    here = answer(one, front, first)
    changed = {
        "pitch": answer(synth(rate, key=59), front, first),
        "level": answer(0.5 * one, front, first),
        # the silence behind a shorter note is no part of the sound: standardised as the longer one
        "duration": answer(synth(rate, held=1.4), front, first, like=one),
    }
    for timbre, knobs in TIMBRES.items():
        other = float((here - answer(synth(rate, knobs), front, first)).norm())
        distances = {name: float((here - each).norm()) / other for name, each in changed.items()}
        assert distances["pitch"] < 0.75, timbre
        assert distances["level"] < 0.25, timbre
        assert distances["duration"] < 0.15, timbre


def nearest_to_themselves(task: str, key: int = 60, held: float = 2.4, *, pooled: bool = True) -> int:
    """How many of the instruments, played so, are nearest to their own middle C of all instruments."""
    rate, front, first = layer(task, pooled=pooled)
    known = {name: instrument(rate, name) for name in PROGRAMS}
    answers = {name: answer(sound, front, first) for name, sound in known.items()}
    right = 0
    for name in PROGRAMS:
        changed = answer(instrument(rate, name, key, held), front, first, like=known[name] if held < 2.4 else None)
        nearest = min(answers, key=lambda other: float((answers[other] - changed).norm()))
        right += nearest == name
    return right


@pytest.mark.parametrize("task", ["tags", "instruments"])
def test_sampled_instruments_are_nearest_to_themselves(task: str) -> None:
    assert nearest_to_themselves(task, key=62) >= 7
    assert nearest_to_themselves(task, held=1.4) >= 7


def test_it_is_the_pool_over_frequency_that_forgets_the_pitch() -> None:
    """With the same filters and no pool over frequency another pitch is about as far as another timbre."""
    distances = []
    for pooled in (True, False):
        rate, front, first = layer("instruments", pooled=pooled)
        here = answer(synth(rate), front, first)
        higher = float((here - answer(synth(rate, key=59), front, first)).norm())
        distances.append(higher / float((here - answer(synth(rate, TIMBRES["closed filter"]), front, first)).norm()))
    assert distances[0] < 0.5 * distances[1]
    assert nearest_to_themselves("instruments", key=62, pooled=False) < nearest_to_themselves("instruments", key=62)
