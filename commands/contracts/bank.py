"""The contract of banks: they say what they read, and refuse everything else in one line."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.catalogue.preset_format import PresetError, PresetFormat
from timbre_data.pipeline.synths.banks import BANKS

OTHERS = (b"", b"\0" * 4104, b"{}", b'{"settings": []}', b"amSynth", b"\xff\xfe" * 100, b"[" * 100_000)
"""What is no bank of any kind, or an empty one."""


class BankContract(Contract):
    """A format of presets."""

    @cached_property
    def kind(self) -> PresetFormat:
        """The member that the module exposes."""
        return BANKS.load(self.name)

    def check_says_what_it_is(self) -> None:
        """A summary, and suffixes in lower case."""
        sentence(self.kind.summary)
        assert self.kind.suffixes, "it has no suffixes"
        for suffix in self.kind.suffixes:
            assert suffix.startswith("."), f"{suffix} does not begin with a dot"
            assert suffix == suffix.lower(), f"{suffix} is not in lower case"

    def check_refuses_what_is_none(self) -> None:
        """`PresetError`, and nothing else, for other files and random bytes."""
        rng = np.random.default_rng(3)
        for content in (*OTHERS, *(rng.bytes(size) for size in (1, 100, 4096, 4104))):
            try:
                self.kind.read(content)
            except PresetError as error:
                said = str(error)
            else:
                said = ""
            assert said, f"it takes {content[:20]!r} for presets"
            assert "\n" not in said, "its error is more than a line"


CONTRACT = BankContract
