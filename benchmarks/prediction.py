"""Predicting 100 files in one call, processor time a sound once the run is loaded, features included; and a stream, as
a share of real time. The reference, in the same run, is reading and resampling the same files.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from benchmarks._common import report
from timbre_data import api
from timbre_data.models.inference.note_stream import PcmFormat, predictions
from timbre_data.models.inference.predictor import Predictor
from timbre_data.pipeline.store.reader import Dataset

FILES = 100
RUNS = {
    "class_mlp": ("class_mlp", ["autofx163_sound"]),
    "211": ("regressor_mlp", ["autofx163_sound", "autofx48"]),
    "autofx": ("autofx", []),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ |= {"TIMBRE_DATA_HOME": str(folder / "datasets"), "TIMBRE_DATA_RUNS": str(folder / "runs")}
        for effect in ("distortion", "delay"):
            api.render(fx=effect, overrides={"n": 256})
            api.featurize(effect, features=["autofx163_sound", "autofx48"])
        data = Dataset("distortion")
        rate = 44_100
        files = [folder / f"{row}.wav" for row in range(FILES)]
        notes = [soxr.resample(np.r_[np.zeros(2000), data.audio(row)[0]], 22_050, rate) for row in range(FILES)]
        for file, note in zip(files, notes, strict=True):
            soundfile.write(file, note, rate)
        begun = time.process_time()
        for file in files:
            soxr.resample(soundfile.read(file, dtype="float32")[0], rate, 22_050)
        reading = 1000 * (time.process_time() - begun) / FILES
        figures = {"reading and resampling: ms a sound": reading}
        for name, (model, features) in RUNS.items():
            chosen: Any = {"features": features} if features else {}
            predictor = Predictor(api.train(model, ["distortion", "delay"], max_epochs=1, limit=64, **chosen))
            list(predictor.predict_many(files[:3]))
            begun = time.process_time()
            list(predictor.predict_many(files))
            figures[f"{name}: ms a sound"] = 1000 * (time.process_time() - begun) / FILES
            stream = io.BytesIO((32767 * np.concatenate(notes[:40])).astype("<i2").tobytes())
            begun = time.process_time()
            found = len(list(predictions(predictor, stream, PcmFormat(rate))))
            seconds = sum(map(len, notes[:40])) / rate
            figures[f"{name}: stream, share of real time"] = (time.process_time() - begun) / seconds
            figures[f"{name}: stream, notes found of 40"] = found
        report("prediction", **figures)


if __name__ == "__main__":
    main()
