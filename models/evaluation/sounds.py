"""Predicted parameters back through the effect: how far is the sound from the one that was asked for?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import welch

from timbre_data.pipeline import catalogue
from timbre_data.pipeline.audio import decode, encode, levels, storing_gains
from timbre_data.pipeline.chain import EffectChain
from timbre_data.pipeline.features.logmel import LogMelSettings
from timbre_data.pipeline.kinds import Audio
from timbre_data.pipeline.store.reader import Dataset

FFT_SIZES = (64, 128, 256, 512, 1024, 2048)
"""Resolutions of the spectral loss in D'Hooghe 2022; hop 25 %, Hann."""
DYNAMIC_DB = 80.0
"""What lies further below the loudest point of the target does not count."""
DISTANCES = ("mrstft", "logmel_db", "psd_db")


class Distances:
    """Three distances between sounds of the same length [shape=(samples,)].

    `mrstft`: multi-resolution STFT, spectral convergence + log magnitude (auraloss). `logmel_db`: mean absolute difference of log-mel
    spectrograms. `psd_db`: root mean square difference of Welch power spectra in dB.
    """

    def __init__(self, rate: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from auraloss.freq import MultiResolutionSTFTLoss

        self._rate = rate
        self._mrstft = MultiResolutionSTFTLoss(
            fft_sizes=list(FFT_SIZES),
            hop_sizes=[size // 4 for size in FFT_SIZES],
            win_lengths=list(FFT_SIZES),
            w_sc=1.0,
            w_log_mag=1.0,
        )

    def __call__(self, made: Audio, target: Audio) -> dict[str, float]:
        """All distances by name."""
        with torch.inference_mode():
            mrstft = float(self._mrstft(torch.from_numpy(made)[None, None], torch.from_numpy(target)[None, None]))
        nothing = np.full(2, np.nan, np.float32)
        made_mel, target_mel = catalogue.load("feature", "logmel").compute(
            np.stack([made, target]), self._rate, nothing, LogMelSettings()
        )
        floor = target_mel.max() - DYNAMIC_DB
        logmel = float(np.abs(np.maximum(made_mel, floor) - np.maximum(target_mel, floor)).mean())
        psd = [10 * np.log10(welch(sound, self._rate, nperseg=2048)[1] + 1e-20) for sound in (made, target)]
        floor = psd[1].max() - DYNAMIC_DB
        psd_db = float(np.sqrt(np.mean((np.maximum(psd[0], floor) - np.maximum(psd[1], floor)) ** 2)))
        return {"mrstft": mrstft, "logmel_db": logmel, "psd_db": psd_db}


def rerender(data: Dataset, chain: EffectChain, row: int, labels: NDArray[np.float32]) -> Audio:
    """Send a row's dry sound through its chain with other (normalised) parameters; stored as the dataset stores [shape=(channels, samples)]."""
    dry = data.dry(row)
    order = np.asarray(data.read("labels/order", row))
    values = chain.space.to_values(labels[None])[0]
    wet = chain.render(dry, data.recipe.audio.rate, values, order)[None]
    peaks, _ = levels(wet, dry[None])
    stored = np.empty(wet.shape, data.recipe.audio.dtype)
    encode(wet, storing_gains(np.maximum(peaks, 1e-4), data.recipe.audio.peak), stored)
    return decode(stored)[0]


def compare(
    data: Dataset, rows: Sequence[int], predictions: Mapping[str, NDArray[np.float32]]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Distances of re-rendered predictions from the stored sounds: predictor -> distance -> [shape=(rows,)].

    `predictions` maps a predictor to normalised parameters of the dataset's own space [shape=(rows, p)].
    """
    chain, distances = EffectChain(data.recipe.chain), Distances(data.recipe.audio.rate)
    found: dict[str, dict[str, list[float]]] = {name: {distance: [] for distance in DISTANCES} for name in predictions}
    for k, row in enumerate(rows):
        target = data.audio(row).mean(axis=0)
        for name, labels in predictions.items():
            made = rerender(data, chain, row, labels[k]).mean(axis=0)
            for distance, value in distances(made, target).items():
                found[name][distance].append(value)
    return {name: {distance: np.array(values) for distance, values in each.items()} for name, each in found.items()}
