"""One sound on one core: features, the MLPs, and AutoFX in float32 and bfloat16 (median of 15 each)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks._common import report
from timbre_data.models.architectures import MODELS, Model, Shape
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sources import SOURCES


def milliseconds(function: Callable[[], object]) -> float:
    function()
    times = []
    for _ in range(15):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


def main() -> None:
    quiet_threads()
    source = SOURCES.load("plucked_string")
    sound = source.open(source.settings()).render(700, 22_050, 1, 33_075)
    unknown = np.full(1, np.nan, np.float32)
    found: dict[str, float] = {}
    for name in ("autofx163", "autofx48"):
        features = FEATURE_SETS.load(name)
        settings = features.settings()
        found[f"{name}_ms"] = milliseconds(lambda f=features, s=settings: f.compute(sound, 22_050, unknown, s))  # type: ignore[misc]  # mypy cannot infer defaults of a lambda
    probabilities = torch.full((1, 6), 1 / 6)
    with torch.inference_mode():
        for name, shape in (("class_mlp", Shape(163, 11)), ("regressor_mlp", Shape(211, 15, 6))):
            model: Model = MODELS.load(name)
            network = model.build(shape, model.options()).eval()
            given = (torch.zeros(1, shape.inputs), *((probabilities,) if shape.conditioning else ()))
            found[f"{name}_ms"] = milliseconds(lambda n=network, g=given: n(*g))  # type: ignore[misc]  # mypy cannot infer defaults of a lambda
        model = MODELS.load("autofx")
        audio, nothing = torch.from_numpy(sound), torch.zeros(1, 0)
        for spectrogram in ("power", "log_mel"):
            shape = Shape(0, 15, 6, samples=33_075, rate=22_050)
            network = model.build(shape, model.options(spectrogram=spectrogram)).eval()
            for precision in ("float32", "bfloat16"):
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                    found[f"autofx_{spectrogram}_{precision}_ms"] = milliseconds(
                        lambda n=network: n(nothing, probabilities, audio=audio)  # type: ignore[misc]  # mypy cannot infer defaults of a lambda
                    )
    report("inference", **found)


if __name__ == "__main__":
    main()
