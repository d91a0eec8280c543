"""The contract of synth profiles: readable, described, and the program plays what the profile says."""

from __future__ import annotations

from functools import cached_property

from timbre_data.commands.contracts._contract import sentence
from timbre_data.commands.contracts.synth import SynthContract
from timbre_data.pipeline.catalogue.synth import Synth
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.schemas.profile import Profile


class ProfileContract(SynthContract):
    """A profile describes an external synth, which is captured over JACK."""

    def __init__(self, name: str, settings: dict[str, object] | None = None) -> None:
        super().__init__(name, {"profile": name} | dict(settings or {}))

    @cached_property
    def kind(self) -> Synth:
        """The synth that captures external ones."""
        return SYNTHS.load("midi")

    @cached_property
    def profile(self) -> Profile:
        """The profile as read."""
        return read_profile(self.name)

    @classmethod
    def checks(cls) -> list[str]:
        """Those of a profile, then that it plays. How far its rows can be kept apart is measured for every dataset."""
        inherited_not = [name for name in vars(cls) if name.startswith("check_")]
        return [*inherited_not, "check_plays_in_the_requested_format", "check_every_parameter_is_heard"]

    def check_says_what_it_is(self) -> None:
        """A description, a licence, and how to install a program that is started."""
        sentence(self.profile.description)
        assert self.profile.licence, "it states no licence of the synth"
        assert self.profile.install or not self.profile.command, "it does not say what to install"

    def check_parameters_are_described(self) -> None:
        """Each has a description."""
        for parameter in self.profile.parameters:
            assert parameter.description, f"{parameter.name} has no description"


CONTRACT = ProfileContract
