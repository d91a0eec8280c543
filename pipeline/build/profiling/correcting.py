"""Writing a profile with what a check found put right, and the comments of its author kept."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from timbre_data.pipeline.build.profiling.checking import Check
from timbre_data.pipeline.build.profiling.verdicts import MIDDLE, Verdict
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.profile import Profile, ProfileParameter

MESSAGE = ("cc", "nrpn", "program")


def corrected(text: str, check: Check) -> str:
    """The text of a profile, put right: inverted knobs run the other way, exchanged ones change their messages, dead
    ones are gone, masked ones say when they are heard, and what was measured is recorded. Raises `UsageError` if no
    knob would be left.
    """
    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    data = yaml.load(text)
    verdicts = {verdict.name: verdict for verdict in check.verdicts}
    own = {parameter.name: parameter for parameter in check.profile.parameters}
    messages = {name: {key: entry[key] for key in MESSAGE if key in entry} for name, entry in _entries(data).items()}
    for name, entry in _entries(data).items():
        verdict = verdicts.get(name)
        if verdict is None:
            continue
        _record(entry, verdict, check)
        if verdict.problem == "inverted":
            entry.update(_turned(own[name]))
        if verdict.problem == "exchanged":
            for key in MESSAGE:
                entry.pop(key, None)
            entry.update(messages[verdict.partner])
    alive = [
        entry for name, entry in _entries(data).items() if name not in verdicts or verdicts[name].problem != "dead"
    ]
    for position in reversed(range(len(data["parameters"]))):
        if data["parameters"][position] not in alive:
            del data["parameters"][position]
    if not data["parameters"]:
        raise UsageError(f"{check.profile.name}: all its knobs are dead, so there is no corrected profile to write.")
    for name, (_, seconds) in check.short_times.items():
        data[name] = seconds
    out = io.StringIO()
    yaml.dump(data, out)
    Profile.model_validate(YAML(typ="safe").load(out.getvalue()))
    return out.getvalue()


def _entries(data: Any) -> dict[str, CommentedMap]:
    return {str(entry["name"]): entry for entry in data["parameters"]}


def _record(entry: CommentedMap, verdict: Verdict, check: Check) -> None:
    """Write what was measured, as it is once the knob is put right."""
    response = dict(verdict.response)
    if verdict.problem == "inverted":
        response = {name: change if name.endswith(MIDDLE) else -change for name, change in response.items()}
    if verdict.problem == "exchanged":
        partner = next(one for one in check.verdicts if one.name == verdict.partner)
        response = dict(partner.response)
    entry.pop("response", None)
    mask = check.masks.get(verdict.name)
    if mask is not None and mask.condition is not None and "when" not in entry and verdict.problem != "exchanged":
        entry["when"] = _flow(mask.condition.model_dump(mode="json", exclude_defaults=True))
    if response:
        entry["response"] = _flow(response)


def _turned(parameter: ProfileParameter) -> dict[str, Any]:
    """The fields that make a knob run the other way."""
    if parameter.kind in ("choice", "switch"):
        count = 2 if parameter.kind == "switch" else len(parameter.positions)
        values = parameter.values or tuple(round(i * parameter.most / max(count - 1, 1)) for i in range(count))
        return {"values": _flow_list(values[::-1])}
    low, high = parameter.sent or (0, parameter.most)
    return {"sent": _flow_list((high, low))}


def _flow(data: dict[str, Any]) -> CommentedMap:
    entry = CommentedMap(data)
    entry.fa.set_flow_style()
    return entry


def _flow_list(values: Any) -> Any:
    entry = CommentedSeq(list(values))
    entry.fa.set_flow_style()
    return entry
