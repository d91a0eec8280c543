"""Fetching recordings: checked, resumed, nothing half there; by a stand-in for npm, since tests fetch nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NPM = """#!{python}
import pathlib, shutil, sys
here = pathlib.Path({shelf!r})
with open(here / "calls", "a") as calls:
    calls.write(sys.argv[2] + "\\n")
if (here / "offline").exists():
    sys.exit("npm: no network")
shutil.copy(here / (sys.argv[2].partition("@")[0] + ".tgz"), ".")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the script with two small packages, and a program npm that hands them out."""
    for folder in ("scripts", "datasets/sounds", "shelf", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "get-sounds", tmp_path / "scripts")
    packages = []
    for name in ("flute", "horn"):
        with tarfile.open(tmp_path / "shelf" / f"{name}.tgz", "w:gz") as tar:
            for member in ("package/A4.mp3", "package/../../B4.mp3", "package/index.js"):
                info = tarfile.TarInfo(member)
                info.size = 4
                tar.addfile(info, io.BytesIO(name[:4].encode()))
        digest = hashlib.sha256((tmp_path / "shelf" / f"{name}.tgz").read_bytes()).hexdigest()
        packages.append({"folder": name, "package": name, "version": "1.0.0", "bytes": 300, "sha256": digest})
    about = {
        "name": "few",
        "description": "Two notes.",
        "author": "Nobody",
        "licence": "CC0-1.0",
        "source": "https://x.org",
    }
    (tmp_path / "datasets/sounds/few.yaml").write_text(yaml.safe_dump(about | {"files": "*.mp3", "packages": packages}))
    npm = tmp_path / "bin" / "npm"
    npm.write_text(NPM.format(python=sys.executable, shelf=str(tmp_path / "shelf")).replace("\\\\n", "\\n"))
    npm.chmod(0o755)
    return tmp_path


def run(shop: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{shop / 'bin'}:{os.environ['PATH']}",
        "TIMBRE_DATA_SOUNDS": str(shop / "cache"),
    }
    command = [sys.executable, str(shop / "scripts" / "get-sounds"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_packages_are_fetched_once_and_only_sounds_are_kept(shop: Path) -> None:
    first = run(shop)
    assert first.returncode == 0, first.stderr
    assert "CC0-1.0" in first.stdout.splitlines()[0]
    assert sorted(path.name for path in (shop / "cache/few/flute").iterdir()) == ["A4.mp3", "B4.mp3", "SOURCE.json"]
    assert json.loads((shop / "cache/few/horn/SOURCE.json").read_text())["licence"] == "CC0-1.0"
    assert not (shop / "B4.mp3").exists()
    assert "2 of 2 packages" in run(shop).stdout
    assert (shop / "shelf/calls").read_text().count("flute") == 1


def test_it_goes_on_where_it_stopped_and_mends_what_was_changed(shop: Path) -> None:
    (shop / "shelf/horn.tgz").rename(shop / "away")
    stopped = run(shop)
    assert stopped.returncode == 1
    assert "Run the same command again" in stopped.stderr
    (shop / "away").rename(shop / "shelf/horn.tgz")
    (shop / "cache/few/flute/A4.mp3").write_bytes(b"x")
    assert run(shop).returncode == 0
    assert (shop / "cache/few/flute/A4.mp3").read_bytes() == b"flut"
    assert not list((shop / "cache/few").glob(".fetching*"))


def test_a_changed_package_is_refused(shop: Path) -> None:
    (shop / "shelf/flute.tgz").write_bytes((shop / "shelf/horn.tgz").read_bytes())
    refused = run(shop)
    assert refused.returncode == 1
    assert "has the SHA-256" in refused.stderr
    assert not (shop / "cache/few/flute").exists()


def test_a_dry_run_and_a_wrong_name(shop: Path) -> None:
    assert "0 of 2 packages" in run(shop, "--dry-run").stdout
    assert not (shop / "shelf/calls").exists()
    wrong = run(shop, "piano")
    assert (wrong.returncode, wrong.stderr) == (2, "there is no piano; there are few\n")


def test_wheels_and_debian_packages_are_unpacked_too(shop: Path) -> None:
    """By stand-ins for pip and apt-get; a Debian package is made by dpkg-deb itself."""
    with zipfile.ZipFile(shop / "shelf" / "bell-1.0.0.whl", "w") as wheel:
        wheel.writestr("bell/sounds/C4.mp3", b"bell")
    (shop / "tree/DEBIAN").mkdir(parents=True)
    (shop / "tree/DEBIAN/control").write_text(
        "Package: drum\nVersion: 1:1-1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    )
    (shop / "tree/usr/share").mkdir(parents=True)
    (shop / "tree/usr/share/D4.ogg").write_bytes(b"drum")
    subprocess.run(
        ["dpkg-deb", "-b", str(shop / "tree"), str(shop / "shelf/drum.deb")], check=True, capture_output=True
    )
    apt = shop / "bin" / "apt-get"
    apt.write_text(f"#!/bin/sh\ncp {shop}/shelf/drum.deb .\n")
    apt.chmod(0o755)
    python = shop / "bin" / "python"
    python.write_text(f"#!/bin/sh\ncp {shop}/shelf/*.whl .\n")
    python.chmod(0o755)
    script = shop / "scripts" / "get-sounds"
    script.write_text(script.read_text().replace("sys.executable", repr(str(python))))
    path = shop / "datasets/sounds/few.yaml"
    collection = yaml.safe_load(path.read_text())
    for name, by, archive, more in (
        ("bell", "pip", "bell-1.0.0.whl", {}),
        ("drum", "apt-get", "drum.deb", {"files": "*.ogg"}),
    ):
        digest = hashlib.sha256((shop / "shelf" / archive).read_bytes()).hexdigest()
        package = {"folder": name, "by": by, "package": name, "version": "1", "bytes": 4, "sha256": digest}
        collection["packages"].append(package | more)
    path.write_text(yaml.safe_dump(collection))
    done = run(shop)
    assert done.returncode == 0, done.stderr
    assert (shop / "cache/few/bell/C4.mp3").read_bytes() == b"bell"
    assert (shop / "cache/few/drum/D4.ogg").read_bytes() == b"drum"
    assert [path.name for path in (shop / "cache/few/drum").iterdir()] != []


@pytest.mark.parametrize("name", ["recorded", "salamander", "soundfonts"])
def test_shipped_lists_are_there_and_whole(name: str) -> None:
    path = ROOT / "datasets/sounds" / f"{name}.yaml"
    if (ROOT / ".git").exists():
        ignored = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=False)
        assert ignored.returncode == 1, "git ignores the list: nobody else has it"
    collection = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "author", "licence", "source", "files", "packages"} <= set(collection)
    assert collection["name"] == name
    assert len(collection["packages"]) >= (7 if name == "soundfonts" else 16)
    for package in collection["packages"]:
        assert len(package["sha256"]) == 64
        assert package["bytes"] > 0
