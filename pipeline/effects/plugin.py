"""Any VST3 (or, on macOS, Audio Unit) effect, in a process of its own; `timbre-data synth inspect FILE` drafts its
settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.synths.hosting.client import Hosted
from timbre_data.pipeline.synths.hosting.open_synths import opened
from timbre_data.pipeline.synths.hosting.trust import require_plugin
from timbre_data.pipeline.synths.plugin import PluginSettings, space_of, unit_values
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.space import ParameterSpace


def _unconfigured(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    raise UsageError(
        "effect plugin: say which with settings: {path: FILE.vst3, parameters: [...]}; timbre-data synth inspect FILE drafts them."
    )


def _configure(settings: Any) -> Effect:
    """The effect of one plug-in file: every worker thread has it in a process of its own, and its delay lines are
    emptied before each sound.
    """
    assert isinstance(settings, PluginSettings)
    space = space_of(settings)
    names = {parameter.name: parameter.target or parameter.name for parameter in settings.parameters}

    def render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
        require_plugin(settings.path)
        arguments = (settings.path, settings.plugin_name, rate, names, settings.fixed)
        factory = ("timbre_data.pipeline.synths.hosting.vst3", "HostedEffect")
        host = opened(
            f"effect {settings.model_dump_json()} {rate}",
            lambda: Hosted(f"plugin {settings.path}", factory, arguments, "reuse", rate, 4.0),
        )
        assert isinstance(host, Hosted)
        sounds = host.process(np.ascontiguousarray(audio, np.float32), unit_values(space, values))
        return sounds.astype(np.float32, copy=False)

    return Effect(summary=EFFECT.summary, family="other", space=space, render=render)


EFFECT = Effect(
    summary="VST3 and Audio Unit effects, by pedalboard; parameters by name (see timbre-data synth inspect).",
    family="other",
    space=ParameterSpace.of(),
    render=_unconfigured,
    settings=PluginSettings,
    configure=_configure,
)
