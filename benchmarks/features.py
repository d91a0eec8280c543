"""Features on one core against librosa, file by file: CPU milliseconds per 1.5 s sound at 22.05 kHz."""

from __future__ import annotations

import time
from collections.abc import Callable

import librosa
import numpy as np
import scipy.stats
import torch

from benchmarks._common import report
from timbre_data.pipeline import catalogue

RATE, SOUNDS, LIBROSA_SOUNDS = 22_050, 256, 24


def librosa_163(sound: np.ndarray) -> None:
    """The same content with librosa and SciPy, as a script would compute it: eight series, functionals, MFCCs, pitch."""
    magnitudes = np.abs(librosa.stft(sound, n_fft=2048, hop_length=512))
    f = librosa.fft_frequencies(sr=RATE, n_fft=2048)[:, None]
    weights = magnitudes / np.maximum(magnitudes.sum(axis=0), 1e-10)
    centroid = librosa.feature.spectral_centroid(S=magnitudes, sr=RATE)[0]
    moments = [((f - centroid) ** k * weights).sum(axis=0) for k in (2, 3, 4)]
    slope = np.polyfit(f[:, 0], magnitudes, 1)[0]
    rolloff = librosa.feature.spectral_rolloff(S=magnitudes**2, sr=RATE, roll_percent=0.95)[0]
    flux = np.concatenate([[0], np.abs(np.diff(magnitudes, axis=1)).sum(axis=0)])
    flatness = librosa.feature.spectral_flatness(S=magnitudes, power=1.0)[0]
    pitch = np.median(librosa.yin(sound, fmin=60, fmax=1400, sr=RATE, frame_length=2048, hop_length=512))
    for series in (centroid, *moments, slope, rolloff, flux, flatness):
        for one in (series, np.diff(series), series / pitch):
            np.array([one.min(), one.max(), one.mean(), one.std(), scipy.stats.skew(one), scipy.stats.kurtosis(one)])
    mfcc = librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=10, n_fft=2048, hop_length=512)
    np.concatenate([mfcc.mean(axis=1), mfcc.max(axis=1)])


def librosa_logmel(sound: np.ndarray) -> None:
    librosa.power_to_db(librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=1024, hop_length=256, n_mels=128))


def cpu_ms(function: Callable[[], object], sounds: int, repeats: int = 3) -> float:
    function()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return 1000 * min(taken) / sounds


def main() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    source = catalogue.load("source", "plucked_string")
    notes, effect = source.open(source.settings()), catalogue.load("effect", "distortion")
    rng = np.random.default_rng(0)
    wet = []
    for i in rng.choice(len(notes.notes), SOUNDS, replace=False):
        values = effect.space.as_mapping(effect.space.to_values(rng.random((1, len(effect.space))))[0])
        sound = effect.render(notes.render(int(i), RATE, 1, 33_075), RATE, values)[0]
        wet.append(sound / np.abs(sound).max())
    sounds = np.stack(wet).astype(np.float32)
    unknown = np.full(SOUNDS, np.nan, np.float32)
    figures = {}
    for name in catalogue.names("feature"):
        features = catalogue.load("feature", name)
        figures[f"{name}_ms"] = cpu_ms(lambda f=features: f.compute(sounds, RATE, unknown, f.settings()), SOUNDS)  # type: ignore[misc]  # bound now
    figures["librosa_163_ms"] = cpu_ms(
        lambda: [librosa_163(sound) for sound in sounds[:LIBROSA_SOUNDS]], LIBROSA_SOUNDS
    )
    figures["librosa_logmel_ms"] = cpu_ms(
        lambda: [librosa_logmel(sound) for sound in sounds[:LIBROSA_SOUNDS]], LIBROSA_SOUNDS
    )
    figures["ratio_163"] = figures["librosa_163_ms"] / figures["autofx163_ms"]
    figures["ratio_logmel"] = figures["librosa_logmel_ms"] / figures["logmel_ms"]
    report("features", **figures)


if __name__ == "__main__":
    main()
