"""Cards of results say what their results say: no digit was typed, nothing stands beside what it does not belong to."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "datasets" / "cards"


def loaded() -> Any:
    """The script, as a module."""
    loader = SourceFileLoader("cards_script", str(ROOT / "scripts" / "cards"))
    spec = importlib.util.spec_from_loader("cards_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


SCRIPT = loaded()
KNOWN = SCRIPT.cards()
card_pages = importlib.import_module("card_pages")
fine_tuning = importlib.import_module("card_pages.fine_tuning")
sentences = importlib.import_module("card_pages.sentences")
KEPT = sorted(path.stem for path in (CARDS / "results").glob("*.json"))
MADE = [name for name in KEPT if "recovered" not in json.loads((CARDS / "results" / f"{name}.json").read_text())]


def checked(name: str, page: Path, kept: Path | None = None) -> list[str]:
    problems: list[str] = SCRIPT.checked(name, KNOWN[name], kept or CARDS / "results" / f"{name}.json", page)
    return problems


def test_every_page_has_a_card_and_results() -> None:
    pages = {path.stem for path in CARDS.glob("*.md") if not path.stem.endswith("-notes")}
    assert pages == set(KNOWN) == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_a_card_is_what_its_results_say(name: str) -> None:
    assert checked(name, CARDS / f"{name}.md") == []


@pytest.mark.slow  # plans every pipeline recipe
def test_the_check_of_all_cards_finds_nothing() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "cards"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", KEPT)
def test_a_changed_digit_of_a_table_is_found(name: str, tmp_path: Path) -> None:
    page = tmp_path / f"{name}.md"
    lines = (CARDS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    number, line = next((k, one) for k, one in enumerate(lines) if one.startswith("|") and re.search(r"\d\.\d", one))
    lines[number] = re.sub(r"(\d\.)(\d)", lambda match: f"{match[1]}{(int(match[2]) + 1) % 10}", line, count=1)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert f"{name}.md: line {number + 1} is not what its results say" in checked(name, page)


@pytest.mark.parametrize("name", KEPT)
def test_a_changed_digit_of_a_sentence_is_found(name: str, tmp_path: Path) -> None:
    lines = (CARDS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") or not (found := re.search(r"\d", line)):
            continue
        digit = str((int(found[0]) + 1) % 10)
        page = tmp_path / f"{name}.md"
        page.write_text("\n".join([*lines[:number], line.replace(found[0], digit), *lines[number + 1 :], ""]))
        assert f"{name}.md: line {number + 1} is not what its results say" in checked(name, page)
        break  # the page is written anew from its results, so each line is like another


@pytest.mark.parametrize("name", KEPT)
def test_a_typed_figure_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In sentences by hand a figure is a reference to a result; where there are none any more, one of the tables'."""
    for path in CARDS.glob("*-notes.md"):
        shutil.copy(path, tmp_path)
    notes = tmp_path / f"{name}-notes.md"
    before = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    monkeypatch.setattr(sys.modules["card_pages"], "CARDS", tmp_path)
    notes.write_text(before + "\nIt is right in 123.457 % of them.\n", encoding="utf-8")
    line = len(before.splitlines()) + 2
    said = "is typed: write {RUN: KEY/KEY, FORMAT}" if name in MADE else "is in no result of this card"
    assert f"{name}-notes.md: line {line}: 123.457 {said}" in checked(name, CARDS / f"{name}.md")
    if name in MADE:
        notes.write_text(before + "\nIt is right in {no-such-run: accuracy, .1%} of them.\n", encoding="utf-8")
        missing = f"{name}.md: {name}-notes.md: nothing is kept at 'no-such-run: accuracy'"
        assert missing in checked(name, CARDS / f"{name}.md")


def test_figures_of_sentences_are_those_of_results() -> None:
    evaluation = {"accuracy": 0.72441, "each": [{"drop": 2.5}]}
    training = {"losses": [[0.9, 0.8], [0.5, 0.31], [0.1, 0.4]]}
    run = {"evaluations": {"evaluation": evaluation}, "training": training, "settings": {"seed": 3}}
    said = "{a-b: accuracy, .1%}, {a-b: each/0/drop, .2f}, {a-b: training/best/train, g}, {a-b: settings/seed, d}"
    assert sentences.filled(said, {"a-b": run}) == "72.4 %, 2.50, 0.5, 3"
    assert sentences.typed(said + " and `--set x=0.5` in Table 4.3 with 5 epochs") == []
    for missing in ("{a: accuracy, g}", "{a-b: accurac, g}", "{a-b: each, g}", "{a-b: each/1/drop, g}"):
        with pytest.raises(KeyError):
            sentences.filled(missing, {"a-b": run})


