"""How a dataset is cited: BibTeX and `CITATION.cff` (Citation File Format 1.2.0)."""

from __future__ import annotations

import re
from typing import Any

import yaml

from timbre_data.pipeline.store.reader import Dataset


def bibtex(data: Dataset) -> str:
    """A BibTeX entry with the digest of the content, by which every copy can be checked."""
    made = data.made()
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"{data.recipe.name}-{data.version}").strip("-")
    fields = {
        "title": f"{{{data.recipe.name}}}: a dataset made with timbre-data",
        "author": made.get("by", ""),
        "year": made.get("date", "")[:4],
        "version": data.version,
        "note": f"SHA-256 of the content: {data.digest()}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def citation_file(data: Dataset, description: str) -> str:
    """The content of `CITATION.cff`."""
    made = data.made()
    fields: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it as below.",
        "type": "dataset",
        "title": data.recipe.name,
        "authors": [{"name": made.get("by") or "not stated"}],
        "version": data.version,
        "abstract": description,
        "identifiers": [{"type": "other", "value": f"sha256:{data.digest()}", "description": "digest of the content"}],
    }
    if made.get("date"):
        fields["date-released"] = made["date"]
    if re.fullmatch(r"[A-Za-z0-9.+-]+", data.recipe.licence or ""):
        fields["license"] = data.recipe.licence
    if data.recipe.citation:
        fields["references"] = [
            {"type": "generic", "title": data.recipe.citation, "authors": [{"name": "see the title"}]}
        ]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
