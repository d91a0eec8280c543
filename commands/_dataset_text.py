"""What the commands on datasets say, in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbre_data.pipeline.store.comparing import Difference
    from timbre_data.pipeline.store.verify import Verdict

LONG, FIRST = 40, 6
"""Lists of more are shown by so many of their first."""


def difference_lines(difference: Difference) -> list[str]:
    """How two datasets differ."""
    from timbre_data.pipeline.store.verify import ranges

    lines = [f"{difference.first} -> {difference.second}"]
    for title, changes in (("recipe", difference.recipe), ("made with", difference.provenance)):
        lines += [f"{title}: {key}: {before} -> {after}" for key, (before, after) in changes.items()]
    for name, about in difference.parameters.items():
        if "only_in" in about:
            lines.append(f"parameter {name}: only in {about['only_in']}")
            continue
        lines += [f"parameter {name}: {key}: {a} -> {b}" for key, (a, b) in about.get("described", {}).items()]
        if about["distance"]:
            lines.append(
                f"parameter {name}: values lie {about['distance']:.3f} of the range apart (Wasserstein distance)"
            )
    before, after = difference.rows
    change = "" if before == after else f" ({abs(after - before)} {'added' if after > before else 'fewer'})"
    lines.append(f"rows: {before} -> {after}{change}, {difference.equal_rows} equal")
    if any(difference.missing):
        lines.append(f"rows that are missing: {difference.missing[0]} -> {difference.missing[1]}")
    if difference.other_labels:
        lines.append(f"other labels: {len(difference.other_labels)} rows: {ranges(difference.other_labels)}")
    if difference.other_sounds:
        level = "" if difference.sounds_db is None else f", by up to {difference.sounds_db:.1f} dB"
        lines.append(f"other sounds: {len(difference.other_sounds)} rows{level}: {ranges(difference.other_sounds)}")
    lines += [f"features {name}: {about}" for name, about in difference.features.items()]
    return [*lines, "the same content" if difference.same else "DIFFERENT"]


def log_lines(entries: list[dict[str, Any]]) -> list[str]:
    """The commits of a dataset, one a line."""
    return [
        f"{e['snapshot']}  {e['time']}  {e['message']}{'  (' + ', '.join(e['tags']) + ')' if e['tags'] else ''}"
        for e in entries
    ]


def shortened(node: Any) -> Any:
    """Data with the first few things of every long list: a synth has hundreds of presets."""
    if isinstance(node, dict):
        return {key: shortened(value) for key, value in node.items()}
    if not isinstance(node, list | tuple):
        return node
    if len(node) <= LONG:
        return [shortened(one) for one in node]
    return [*map(shortened, node[:FIRST]), f"... {len(node)} in all, see --json"]


def listed_text(row: dict[str, Any]) -> str:
    """A dataset as one line of a list."""
    if row["damage"]:
        return f"{row['name']:<24} DAMAGED: {row['damage']}"
    made = " ".join(part for part in (row["by"], row["date"]) if part)
    features = ", ".join(row["features"]) or "no features"
    first = (
        f"{row['name']:<24} {row['version']:<12} {_rows_text(row):>8} rows {row['bytes'] / 1e6:>9.1f} MB  {features}"
    )
    return "  ".join(part for part in (first, made, row["description"]) if part)


def _rows_text(row: dict[str, Any]) -> str:
    if row["present"] == row["rows"]:
        return str(row["rows"])
    return f"{'?' if row['present'] is None else row['present']} of {row['rows']}"


def remedy(verdict: Verdict) -> str:
    """What to do about missing and damaged parts."""
    remedies = []
    if verdict.missing:
        remedies.append("repeat the render, import or featurize command to restore missing rows")
    sets = [what for what in verdict.damaged if what not in ("rows", "dry", "origin")]
    if len(sets) < len(verdict.damaged):
        remedies.append("replace damaged rows from a copy or a new render")
    if sets:
        remedies.append(f"export the dataset, or render it again, and featurize it anew for {', '.join(sets)}")
    if verdict.history:
        remedies.append("restore lost versions from a copy; the newest one is not affected by them")
    return "; ".join(remedies)


def comparison_text(comparison: dict[str, Any]) -> str:
    """How rows that were rendered again compare with the stored ones."""
    text = f"{comparison['equal']} of {comparison['rendered']} re-rendered rows are bit-equal"
    if comparison["equal"] == comparison["rendered"]:
        return text
    differ = f"largest difference {comparison['largest_db']:.1f} dB"
    within = "within the noise floor of its synth"
    if comparison["spectral_floor_db"] is not None:
        differ = f"their {comparison['compared_by']} differ by {comparison['spectral_db']:.1f} dB"
        within = f"as those of two renders do ({comparison['spectral_floor_db']:.1f} dB)"
    reason = (
        within
        if comparison["same"]
        else "NOT THE SAME: rendered on another machine or by another version, or the synth carries state between rows"
    )
    return f"{text}; {differ}, {reason}"
