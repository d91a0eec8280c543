"""The published inverse synthesiser (Assayag): a spectrogram, three convolutions, four dense layers of 800, a sigmoid a
knob.

What it is known for is its failure: with 10,000 sounds its outputs stay constant, at the middle of each range. It is
here to be compared with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError


class InverseSynthOptions(Frozen):
    """Published: a window of 1500, FFT of 10,000 (5001 bins), 4 layers of 800; the thesis's last experiment has 500
    bins.

    The thesis calls SciPy's `spectrogram`, whose defaults make 5001 x 30 of 0.9 s: `spectrogram: scipy`. With
    `magnitude` a second gives as many frames, which do not overlap. Its outlook names principal components instead of
    bins (`components`), which keep what varies in the training set.
    """

    spectrogram: Literal["magnitude", "scipy"] = Field(
        "magnitude",
        description="magnitude: Hann frames side by side; scipy: power by scipy.signal.spectrogram's defaults",
    )

    window: int = Field(1500, ge=16, description="window length in samples")
    n_fft: int = Field(10_000, ge=16, description="FFT length in samples")
    bins: int = Field(5001, ge=8, description="fewer than n_fft / 2 + 1: neighbours are averaged")
    components: int = Field(
        0, ge=0, description="principal components to put in the place of the bins of a frame; 0 for none"
    )
    layers: int = Field(4, ge=1, le=16, description="number of dense layers")
    neurons: int = Field(800, ge=1, description="units per dense layer")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window > self.n_fft:
            raise ValueError(f"window = {self.window} does not fit into n_fft = {self.n_fft}")
        if self.components > min(self.bins, self.n_fft // 2 + 1):
            raise ValueError(f"components = {self.components} are more than the bins")
        return self


class NormalisedSpectrogram(nn.Module):
    """Sounds [shape=(n, samples)] to magnitudes, or to SciPy's power, with the largest at 1 [shape=(n, bins,
    frames)].
    """

    window: torch.Tensor

    def __init__(self, samples: int, options: InverseSynthOptions) -> None:
        super().__init__()
        self._options = options
        self._hop = options.window
        frames = samples // options.window + 1
        window = torch.hann_window(options.window)
        if options.spectrogram == "scipy":
            self._hop -= options.window // 8
            frames = max(0, (samples - options.window) // self._hop + 1)
            window = tukey(options.window, 0.25)
        self.shape = (min(options.bins, options.n_fft // 2 + 1), frames)
        self.register_buffer("window", window, persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        o = self._options
        with torch.autocast(audio.device.type, enabled=False):
            if o.spectrogram == "scipy":
                spectrum = self._power(audio.float())
            else:
                spectrum = torch.stft(
                    audio.float(), o.n_fft, o.window, o.window, self.window, center=True, pad_mode="constant", return_complex=True
                ).abs()  # fmt: skip
            if o.bins < spectrum.shape[1]:
                spectrum = F.adaptive_avg_pool1d(spectrum.transpose(1, 2), o.bins).transpose(1, 2)
            return spectrum / spectrum.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)

    def _power(self, audio: torch.Tensor) -> torch.Tensor:
        """One-sided power of frames that overlap by an eighth, each without its mean, in arbitrary units."""
        frames = audio.unfold(1, self._options.window, self._hop)
        frames = (frames - frames.mean(dim=2, keepdim=True)) * self.window
        power = torch.fft.rfft(frames, self._options.n_fft).abs().square().transpose(1, 2)
        inner = 2.0 * power[:, 1:-1] if self._options.n_fft % 2 == 0 else 2.0 * power[:, 1:]
        ends = [power[:, :1], inner, *([power[:, -1:]] if self._options.n_fft % 2 == 0 else [])]
        return torch.cat(ends, dim=1)


def tukey(length: int, share: float) -> torch.Tensor:
    """A periodic Tukey window: flat, with a raised cosine over `share` of it at the edges [shape=(length,)]."""
    place = torch.arange(length, dtype=torch.float64)
    edge = share * length / 2
    distance = torch.minimum(place, length - place).clamp(max=edge)
    return (0.5 * (1 - torch.cos(torch.pi * distance / edge))).float()


class PrincipalComponents(nn.Module):
    """Frames of a spectrogram [shape=(n, bins, frames)] to their principal components [shape=(n, k, frames)], each
    divided by the deviation of the first.
    """

    mean: torch.Tensor
    basis: torch.Tensor

    def __init__(self, bins: int, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("basis", torch.zeros(count, bins))

    def fit(self, spectrograms: Iterable[torch.Tensor]) -> None:
        """Take the components from spectrograms given in parts [shape=(n, bins, frames) each]. Raises `UsageError` for
        fewer frames than components.
        """
        from sklearn.decomposition import IncrementalPCA

        count, bins = self.basis.shape
        pca = IncrementalPCA(count)
        waiting: list[torch.Tensor] = []
        for part in spectrograms:
            waiting.append(part.float().transpose(1, 2).reshape(-1, bins))
            if sum(len(one) for one in waiting) >= 4 * count:
                pca.partial_fit(torch.cat(waiting).numpy())
                waiting = []
        if not hasattr(pca, "components_"):
            if sum(len(one) for one in waiting) < count:
                raise UsageError(f"options.components = {count}: the training rows have fewer frames; ask for fewer.")
            pca.partial_fit(torch.cat(waiting).numpy())
        scale = max(float(pca.explained_variance_[0]) ** 0.5, 1e-12)
        self.mean.copy_(torch.from_numpy(pca.mean_).float())
        self.basis.copy_(torch.from_numpy(pca.components_ / scale).float())

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Project every frame."""
        result: torch.Tensor = self.basis @ (spectrum - self.mean[:, None])
        return result


