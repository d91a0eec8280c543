"""What made a dataset: versions and machine, stored with it, because sounds may differ in the last bit between them."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

PACKAGES = (
    "timbre-data",
    "pedalboard",
    "numpy",
    "scipy",
    "numba",
    "torch",
    "zarr",
    "icechunk",
    "soundfile",
    "soxr",
    "pyfluidsynth",
)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def provenance() -> dict[str, Any]:
    """Package versions, Python, operating system, C library and processor."""
    return {
        "packages": {package: version for package in PACKAGES if (version := _version(package))},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
