"""Pairs of sounds before and after a transformation, as the frames that a network learns from; and sounds as frames and
back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from timbre_data.models.architectures.eq_autoencoder import FRAME, HOP
from timbre_data.models.data.rows import mono_sounds
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import AUDIO, DRY_AUDIO, DRY_INDEX, GAIN, MASK, ORDER, PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.parameter import Parameter

EDGE = FRAME - HOP
"""Silence around a sound, so that every sample is in as many frames."""
OVERLAP = FRAME / HOP / 2
"""The sum of Hann windows that are a hop apart."""


def hann(device: torch.device | None = None) -> torch.Tensor:
    """The window of a frame [shape=(1024,)]."""
    return torch.hann_window(FRAME, device=device)


def to_frames(sound: torch.Tensor, hop: int = HOP) -> torch.Tensor:
    """Windowed frames of a sound [shape=(samples,)], a hop apart, with silence around it: [shape=(n, 1024)]."""
    return _views(sound, hop) * hann(sound.device)


def _views(sound: torch.Tensor, hop: int = HOP) -> torch.Tensor:
    """The samples of each frame, not copied [shape=(n, 1024)]."""
    return padded(sound).unfold(0, FRAME, hop)


def padded(sound: torch.Tensor) -> torch.Tensor:
    """A sound [shape=(samples,)] with silence before and after it, a whole number of hops long."""
    return F.pad(sound, (EDGE, EDGE + (-len(sound)) % HOP))


def added(frames: torch.Tensor) -> torch.Tensor:
    """Frames a hop apart, added up [shape=((n - 1) HOP + 1024,)]: those of `to_frames` to `OVERLAP` times the padded
    sound.
    """
    length = (len(frames) - 1) * HOP + FRAME
    return F.fold(frames.T[None], (1, length), (1, FRAME), stride=(1, HOP))[0, 0, 0]


class Pairs:
    """Dry and filtered sounds of a dataset, mono, kept in memory as stored, given on a device, at the level that the
    network hears; and the condition of each row.
    """

    def __init__(self, data: Dataset, level_db: float, device: torch.device | None = None) -> None:
        self.data = data
        self._device = device
        self.scale = 10 ** (level_db / 20)
        self.rows = data.usable()
        self.split = data.split()[self.rows]
        self.index = data.read(DRY_INDEX)[self.rows].astype(np.int64)
        self.gain = data.read(GAIN)[self.rows]
        self._dry = mono_sounds(data, DRY_AUDIO, np.arange(self.index.max(initial=-1) + 1))
        self._wet = mono_sounds(data, AUDIO, self.rows)
        params, mask = data.read(PARAMS)[self.rows], data.read(MASK)[self.rows]
        order = data.read(ORDER)[self.rows]
        varying = np.ptp(params, axis=0) > 0
        self.names = tuple(name for name, is_varied in zip(data.space.names, varying, strict=True) if is_varied)
        self.steps = data.names(ORDER, "steps") if order.shape[1] > 1 else []
        used = (order >= 0) if self.steps else np.empty((len(order), 0))
        self.condition = np.concatenate([np.where(mask, params, 0)[:, varying], used], axis=1).astype(np.float32)

    def to(self, device: torch.device) -> None:
        """Give sounds on another device from now on."""
        self._device = device

    def where(self, split: int) -> NDArray[np.int64]:
        """Places of the rows of one split."""
        return np.flatnonzero(self.split == split)

    def sounds(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Input and target [shape=(samples,) each]."""
        dry, wet = decode(self._dry[self.index[position]]), decode(self._wet[position]) / self.gain[position]
        scale = np.float32(self.scale)
        return torch.from_numpy(dry * scale).to(self._device), torch.from_numpy(wet * scale).to(self._device)

    def frames(self, positions: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Every `step`-th of the frames of several rows, one row after the other: input and target [shape=(n, 1024)
        both], and the condition of each [shape=(n, c)].
        """
        sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        given: list[torch.Tensor] = []
        window, passed = hann(self._device), 0
        for position in positions:
            views = [_views(sound) for sound in self.sounds(position)]
            for side, view in zip(sides, views, strict=True):
                side.append(view[-passed % step :: step] * window)
            condition = self.condition_of(position, len(sides[0][-1]))
            given += [] if condition is None else [condition]
            passed += len(views[0])
        return torch.cat(sides[0]), torch.cat(sides[1]), torch.cat(given) if given else None

    def condition_of(self, position: int, count: int) -> torch.Tensor | None:
        """The condition of a row, once for each frame [shape=(count, c)]."""
        if not self.condition.shape[1]:
            return None
        return torch.from_numpy(self.condition[position]).to(self._device).expand(count, -1)


def setting_text(pairs: Pairs, position: int) -> str:
    """The setting of a row for people: "peaking 6 dB 800 Hz q 1"."""
    described = {one["name"]: Parameter.model_validate(one) for one in pairs.data.parameters}
    values = dict(zip(pairs.names, pairs.condition[position].tolist(), strict=False))
    used = [step for step, on in zip(pairs.steps, pairs.condition[position, len(pairs.names) :], strict=True) if on]
    applicable = [name for name in pairs.names if not used or name.split(".")[0] in used]
    return " ".join([*used, *(_named(described[name], values[name]) for name in applicable)])


def _named(parameter: Parameter, unit: float) -> str:
    """A value with its unit, or for a dimensionless one with its name: "800 Hz", "q 1"."""
    text = parameter.describe(unit)
    return text if parameter.unit_text else f"{parameter.name.rpartition('.')[2]} {text}"
