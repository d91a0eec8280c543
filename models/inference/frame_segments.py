"""The frames of a recording as segments of one class each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from timbre_data.models.architectures import MODELS, Model
from timbre_data.models.data.windows import windows_of
from timbre_data.models.training.checkpoints import Trained
from timbre_data.models.training.frontends import sound_frontend
from timbre_data.pipeline.store.columns import FRAME_SECONDS
from timbre_data.schemas.arrays import Audio


def segments_of(trained: Trained, sound: Audio) -> tuple[tuple[float, float, str, float], ...]:
    """The most probable class of every frame of a sound [shape=(samples,)] at the run's rate, equal neighbours as one:
    start, stop, class, mean probability.
    """
    kind: Model = MODELS.load(trained.model)
    whole = sound_frontend(kind, trained.options, trained.rate)
    spectrogram = whole(torch.from_numpy(sound / np.abs(sound).max())[None])[0]
    nothing = torch.empty(spectrogram.shape[1], 0)
    probabilities = trained.predict(nothing, None, windows_of(spectrogram, kind.context)).numpy()
    best = probabilities.argmax(axis=1)
    seconds = len(sound) / trained.rate
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    return tuple(
        (
            start * FRAME_SECONDS,
            min(stop * FRAME_SECONDS, seconds) if stop < len(best) else seconds,
            trained.outputs[int(best[start])],
            float(probabilities[start:stop, best[start]].mean()),
        )
        for start, stop in pairwise(edges)
        if start * FRAME_SECONDS < seconds
    )
