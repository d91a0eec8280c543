"""Provenance of a dataset: versions and machine, stored with it, because sounds may differ in the last bit between
them.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
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


@cache
def code_fingerprint() -> str:
    """The first 12 digits of a SHA-256 over the source of everything that makes sounds and labels (`schemas/` and
    `pipeline/`).
    """
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted([*root.glob("schemas/**/*.py"), *root.glob("pipeline/**/*.py")]):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def provenance() -> dict[str, Any]:
    """Package versions, our code, Python, operating system, C library and processor."""
    return {
        "code": code_fingerprint(),
        "packages": {package: version for package in PACKAGES if (version := _version(package))},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "processor": _processor(),
    }


@cache
def fingerprint() -> dict[str, str]:
    """What decides about sounds and labels and must be the same on all machines of a build: code, packages, Python,
    system and C library.
    """
    made = provenance()
    return {
        "code": made["code"],
        **made["packages"],
        "python": made["python"],
        "platform": f"{platform.system()} {platform.machine()} {made['libc']}",
    }


def author() -> str:
    """Who makes a version: `$TIMBRE_DATA_AUTHOR`, else the name of the user's account; empty where there is none."""
    try:
        return os.environ.get("TIMBRE_DATA_AUTHOR") or getpass.getuser()
    except (OSError, KeyError):
        return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
