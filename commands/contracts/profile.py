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
        return [name for name in vars(cls) if name.startswith("check_")]

    def check_says_what_it_is(self) -> None:
        """A description, a licence, and how to install a program that is started."""
        sentence(self.profile.description)
        assert self.profile.licence, "it states no licence of the synth"
        assert self.profile.install or not self.profile.command, "it does not say what to install"

    def check_parameters_are_described(self) -> None:
        """Each has a description."""
        for parameter in self.profile.parameters:
            assert parameter.description, f"{parameter.name} has no description"

    def check_plays_in_the_requested_format(self) -> None:
        """It plays; one that somebody has to start by hand at least sends a whole message for either end of a knob."""
        if self.profile.command:
            super().check_plays_in_the_requested_format()
            return
        lengths = {0xB0: 3, 0xC0: 2}
        for parameter in self.profile.parameters:
            made = parameter.parameter()
            ends = [parameter.messages(float(made.to_value(unit))) for unit in (0.0, 1.0)]
            assert ends[0] != ends[1], f"{parameter.name} sends the same at either end"
            for message in (*ends[0], *ends[1]):
                assert message[0] == 0xF0 or len(message) == lengths[message[0] & 0xF0], (
                    f"{parameter.name}: {message!r} is no whole message"
                )
                assert message[0] == 0xF0 or max(message[1:]) < 128, (
                    f"{parameter.name}: {message!r} has a value over 127"
                )

    def check_every_parameter_is_heard(self) -> None:
        """Turning a knob is heard; of one that somebody has to start by hand, its controllers are told apart."""
        if self.profile.command:
            super().check_every_parameter_is_heard()
            return
        sent = [
            parameter.messages(float(parameter.parameter().to_value(1.0)))[0][:2]
            for parameter in self.profile.parameters
        ]
        assert len(set(sent)) == len(sent), "two knobs send the same controller"


CONTRACT = ProfileContract
