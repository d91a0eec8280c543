"""Mel bands as sparse triangles, and MFCCs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

AMIN = 1e-10
"""Floor of power before the logarithm."""


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox): linear to 1 kHz, logarithmic above."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1e-9) / 1000) / np.log(6.4))


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=16)
def mel_filters(
    rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Triangular filters of equal area: first bin and number of bins of each band, and their weights end to end."""
    low, high = hz_to_mel(np.array([fmin, fmax])).tolist()
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2))
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    starts, counts, parts = [], [], []
    for row in weights:
        used = np.flatnonzero(row)
        start, count = (int(used[0]), int(used[-1] - used[0] + 1)) if len(used) else (0, 0)
        starts.append(start)
        counts.append(count)
        parts.append(row[start : start + count])
    return np.array(starts), np.array(counts), np.concatenate(parts).astype(np.float32)


@lru_cache(maxsize=16)
def cosine_basis(n_mels: int, n_mfcc: int) -> NDArray[np.float32]:
    """Orthonormal DCT-II [shape=(n_mfcc, n_mels)]."""
    k, n = np.arange(n_mfcc)[:, None], np.arange(n_mels)[None]
    basis = np.sqrt(2 / n_mels) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_mels))
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def mel_db(magnitudes: Audio, starts: NDArray[np.int64], counts: NDArray[np.int64], weights: Audio, out: Audio) -> None:
    """10 log10 of mel power, floored at `AMIN` [shape=(frames, n_mels)]."""
    _mel_power(magnitudes, starts, counts, weights, out)
    np.log10(out, out=out)  # NumPy's takes many at a time
    out *= np.float32(10.0)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _mel_power(
    magnitudes: Audio, starts: NDArray[np.int64], counts: NDArray[np.int64], weights: Audio, out: Audio
) -> None:
    power = np.empty(magnitudes.shape[1], np.float32)
    for frame in range(magnitudes.shape[0]):
        for k in range(len(power)):
            power[k] = magnitudes[frame, k] * magnitudes[frame, k]
        offset = 0
        for band in range(len(starts)):
            total = np.float32(0.0)
            for k in range(counts[band]):
                total += weights[offset + k] * power[starts[band] + k]
            offset += counts[band]
            out[frame, band] = max(total, np.float32(AMIN))


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def mfcc(mel: Audio, basis: Audio, top_db: float, out: Audio) -> None:
    """MFCCs of mel bands in dB, nothing more than `top_db` below the loudest [shape=(frames, n_mfcc)]."""
    floor = mel.max() - np.float32(top_db)
    row = np.empty(mel.shape[1], np.float32)
    for frame in range(mel.shape[0]):
        for band in range(mel.shape[1]):
            row[band] = max(mel[frame, band], floor)
        for c in range(basis.shape[0]):
            total = np.float32(0.0)
            for band in range(mel.shape[1]):
                total += basis[c, band] * row[band]
            out[frame, c] = total
