"""Use an exported model with torch and soundfile alone: python standalone.py MODEL.pt2 SOUND.wav."""

import json
import sys

import soundfile
import torch

extra = {"about.json": ""}
model = torch.export.load(sys.argv[1], extra_files=extra).module()
about = json.loads(extra["about.json"])
sound, rate = soundfile.read(sys.argv[2], dtype="float32", always_2d=True)
if rate != about["rate"]:
    sys.exit(f"{sys.argv[2]} has {rate} Hz: resample it to {about['rate']} Hz first")
audio = torch.zeros(1, about["samples"])
length = min(len(sound), about["samples"])
audio[0, :length] = torch.from_numpy(sound[:length].mean(axis=1))
with torch.inference_mode():
    results = dict(zip(about["outputs"], model(audio), strict=True))
for name, probability in zip(about["classes"], results.get("probabilities", [[]])[0], strict=True):
    print(f"{name:<32} {100 * float(probability):6.2f} %")
for parameter, value in zip(about["parameters"], results.get("parameters", [[]])[0], strict=True):
    print(f"{parameter['name']:<32} {float(value):8.4g} {parameter['unit']}")
