"""Features on one core against librosa, file by file: CPU milliseconds per 1.5 s sound at 22.05 kHz."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import scipy.stats
import soundfile
import torch

from benchmarks._common import report
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sources import SOURCES

RATE, SOUNDS, LIBROSA_SOUNDS = 22_050, 256, 24


def statistics(series: list[np.ndarray], pitch: float, mfcc: np.ndarray) -> None:
    """The functionals of eight series, their differences and their ratios to the pitch; mean and maximum of the
    MFCCs.
    """
    for one in series:
        for part in (one, np.diff(one), one / pitch):
            np.array(
                [part.min(), part.max(), part.mean(), part.std(), scipy.stats.skew(part), scipy.stats.kurtosis(part)]
            )
    np.concatenate([mfcc.mean(axis=1), mfcc.max(axis=1)])


def librosa_file(path: Path) -> None:
    """One file as a script does it: load it and ask librosa for one feature after the other."""
    sound, rate = librosa.load(path, sr=None)
    magnitudes = np.abs(librosa.stft(sound, n_fft=2048, hop_length=512))
    f = librosa.fft_frequencies(sr=rate, n_fft=2048)[:, None]
    weights = magnitudes / np.maximum(magnitudes.sum(axis=0), 1e-10)
    centroid = librosa.feature.spectral_centroid(y=sound, sr=rate)[0]
    series = [
        centroid,
        librosa.feature.spectral_bandwidth(y=sound, sr=rate)[0],
        *(((f - centroid) ** k * weights).sum(axis=0) for k in (3, 4)),
        np.polyfit(f[:, 0], magnitudes, 1)[0],
        librosa.feature.spectral_rolloff(y=sound, sr=rate, roll_percent=0.95)[0],
        librosa.onset.onset_strength(y=sound, sr=rate),
        librosa.feature.spectral_flatness(y=sound)[0],
    ]
    pitch = float(np.median(librosa.yin(sound, fmin=60, fmax=1400, sr=rate)))
    statistics(series, pitch, librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=10))


def librosa_shared(sound: np.ndarray) -> None:
    """The same by somebody who knows librosa well: one STFT for everything, the sound in memory."""
    magnitudes = np.abs(librosa.stft(sound, n_fft=2048, hop_length=512))
    f = librosa.fft_frequencies(sr=RATE, n_fft=2048)[:, None]
    weights = magnitudes / np.maximum(magnitudes.sum(axis=0), 1e-10)
    centroid = librosa.feature.spectral_centroid(S=magnitudes, sr=RATE)[0]
    series = [
        centroid,
        *(((f - centroid) ** k * weights).sum(axis=0) for k in (2, 3, 4)),
        np.polyfit(f[:, 0], magnitudes, 1)[0],
        librosa.feature.spectral_rolloff(S=magnitudes**2, sr=RATE, roll_percent=0.95)[0],
        np.concatenate([[0], np.abs(np.diff(magnitudes, axis=1)).sum(axis=0)]),
        librosa.feature.spectral_flatness(S=magnitudes, power=1.0)[0],
    ]
    pitch = float(np.median(librosa.yin(sound, fmin=60, fmax=1400, sr=RATE)))
    statistics(series, pitch, librosa.feature.mfcc(y=sound, sr=RATE, n_mfcc=10, n_fft=2048, hop_length=512))


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
    source = SOURCES.load("plucked_string")
    notes, effect = source.open(source.settings()), EFFECTS.load("distortion")
    rng = np.random.default_rng(0)
    wet = []
    for i in rng.choice(len(notes.notes), SOUNDS, replace=False):
        values = effect.space.as_mapping(effect.space.to_values(rng.random((1, len(effect.space))))[0])
        sound = effect.render(notes.render(int(i), RATE, 1, 33_075), RATE, values)[0]
        wet.append(sound / np.abs(sound).max())
    sounds = np.stack(wet).astype(np.float32)
    unknown = np.full(SOUNDS, np.nan, np.float32)
    figures = {}
    for name in FEATURE_SETS.names():
        features = FEATURE_SETS.load(name)
        figures[f"{name}_ms"] = cpu_ms(lambda f=features: f.compute(sounds, RATE, unknown, f.settings()), SOUNDS)  # type: ignore[misc]  # mypy cannot infer defaults of a lambda
    known = np.full(SOUNDS, 220, np.float32)
    best = FEATURE_SETS.load("autofx163")
    figures["autofx163_pitch_known_ms"] = cpu_ms(lambda: best.compute(sounds, RATE, known, best.settings()), SOUNDS)
    warnings.filterwarnings("ignore", message="Precision loss")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.wav" for i in range(LIBROSA_SOUNDS)]
        for path, sound in zip(files, sounds, strict=False):
            soundfile.write(path, sound, RATE)
        figures["librosa_163_file_by_file_ms"] = cpu_ms(lambda: [librosa_file(path) for path in files], LIBROSA_SOUNDS)
    few = sounds[:LIBROSA_SOUNDS]
    figures["librosa_163_shared_stft_ms"] = cpu_ms(lambda: [librosa_shared(sound) for sound in few], LIBROSA_SOUNDS)
    figures["librosa_logmel_ms"] = cpu_ms(
        lambda: [librosa_logmel(sound) for sound in sounds[:LIBROSA_SOUNDS]], LIBROSA_SOUNDS
    )
    figures["ratio_163_file_by_file"] = figures["librosa_163_file_by_file_ms"] / figures["autofx163_ms"]
    figures["ratio_163_shared_stft"] = figures["librosa_163_shared_stft_ms"] / figures["autofx163_ms"]
    figures["ratio_logmel"] = figures["librosa_logmel_ms"] / figures["logmel_ms"]
    report("features", **figures)


if __name__ == "__main__":
    main()
