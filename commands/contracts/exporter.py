"""The contract of exporters: every usable row once, nothing outside the folder, and a card that says how to open it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.exporter import Exporter
from timbre_data.pipeline.store.exporters import EXPORTERS
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset


class ExporterContract(Contract):
    """An exporter writes a dataset into a new folder."""

    def __init__(self, name: str, settings: dict[str, object] | None = None) -> None:
        super().__init__(name, settings)
        self._folder = tempfile.TemporaryDirectory()

    def close(self) -> None:
        """Remove what was written."""
        self._folder.cleanup()

    @cached_property
    def exporter(self) -> Exporter:
        """The member that the module exposes."""
        return EXPORTERS.load(self.name)

    @cached_property
    def data(self) -> Dataset:
        """A small dataset."""
        location = locate(str(Path(self._folder.name) / "small"))
        recipe = recipes.load({"name": "small", "chain": ["delay"], "n": 70, "audio": {"seconds": 0.1, "rate": 16000}})
        rendering.render(recipe, location, Cluster(workers=1))
        return Dataset(location.address)

    def check_says_what_it_is(self) -> None:
        """A summary."""
        sentence(self.exporter.summary)

    def check_writes_every_row_and_can_be_read_back(self) -> None:
        """`count_rows` finds as many rows as the dataset has."""
        folder = Path(self._folder.name) / "out"
        files = export(self.data, folder, self.name)
        assert (folder / "README.md").is_file(), "there is no card"
        assert (folder / "SHA256SUMS").read_text().count("\n") == files, "not every file has a checksum"
        rows = self.exporter.count_rows(folder)
        assert rows == self.data.n, f"{self.data.n} rows were exported, {rows} are read back"

    def check_snippets_run(self) -> None:
        """What the card says of tools works in the export's folder."""
        folder = Path(self._folder.name) / "shown"
        export(self.data, folder, self.name)
        environment = os.environ | {"HF_HOME": str(Path(self._folder.name) / "hf"), "HF_DATASETS_OFFLINE": "1"}
        for snippet in self.exporter.snippets:
            words = [sys.executable, "-c", snippet.code]
            done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
            if "torchcodec" in done.stderr and importlib.util.find_spec("torchcodec") is None:
                continue  # which `datasets` asks for, and which not every build of torch has
            assert done.returncode == 0, f"{snippet.tool}: {done.stderr[-500:]}"
            assert snippet.code in (folder / "README.md").read_text(encoding="utf-8")

    def check_writes_the_same_bytes_twice(self) -> None:
        """An export depends on the dataset alone."""
        sums = []
        for name in ("first", "second"):
            export(self.data, Path(self._folder.name) / name, self.name)
            sums.append((Path(self._folder.name) / name / "SHA256SUMS").read_text())
        assert sums[0] == sums[1], "two exports of one dataset differ"


CONTRACT = ExporterContract