def changed(name: str, folder: Path, change: Any) -> Path:
    """The results of a card, changed."""
    kept = json.loads((CARDS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    change(kept)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def test_a_run_without_a_command_is_found(tmp_path: Path) -> None:
    def add(kept: Any) -> None:
        kept["runs"]["by-hand"] = next(iter(kept["runs"].values()))

    found = checked("known-dry", CARDS / "known-dry.md", changed("known-dry", tmp_path, add))
    assert "known-dry.md: run by-hand is made by no recipe of the card (known-dry)" in found


def test_settings_that_the_recipe_does_not_have_are_found(tmp_path: Path) -> None:
    def alter(kept: Any) -> None:
        next(iter(kept["runs"].values()))["settings"]["max_epochs"] = 400

    found = checked("known-dry", CARDS / "known-dry.md", changed("known-dry", tmp_path, alter))
    assert "known-dry.md: run known-dry-network had max_epochs = 400, the recipe has 4" in found


@pytest.mark.parametrize("name", KEPT)
def test_results_name_no_place_on_a_machine(name: str) -> None:
    """Datasets and runs by name: where they lay when a card was collected is nobody's business."""
    text = (CARDS / "results" / f"{name}.json").read_text(encoding="utf-8")
    assert not re.findall(r'"(?:/|~|[A-Za-z]:\\\\)[^"]*"', text)


def test_a_misplaced_published_figure_is_found(tmp_path: Path) -> None:
    """The run beside which the report's 211C stands is made another network, and then one of no paper."""
    for features, said in ((None, "this is 163NC"), ("none", "this is none that a paper has")):

        def swap(kept: Any, features: str | None = features) -> None:
            about = kept["runs"]["autofx-211C-row"]["evaluations"]["evaluation"]["about"]
            about.update(network="163NC") if features is None else about.pop("network")

        found = checked("autofx", CARDS / "autofx.md", changed("autofx", tmp_path, swap))
        told = "autofx.md: run autofx-211C-row is said to be 163NC; by its settings it is 211C"
        assert found == [
            *([told] if features is None else []),
            f"autofx.md: run autofx-211C-row: D'Hooghe 2022, Table C.2, 211C is of network 211C, {said}",
        ]


def test_a_run_that_is_not_the_network_that_it_is_said_to_be_is_found(tmp_path: Path) -> None:
    """As after an evaluation by an earlier version, which knew nothing of an option."""
    none = "none that a paper has"
    for card, run, settings, network, named in (
        ("tags", "tag-shapes-proposed-0", {"options": {"dropout": 0}}, "mtt_proposed", none),
        ("autofx", "autofx-211C-row", {"features": ["autofx163"]}, "211C", "163C"),
        ("autofx", "autofx-163NC-row", {"options": {"first_activation": True}}, "163NC", none),
    ):

        def alter(kept: Any, run: str = run, settings: dict[str, Any] = settings) -> None:
            kept["runs"][run]["settings"].update(settings)

        found = checked(card, CARDS / f"{card}.md", changed(card, tmp_path, alter))
        assert f"{card}.md: run {run} is said to be {network}; by its settings it is {named}" in found


def test_a_run_with_another_classifier_than_its_recipe_has_is_found(tmp_path: Path) -> None:
    def alter(kept: Any) -> None:
        kept["runs"]["autofx-163C-row"]["settings"]["conditioning"] = "autofx-class"

    found = checked("autofx", CARDS / "autofx.md", changed("autofx", tmp_path, alter))
    assert found == ["autofx.md: run autofx-163C-row had conditioning = autofx-class, the recipe has autofx-class-row"]


def test_a_study_that_no_stage_of_its_recipe_makes_is_found(tmp_path: Path) -> None:
    """Fine-tuning in fewer steps than the recipe has, and of a run that it never tunes."""

    def alter(kept: Any) -> None:
        studies = kept["studies"]
        studies["fine-tuning-features/spectral-delay-soundfont"]["asked"]["steps"] = 8
        studies["fine-tuning-class/spectral-delay-soundfont"] = studies["fine-tuning-cnn/spectral-distortion-soundfont"]

    found = checked("fine-tuning", CARDS / "fine-tuning.md", changed("fine-tuning", tmp_path, alter))
    study = "fine-tuning.md: study fine-tuning"
    assert f"{study}-features/spectral-delay-soundfont had steps = 8, the recipe has 80" in found
    assert f"{study}-class/spectral-delay-soundfont is made by no recipe of the card (fine-tuning)" in found


def test_the_change_over_seeds_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    before, after = 2 + rng.random(5), 1 + rng.random(5)
    stages = [
        {
            "supervised": {"out of domain": {"distance": one, "strength": 3.0}},
            "tuned": {"out of domain": {"distance": other, "strength": 1.5}},
        }
        for one, other in zip(before, after, strict=True)
    ]
    studies = [{"stages": one, "target_strength": {"out of domain": 2.0}} for one in stages]
    lines = fine_tuning.over_seeds("delay-soundfont", studies).splitlines()
    low, high = ttest_rel(after, before).confidence_interval(0.95)
    assert f"{(after - before).mean():+.2f} [{low:+.2f}, {high:+.2f}]" in lines[-1]
    assert "75 % ± 0" in lines[-1]
    assert "| -" in lines[-2]
    assert "150 % ± 0" in lines[-2]


def test_a_recipe_that_does_not_pass_its_dry_run_is_found(home: Path) -> None:
    assert SCRIPT.dry_run("autofx-small") is None
    assert "no-such-recipe" in SCRIPT.dry_run("no-such-recipe")


def test_runs_that_are_not_at_hand_stay_kept_on_the_same_machine() -> None:
    machine, other = {"cores": 2}, {"cores": 64}
    before = {"machine": machine, "runs": {"a": 1, "gone": 2, "b": 3}, "studies": {"a/x": 4}, "recovered": 5}
    now = {"machine": machine, "runs": {"b": 6}, "comparisons": {"c": 7}, "studies": {}, "texts": {}}
    kept = card_pages.together(before, now, ["a", "b"])
    assert kept == now | {"runs": {"a": 1, "b": 6}, "studies": {"a/x": 4}}
    assert list(kept["runs"]) == ["a", "b"]
    assert card_pages.together(before | {"machine": other}, now, ["a", "b"]) == now
    assert card_pages.together({}, now, ["a", "b"]) == now


def test_results_are_collected_from_runs_and_written_again(tmp_path: Path) -> None:
    """From a folder of runs as they are left by the recipe, with what the known card keeps of them."""
    kept = json.loads((CARDS / "results" / "known-dry.json").read_text(encoding="utf-8"))
    run = kept["runs"]["known-dry-network"]
    folder = tmp_path / "runs" / "known-dry-network"
    for name, found in run["evaluations"].items():
        (folder / name).mkdir(parents=True)
        (folder / name / "metrics.json").write_text(json.dumps(found | {"long": list(range(1000))}))
    (folder / "settings.json").write_text(json.dumps({"settings": run["settings"]}))
    losses = run["training"]["losses"]
    seconds = run["training"]["seconds"] / len(losses)
    rows = [f"{k + 1},{train},{validation},{seconds}" for k, (train, validation) in enumerate(losses)]
    (folder / "epochs.csv").write_text("\n".join(["epoch,train_loss,validation_loss,seconds", *rows]) + "\n")
    pages = tmp_path / "cards"
    pages.mkdir()
    earlier = {"recipes": ["known-dry"], "parts": ["A table of which no run is kept."]}
    (pages / "known-dry.json").write_text(json.dumps({"machine": kept["machine"], "recovered": earlier}))
    command = [sys.executable, str(ROOT / "scripts" / "cards"), "known-dry", "--runs", str(tmp_path / "runs")]
    done = subprocess.run([*command, "--results", str(pages), "--pages", str(pages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = json.loads((pages / "known-dry.json").read_text())["runs"]["known-dry-network"]
    assert again["evaluations"] == run["evaluations"]
    ours, theirs = ((one / "known-dry.md").read_text().split("\n\n", 2)[2] for one in (pages, CARDS))
    section = r"## Earlier\n\nWhat follows is .*`timbre-data run known-dry` makes them anew.\n\nA table of which no run is kept.\n\n"
    assert re.search(section, ours)
    assert re.sub(section, "", ours) == theirs
    nothing = subprocess.run([*command[:-1], str(pages)], capture_output=True, text=True)
    assert nothing.returncode == 1
    assert "has no run of known-dry" in nothing.stderr
