"""Effects of other makers, run by SoX: its own, and LADSPA plug-ins, which it hosts.

Every sound is a process of its own, so nothing is carried over; each channel goes through alone. Sounds are turned down
on their way in where the effect is linear, since SoX clips at full scale.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect, Family
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import MissingDependencyError, TimbreDataError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

HEADROOM = 0.25
SECONDS = 60
"""A sound that takes longer has hung."""
LADSPA = Path("/usr/lib/ladspa")

Arguments = Callable[[Mapping[str, float]], Sequence[object]]


def sox_effect(
    summary: str,
    family: Family,
    effect_class: str,
    parameters: Sequence[Parameter],
    arguments: Arguments,
    *,
    linear: bool = True,
    ports: int = 1,
    dry: float = 0.0,
    package: str = "sox",
) -> Effect:
    """An effect of SoX by its words on the command line, each a text or a number.

    `linear` effects get headroom; a plug-in with two `ports` gets the sound in both and gives their mean; `dry` is the
    share of the input that is added to the output of an effect without any of its own.
    """

    def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
        words = [word if isinstance(word, str) else f"{word:.6g}" for word in arguments(values)]
        plugins = [words[k + 1] for k, word in enumerate(words) if word == "ladspa"]
        if not all((LADSPA / f"{plugin}.so").is_file() for plugin in plugins):
            raise MissingDependencyError(f"{effect_class} by LADSPA needs {package}: apt-get install sox {package}.")
        gain = HEADROOM if linear else 1.0
        channels = [_run(channel * np.float32(gain), rate, words, ports) / gain for channel in audio]
        return (np.stack(channels) + dry * audio).astype(np.float32)

    return Effect(
        summary=summary,
        family=family,
        effect_class=effect_class,
        space=ParameterSpace.of(*parameters),
        render=render,
    )


def have_sox() -> bool:
    """Whether SoX is on this machine."""
    return shutil.which("sox") is not None


def _run(sound: Audio, rate: int, words: Sequence[str], ports: int) -> Audio:
    """Send one channel [shape=(samples,)] through SoX: as long as it was."""
    program = shutil.which("sox")
    if program is None:
        raise MissingDependencyError("SoX is missing: install it (Debian: apt-get install sox).")
    form = ["-t", "f32", "-r", str(rate), "-c", str(ports)]
    command = [program, "-V1", "-D", "-R", *form, "-", "-t", "f32", "-", *words]
    environment = os.environ | {"LADSPA_PATH": str(LADSPA)}
    fed = np.repeat(sound[:, None], ports, axis=1)
    try:
        run = subprocess.run(
            command, input=fed.tobytes(), capture_output=True, check=False, timeout=SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        raise TimbreDataError(f"sox {' '.join(words)} did not end within {SECONDS} s.") from None
    made = np.frombuffer(run.stdout, np.float32)
    if run.returncode or not len(made):
        reason = (run.stderr.decode(errors="replace").strip() or "no sound came").splitlines()[-1]
        raise TimbreDataError(f"sox {' '.join(words)}: {reason}")
    mono = made[: len(made) // ports * ports].reshape(-1, ports).mean(axis=1)[: len(sound)]
    return np.pad(mono, (0, len(sound) - len(mono))).astype(np.float32)
