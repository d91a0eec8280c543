"""Croissant 1.1 metadata of an export: what `mlcroissant` and dataset searches read.

Source: MLCommons, Croissant Format Specification, version 1.1.
"""

from __future__ import annotations

from typing import Any

from timbre_data.pipeline.catalogue.exporter import Exporter
from timbre_data.pipeline.store.exporters._records import columns
from timbre_data.pipeline.store.reader import Dataset

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of version 1.1, as its specification lists them."""
TYPES = {"integer": "sc:Integer", "number": "sc:Float", "text": "sc:Text"}


def metadata(data: Dataset, exporter: Exporter, description: str, bibtex: str) -> dict[str, Any]:
    """The content of `croissant.json`: files, and the labels of every row where a table holds them."""
    made = data.made()
    tables = [files for files in exporter.files if files.has_labels]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": data.recipe.name,
        "description": description,
        "license": data.recipe.licence or "not stated",
        "url": f"urn:sha256:{data.digest()}",
        "version": data.version,
        "datePublished": made.get("date") or "1970-01-01",
        "creator": {"@type": "sc:Person", "name": made.get("by") or "not stated"},
        "citeAs": bibtex,
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": files.name,
                "name": files.name,
                "encodingFormat": files.media_type,
                "includes": files.includes,
            }
            for files in exporter.files
        ],
        "recordSet": [_record_set(data, files.name) for files in tables],
    }


def _record_set(data: Dataset, file_set: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": "The labels of every row.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"rows/{column.name}",
                "name": column.name,
                "description": column.meaning,
                "dataType": TYPES[column.kind],
                "source": {"fileSet": {"@id": file_set}, "extract": {"column": column.name}},
            }
            for column in columns(data)
        ],
    }
