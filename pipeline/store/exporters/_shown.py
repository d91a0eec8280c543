"""What the cards of several formats show alike. Imports little: exporters are loaded for their summaries, too."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.exporter import FileSet, Snippet

CROISSANT_RECORDS = Snippet(
    "Croissant",
    """import mlcroissant

dataset = mlcroissant.Dataset(jsonld="croissant.json")
print(next(iter(dataset.records("rows"))))""",
)
PARQUET_FILES = (FileSet("shards", "data/*.parquet", "application/x-parquet", has_labels=True),)
PARQUET_SPLITS = "data/{split}-*.parquet"
PARQUET_SNIPPETS = (
    Snippet(
        "pandas and soundfile",
        """import glob
import io

import pandas as pd
import soundfile as sf

shard = sorted(glob.glob("data/train-*.parquet"))[0]
rows = pd.read_parquet(shard)
sound, rate = sf.read(io.BytesIO(rows["audio"][0]["bytes"]))""",
    ),
    Snippet(
        "pyarrow",
        """import pyarrow.dataset

table = pyarrow.dataset.dataset("data").to_table(columns=["row", "split", "effect_db"])""",
    ),
    Snippet(
        "PyTorch",
        """import glob
import io

import pandas as pd
import soundfile as sf
import torch

rows = pd.read_parquet(sorted(glob.glob("data/train-*.parquet")))
sounds = [torch.from_numpy(sf.read(io.BytesIO(one["bytes"]), dtype="float32")[0]) for one in rows["audio"][:16]]
batch = torch.stack(sounds)""",
    ),
    CROISSANT_RECORDS,
)
