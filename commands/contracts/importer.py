"""The contract of importers: where the data comes from, a fixed list of recordings, and one label each.

How an importer meets missing, cut and unexpected files is tested on a tree of files in the real layout
(`tests/fixtures`).
"""

from __future__ import annotations

import re
from functools import cached_property

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.catalogue.importer import Importer, Inventory
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.importers import IMPORTERS


class ImporterContract(Contract):
    """An importer lists what a folder holds; give it the folder with --set path=FOLDER."""

    @cached_property
    def importer(self) -> Importer:
        """The member that the module exposes."""
        return IMPORTERS.load(self.name)

    @cached_property
    def inventory(self) -> Inventory:
        """The inventory of the folder."""
        return self.importer.scan(self.importer.settings.model_validate(self.settings))

    def check_says_where_the_data_comes_from(self) -> None:
        """A summary, a citation with a year, a licence, an address, and effects that exist."""
        sentence(self.importer.summary)
        assert self.importer.licence, "it states no licence"
        assert re.search(r"\b\d{4}\b", self.importer.citation), "the citation names no year"
        assert self.importer.url.startswith("https://"), "it states no https address"
        sums = self.importer.checksums.values()
        assert all(one.count(":") == 1 for one in sums), "checksums are written algorithm:digest"
        unknown = set(self.importer.steps) - set(EFFECTS.names())
        assert not unknown, f"steps that are no effects: {', '.join(sorted(unknown))}"

    def check_lists_recordings_with_distinct_identities(self) -> None:
        """Each recording once, with an origin that is there and a step that was declared."""
        if "path" not in self.settings:
            return
        recordings = self.inventory.recordings
        assert recordings, "it finds no recordings"
        pieces = [(one.identity, one.start_seconds) for one in recordings]
        assert len(set(pieces)) == len(pieces), "a recording is listed twice"
        assert all(0 <= one.origin < len(self.inventory.origins) for one in recordings), "an origin is not there"
        assert {one.step for one in recordings} <= set(self.importer.steps), "a step was not declared"

    def check_labels_have_one_form(self) -> None:
        """Extra labels have the same names and types in all recordings."""
        if "path" not in self.settings:
            return
        forms = {tuple((key, type(value)) for key, value in one.labels.items()) for one in self.inventory.recordings}
        assert len(forms) == 1, "recordings have labels of different names or types"


CONTRACT = ImporterContract