class InverseSynth(nn.Module):
    """Sounds to knob positions in [0, 1]."""

    def __init__(self, shape: Shape, options: InverseSynthOptions) -> None:
        super().__init__()
        self.front = NormalisedSpectrogram(shape.samples, options)
        bins, frames = self.front.shape
        self.reduced = PrincipalComponents(bins, options.components) if options.components else None
        bins = options.components or bins
        convolutions: list[nn.Module] = []
        for channels in (1, 32, 32):
            convolutions += [nn.Conv2d(channels, 32, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        width = 32 * (bins // 8) * (frames // 8)
        if not width:
            raise UsageError(
                f"inverse_synth halves its {bins} x {frames} spectrogram three times: these sounds are too short; set options.window lower."
            )
        dense: list[nn.Module] = []
        for _ in range(options.layers):
            dense += [nn.Linear(width, options.neurons), nn.ReLU()]
            width = options.neurons
        self.dense = nn.Sequential(*dense, nn.Linear(width, shape.outputs))
        for module in self.modules():
            bound = 0.5 if isinstance(module, nn.Conv2d) else 0.1
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.uniform_(module.weight, -bound, bound)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n, bins, frames)], to [shape=(n,
        outputs)].
        """
        x = (audio if audio.dim() == 3 else self.front(audio)).float()
        if self.reduced is not None:
            x = self.reduced(x)
        return torch.sigmoid(self.dense(self.convolutions(x[:, None]).flatten(1)))

    def fit_front(self, spectrograms: Iterable[torch.Tensor]) -> None:
        """Take the principal components, where there are some, from training spectrograms, given in parts [shape=(n,
        bins, frames) each].
        """
        if self.reduced is not None:
            self.reduced.fit(spectrograms)


def _build(shape: Shape, options: InverseSynthOptions) -> nn.Module:
    return InverseSynth(shape, options)


PUBLISHED = Shape(0, 12, samples=44_100, rate=44_100)
MODEL = Model(
    summary="Inverse synthesiser as published: spectrogram, 3 convolutions of 5 x 5, 4 x 800, sigmoids. In the paper its outputs stay constant.",
    source="Assayag, inverse synthesis with a CNN",
    task="regression",
    input="audio",
    frontend=lambda shape, options: NormalisedSpectrogram(shape.samples, options),
    features=(),
    build=_build,
    options=InverseSynthOptions,
    batch_size=5,
    learning_rate=1.0,
    optimizer="adadelta",
    optimizer_options={"rho": 0.45, "weight_decay": 5e-4},
    max_epochs=40,
    patience=40,
    published={
        # the text gives "Flatten 1875" a map: 625 x 3, of 5001 x 30 halved three times
        "5001 bins": (PUBLISHED, 832 + 2 * 25_632 + (32 * 1875 + 1) * 800 + 3 * 801 * 800 + 801 * 12),
    },
)
