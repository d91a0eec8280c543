"""Spectral optimal transport (Torres et al. 2024): how far, in frequency, the energy of one spectrum has to be moved to
make the other.

Frame by frame the Wasserstein distance of order 2 between magnitude spectra of mass 1, over frequencies from 0 to 1
(half the rate), by the quantile functions, exactly. A sound that is a semitone off is near, where a difference of bins
sees only that no partial is in place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio

N_FFT, HOP = 2048, 1024
SILENT = 1e-4
"""A frame below this share of the loudest one has no spectrum to be moved."""


def transport(first: NDArray[np.float64], second: NDArray[np.float64], order: int = 2) -> NDArray[np.float64]:
    """The Wasserstein distance between spectra [shape=(frames, bins)] over frequencies 0 to 1, each frame with its own
    mass as 1 [shape=(frames,)].
    """
    bins = first.shape[1]
    masses = [np.cumsum(one, axis=1) / np.sum(one, axis=1, keepdims=True) for one in (first, second)]
    levels = np.concatenate(masses, axis=1)
    sorting = np.argsort(levels, axis=1, kind="stable")
    levels = np.take_along_axis(levels, sorting, axis=1)
    of_first = sorting < bins
    ranks = np.cumsum(of_first, axis=1)
    # up to a level, each spectrum has its mass below the bin whose cumulated mass reaches it
    places = [ranks - of_first, np.arange(2 * bins) - (ranks - of_first)]
    distance = np.abs(np.minimum(places[0], bins - 1) - np.minimum(places[1], bins - 1)) / (bins - 1)
    steps = np.diff(levels, axis=1, prepend=0.0)
    return np.asarray((steps * distance**order).sum(axis=1) ** (1 / order))


def _compute(made: Audio, target: Audio, rate: int) -> float:
    transform = ShortTimeFFT(hann(N_FFT, sym=False), HOP, rate)
    first, second = (np.abs(transform.stft(sound.astype(np.float64))).T for sound in (made, target))
    loud = [one.sum(axis=1) > SILENT * max(second.sum(axis=1).max(), 1e-9) for one in (first, second)]
    both = loud[0] & loud[1]
    distances = np.where(loud[0] == loud[1], 0.0, 1.0)  # of silence and sound: as far as can be
    distances[both] = transport(first[both], second[both])
    heard = loud[0] | loud[1]
    return float(distances[heard].mean()) if heard.any() else 0.0


DISTANCE = Distance(
    summary="Spectral optimal transport: how far energy has to be moved in frequency, from 0 to 1 (half the rate).",
    heading="SOT",
    compute=_compute,
)
