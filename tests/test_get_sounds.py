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
shutil.copy(here / (sys.argv[2].partition("@")[0] + ".tgz"), sys.argv[sys.argv.index("--pack-destination") + 1])
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


@pytest.mark.parametrize("name", ["recorded", "salamander"])
def test_shipped_lists_are_there_and_whole(name: str) -> None:
    path = ROOT / "datasets/sounds" / f"{name}.yaml"
    if (ROOT / ".git").exists():
        ignored = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=False)
        assert ignored.returncode == 1, "git ignores the list: nobody else has it"
    collection = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "author", "licence", "source", "files", "packages"} <= set(collection)
    assert collection["name"] == name
    assert len(collection["packages"]) >= 16
    for package in collection["packages"]:
        assert len(package["sha256"]) == 64
        assert package["bytes"] > 0
