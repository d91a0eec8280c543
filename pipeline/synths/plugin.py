"""Any VST3 (or, on macOS, Audio Unit) instrument, in a process of its own."""

from __future__ import annotations

import math
from typing import Any, Self

from pydantic import Field, model_validator

from timbre_data.pipeline.catalogue.synth import Instrument, Synth
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.trust import require_plugin
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.parameter import Distribution, Parameter, Uniform
from timbre_data.schemas.space import ParameterSpace


class PluginParameter(Frozen):
    """One parameter: our name for it, the plug-in's (`target`), and what it is; the plug-in gets numbers in [0, 1]."""

    name: str = Field(description="name in the dataset")
    target: str = Field("", description="name of the parameter in the plug-in")
    kind: str = Field("linear", description="scale of the values")
    positions: tuple[str, ...] = Field((), description="names of the positions of a choice")
    distribution: Distribution = Field(Uniform(), description="how values are drawn")
    description: str = Field("", description="what the parameter does")

    def parameter(self) -> Parameter:
        """As a parameter of the dataset."""
        fields: dict[str, Any] = {"positions": self.positions} if self.kind == "choice" else {}
        return Parameter(
            name=self.name, kind=self.kind, distribution=self.distribution, description=self.description, **fields
        )


class PluginSettings(Frozen):
    """A plug-in file and the parameters to draw, by name; `timbre-data synth inspect FILE` writes them. `fixed` are raw
    values in [0, 1].
    """

    path: str = Field(description="a .vst3 or .component; timbre-data synth inspect FILE writes settings for it")
    plugin_name: str = Field("", description="which one, where a file holds several")
    parameters: tuple[PluginParameter, ...] = Field(min_length=1, description="the parameters to draw")
    fixed: dict[str, float] = Field(
        default_factory=dict, description="raw values in [0, 1] of parameters that stay fixed"
    )

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        space_of(self)
        return self

    @model_validator(mode="before")
    @classmethod
    def _of_inspect(cls, data: Any) -> Any:
        if isinstance(data, dict):  # what `synth inspect` writes besides
            return {key: value for key, value in data.items() if key not in ("unusable", "instrument")}
        return data


def unit_values(space: ParameterSpace, patch: Any) -> dict[str, float]:
    """A patch as the raw values in [0, 1] that a plug-in takes."""
    return {name: float(space[name].to_unit(value)) for name, value in patch.items()}


def sent(patch: Any) -> dict[str, float]:
    """What of a patch is sent: not what a row's preset has off (NaN)."""
    return {name: value for name, value in patch.items() if not math.isnan(value)}


class _Plugin(Hosted):
    def __init__(self, settings: PluginSettings, rate: int, channels: int, isolation: str) -> None:
        names = {parameter.name: parameter.target or parameter.name for parameter in settings.parameters}
        arguments = (settings.path, settings.plugin_name, rate, channels, names, settings.fixed)
        factory = ("timbre_data.pipeline.synths.hosting.vst3", "HostedPlugin")
        super().__init__(f"plugin {settings.path}", factory, arguments, isolation, rate, slowest=4.0)
        self._space = space_of(settings)

    def play(self, performances: Any, values: Any, samples: int) -> Any:
        return super().play(performances, [unit_values(self._space, patch) for patch in values], samples)


def space_of(settings: PluginSettings) -> ParameterSpace:
    """The parameters that are drawn."""
    return ParameterSpace(parameters=tuple(parameter.parameter() for parameter in settings.parameters))


def _open(settings: PluginSettings, rate: int, channels: int, isolation: str) -> Instrument:
    require_plugin(settings.path)
    return _Plugin(settings, rate, channels, isolation)


SYNTH = Synth(
    summary="VST3 and Audio Unit instruments, by pedalboard; parameters by name (see timbre-data synth inspect).",
    settings=PluginSettings,
    space=space_of,
    open=_open,
    isolations=("reuse", "settle", "fork", "fresh", "process"),
    batch=64,
)
