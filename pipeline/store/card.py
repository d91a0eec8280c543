"""The card of a dataset: what it is, how it was made, what its arrays hold, how to open and to cite it.

The front matter is that of Hugging Face's dataset cards.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
import zarr

from timbre_data.pipeline.catalogue.exporter import Exporter, Snippet
from timbre_data.pipeline.store.citation import bibtex
from timbre_data.pipeline.store.columns import MEANINGS, SPLITS
from timbre_data.pipeline.store.description import dimension_names
from timbre_data.pipeline.store.origins import ORIGINS, origin_rows
from timbre_data.pipeline.store.privacy import without_private_paths
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.space import ParameterSpace

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
"""Hugging Face's classes of size."""


def description(data: Dataset) -> str:
    """What a dataset is, in a sentence."""
    return data.recipe.description or "Sounds with known parameters, made with timbre-data."


def card(data: Dataset, form: str = "", exporter: Exporter | None = None) -> str:
    """The card of a dataset, or of its export in a format, as Markdown."""
    recipe = data.recipe
    made = data.made()
    split_rule = (
        "splits go by row, each with a patch of its own"
        if recipe.chain.synth
        else "splits go by dry sound: none is in two of them"
    )
    isolation = data.meta.get("isolation")
    there = set(data.read("split")[data.usable()].tolist())
    splits = [split for number, split in enumerate(SPLITS) if number in there]
    lines = [
        *(["---", *_front_matter(data, exporter, splits), "---", ""] if exporter else []),
        f"# {recipe.name} {data.version}",
        "",
        description(data),
        "",
        f"- {data.n} sounds of {recipe.audio.seconds:g} s, {recipe.audio.rate} Hz, {recipe.audio.channels} channel(s)"
        + (f"; format: {form}" if form else ""),
        f"- licence: {recipe.licence or 'not stated, ask whoever made the dataset'}",
        *([f"- source to cite: {recipe.citation}"] if recipe.citation else []),
        f"- made{' by ' + made['by'] if made.get('by') else ''}{' on ' + made['date'] if made.get('date') else ''}, snapshot {data.snapshot}, seed {recipe.seed}",
        f"- SHA-256 of the content, the same for every copy: `{data.digest() or 'unfinished'}`",
        f"- source of dry sound: {recipe.source.name} (synthetic unless it plays recordings)",
        *(
            f"- {origin['rows']} rows come from {origin['name']} {origin['version']}, SHA-256 of its content `{origin['digest']}`"
            for origin in (origin_rows(data) if data.meta.get(ORIGINS) else ())
        ),
        f"- {split_rule}" + (f"; isolation of rows: {isolation}" if isolation else ""),
        "- `gain` is what the stored sound was multiplied with; `effect_db` is how much the effect changed (below -60 dB nobody hears it)",
        "",
        "## Parameters",
        "",
        *_parameters(data.space),
        "",
        "## Arrays",
        "",
        *_arrays(data),
        "",
        "## Opening it",
        "",
        *(line for snippet in (exporter.snippets if exporter else opening(data)) for line in _snippet(snippet, splits)),
        "## Citing it",
        "",
        "```bibtex",
        bibtex(data),
        "```",
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(without_private_paths(recipe.model_dump(mode="json")), indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)


def opening(data: Dataset) -> tuple[Snippet, ...]:
    """How a dataset in its versioned store is opened with five tools."""
    version = f"@v{data.version}" if data.meta.get("version") else ""
    start = f'from timbre_data.api import Dataset\n\ndata = Dataset("{data.name}{version}")\n'
    return (
        Snippet("timbre-data", start + 'sounds = data.audio(slice(0, 16))\nparams = data.read("params", slice(0, 16))'),
        Snippet(
            "PyTorch",
            f"import torch\n{start}rows = data.torch(split=\"train\", fields=[\"audio\", \"params\"])\nsounds, params = next(iter(torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)))",
        ),
        Snippet(
            "xarray",
            f"import xarray as xr\n{start}rows = xr.open_zarr(data.store, chunks=None)\neverything = xr.open_datatree(data.store, engine=\"zarr\", chunks=None)",
        ),
        Snippet("zarr", f"import zarr\n{start}group = zarr.open_group(data.store, mode=\"r\")\nsounds = group[\"audio\"][:16]"),
        Snippet("dask", f"import dask.array as da\n{start}sounds = da.from_array(data.array(\"audio\"), chunks=(64, -1, -1))[:16].compute()"),
    )  # fmt: skip


def _snippet(snippet: Snippet, splits: list[str]) -> list[str]:
    """A snippet, of a split that has rows: by default of the training one."""
    code = snippet.code if "train" in splits or not splits else re.sub(r"\btrain\b", splits[0], snippet.code)
    return [f"With {snippet.tool}:", "", "```python", code, "```", ""]


def _front_matter(data: Dataset, exporter: Exporter, splits: list[str]) -> list[str]:
    licence = data.recipe.licence
    fields: dict[str, Any] = {
        "pretty_name": f"{data.recipe.name} {data.version}",
        "license": licence.lower() if licence.upper().startswith(("CC", "GPL", "MIT", "APACHE")) else "other",
        "task_categories": ["audio-classification"],
        "tags": ["audio", "music", "timbre", "croissant"],
        "size_categories": [next((name for most, name in SIZES if data.n < most), "n>10M")],
        **exporter.front_matter,
    }
    if exporter.splits:
        patterns = [{"split": split, "path": exporter.splits.format(split=split)} for split in splits]
        fields["configs"] = [{"config_name": "default", "data_files": patterns}]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True).rstrip().splitlines()


def _parameters(space: ParameterSpace) -> list[str]:
    return [
        "| parameter | range | unit | scale |",
        "|---|---|---|---|",
        *(f"| {p.name} | {p.bounds[0]:g} to {p.bounds[1]:g} | {p.unit} | {p.kind} |" for p in space),
    ]


def _arrays(data: Dataset) -> list[str]:
    lines = ["| array | shape | type | meaning |", "|---|---|---|---|"]
    for path, node in sorted(data.root.members(max_depth=None)):
        if not isinstance(node, zarr.Array) or path.partition("/")[2] in data.left_out:
            continue
        axes = dimension_names(node) or ("",) * node.ndim
        shape = " x ".join(f"{size} {axis}".strip() for size, axis in zip(node.shape, axes, strict=True))
        kind = "text" if node.dtype.kind in "OTU" else str(node.dtype)
        lines.append(f"| {path} | {shape} | {kind} | {MEANINGS.get(path) or _of_features(path, node)} |")
    return lines


def _of_features(path: str, node: zarr.Array[Any]) -> str:
    group, _, name = path.partition("/")
    if group == "integrity":
        return f"hash of each row of {name}; 0 means not there"
    unit = node.attrs.get("unit")
    return f"{name}{f' in {unit}' if unit else ''}" + (
        "; its columns are in the attribute names" if "names" in node.attrs else ""
    )
