"""The bag of frames against librosa."""

from __future__ import annotations

import librosa
import numpy as np

from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.pipeline.features import FEATURE_SETS

RATE = 22_050


def test_means_and_deviations_are_librosas() -> None:
    features: FeatureSet = FEATURE_SETS.load("bag_of_frames")
    settings = features.settings()
    rng = np.random.default_rng(0)
    t = np.arange(RATE) / RATE
    sound = (0.5 * np.sin(2 * np.pi * 330 * t) * np.exp(-2 * t) + 0.02 * rng.standard_normal(RATE)).astype(np.float32)
    values = features.compute(sound[None], RATE, np.array([np.nan], np.float32), settings)[0]
    columns = dict(zip(features.columns(RATE, RATE, settings).names, values, strict=True))
    mel = librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=2048, hop_length=512, n_mels=40, pad_mode="constant")
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=80), n_mfcc=20)
    centroid = librosa.feature.spectral_centroid(y=sound, sr=RATE, n_fft=2048, hop_length=512, pad_mode="constant")[0]
    change = np.diff(mfcc, axis=1, prepend=mfcc[:, :1])
    for k in range(20):
        assert abs(columns[f"mfcc_{k + 1}_mean"] - mfcc[k].mean()) < 0.05
        assert abs(columns[f"mfcc_{k + 1}_deviation"] - mfcc[k].std()) < 0.05
        assert abs(columns[f"mfcc_{k + 1}_change_deviation"] - change[k].std()) < 0.05
    assert abs(columns["centroid_mean"] / centroid.mean() - 1) < 0.001
    assert abs(columns["centroid_deviation"] / centroid.std() - 1) < 0.001
