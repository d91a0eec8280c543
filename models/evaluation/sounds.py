"""Predicted parameters back through the effect: how far is the sound from the one that was asked for?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import welch

from timbre_data.pipeline.build.chain import EffectChain
from timbre_data.pipeline.build.players import instrument
from timbre_data.pipeline.build.rerendering import runtime_recipe, stored_input
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.features.logmel import LogMelSettings
from timbre_data.pipeline.sound.audio import decode, encode, levels, storing_gains
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.arrays import Audio

FFT_SIZES = (64, 128, 256, 512, 1024, 2048)
"""Resolutions of the spectral loss in D'Hooghe 2022; hop 25 %, Hann."""
DYNAMIC_DB = 80.0
"""What lies further below the loudest point of the target does not count."""
DISTANCES = ("mrstft", "logmel_db", "psd_db", "psd_mse")


class Distances:
    """Four distances between sounds of the same length [shape=(samples,)].

    `mrstft`: multi-resolution STFT, spectral convergence + log magnitude (auraloss). `logmel_db`: mean absolute difference of log-mel
    spectrograms. `psd_db`: root mean square difference of Welch power spectra in dB. `psd_mse`: summed squared difference of Welch power spectra, each with its largest
    value at 1 (the measure of Assayag's inverse synthesiser, as far as it is told).
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
        made_mel, target_mel = registry.load("feature", "logmel").compute(
            np.stack([made, target]), self._rate, nothing, LogMelSettings()
        )
        floor = target_mel.max() - DYNAMIC_DB
        logmel = float(np.abs(np.maximum(made_mel, floor) - np.maximum(target_mel, floor)).mean())
        power = [welch(sound, self._rate, nperseg=2048)[1] for sound in (made, target)]
        psd_mse = float(np.square(power[0] / max(power[0].max(), 1e-20) - power[1] / max(power[1].max(), 1e-20)).sum())
        psd = [10 * np.log10(p + 1e-20) for p in power]
        floor = psd[1].max() - DYNAMIC_DB
        psd_db = float(np.sqrt(np.mean((np.maximum(psd[0], floor) - np.maximum(psd[1], floor)) ** 2)))
        return {"mrstft": mrstft, "logmel_db": logmel, "psd_db": psd_db, "psd_mse": psd_mse}


def sounds_of(data: Dataset, chain: EffectChain, row: int, labels: NDArray[np.float32]) -> tuple[Audio, Audio]:
    """What a row would sound like with other (normalised) parameters [shape=(k, p)]: after its chain, and before it, as float32 [shape=(k, channels, samples)].

    Before the chain there is its dry sound, or what its synth plays of its notes.
    """
    order = np.asarray(data.read("labels/order", row))
    values = chain.space.to_values(labels)
    audio = data.recipe.audio
    if chain.synth:
        notes = stored_input(data, row)
        assert isinstance(notes, list)
        player = instrument(runtime_recipe(data.recipe, data.meta).chain, chain, audio)
        sources = player.play(notes * len(values), [chain.step_values(v, 0) for v in values], audio.samples)
    else:
        sources = np.repeat(data.dry(row)[None], len(values), axis=0)
    wet = [chain.render(source, audio.rate, v, order) for source, v in zip(sources, values, strict=True)]
    return np.stack(wet), sources


def rerender(data: Dataset, chain: EffectChain, row: int, labels: NDArray[np.float32]) -> Audio:
    """Make a row's sound again with other (normalised) parameters: its dry sound through its chain, or its notes on its synth (the same one).

    Stored as the dataset stores [shape=(channels, samples)].
    """
    audio = data.recipe.audio
    wet, source = sounds_of(data, chain, row, labels[None])
    peaks, _ = levels(wet, source)
    stored = np.empty(wet.shape, audio.dtype)
    encode(wet, storing_gains(np.maximum(peaks, 1e-4), audio.peak), stored)
    return decode(stored)[0]


def with_constants(
    data: Dataset, rows: NDArray[np.int64], names: Sequence[str], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Normalised parameters of the dataset's whole space [shape=(rows, p)]: those that were predicted, and as stored those that never move."""
    whole = np.asarray(data.read("params", rows), np.float32).copy()
    for column, name in enumerate(data.space.names):
        if name in names:
            whole[:, column] = values[:, list(names).index(name)]
    return whole


def compare(
    data: Dataset, rows: Sequence[int], predictions: Mapping[str, NDArray[np.float32]]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Distances of re-rendered predictions from the stored sounds: predictor -> distance -> [shape=(rows,)].

    `predictions` maps a predictor to normalised parameters of the dataset's own space [shape=(rows, p)].
    """
    chain, distances = EffectChain(data.recipe.chain), Distances(data.recipe.audio.rate)
    found: dict[str, dict[str, list[float]]] = {name: {distance: [] for distance in DISTANCES} for name in predictions}
    try:
        for k, row in enumerate(rows):
            target = data.audio(row).mean(axis=0)
            for name, labels in predictions.items():
                made = rerender(data, chain, row, labels[k]).mean(axis=0)
                for distance, value in distances(made, target).items():
                    found[name][distance].append(value)
    finally:
        close_instruments()
    return {name: {distance: np.array(values) for distance, values in each.items()} for name, each in found.items()}
