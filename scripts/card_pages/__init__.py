"""Cards of results: each is made from a file of results, which is collected from the runs of recipes.

One module per card. `CARD` names its recipes (the commands that make its figures), the runs, texts and pictures that
are kept of them, and the function that writes the page from what was kept.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import pkgutil
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from card_pages.sentences import filled
from timbre_data.models.evaluation import published, run_facts
from timbre_data.models.evaluation.tables import Table, number

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "datasets" / "cards"
SOUNDS = "~/.cache/timbre-data/sounds/"
"""Where recipes look for what scripts/get-sounds fetches."""
STAND_IN = "All sounds are rendered: a **synthetic stand-in** for the recordings of IDMT-SMT-Audio-Effects that the report used. Figures stand beside the report's; they are not from the same sounds."
LONG = 200
"""Lists of metrics that are longer are not kept: one value a row."""


class CardError(Exception):
    """What is wrong with a card, in a line."""


class Results:
    """What is kept of a card's runs."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.machine: dict[str, Any] = kept["machine"]
        self.runs: dict[str, dict[str, Any]] = kept.get("runs", {})
        self.texts: dict[str, str] = kept.get("texts", {})
        self.comparisons: dict[str, dict[str, Any]] = kept.get("comparisons", {})
        self.studies: dict[str, dict[str, Any]] = kept.get("studies", {})
        """What fine-tuning gave, by run and file."""
        self.recovered: dict[str, Any] | None = kept.get("recovered")
        self.used: list[published.Result] = []
        """The published results that the page shows."""

    def recovered_recipes(self, card: Card) -> Sequence[str]:
        """The recipes of a card whose results were taken back from an earlier page."""
        return self.recovered.get("recipes", card.recipes) if self.recovered else ()

    def metrics(self, run: str, evaluation: str = "evaluation") -> dict[str, Any]:
        """The metrics of an evaluation; empty where there is none."""
        found: dict[str, Any] = self.runs.get(run, {}).get("evaluations", {}).get(evaluation, {})
        return found

    def training(self, run: str) -> dict[str, Any]:
        """Epochs, seconds, watt hours and the losses of every epoch."""
        found: dict[str, Any] = self.runs[run]["training"]
        return found

    def course(self, run: str) -> str:
        """Epochs and minutes of a training."""
        found = self.training(run)
        return f"{found['epochs']} epochs, {found['seconds'] / 60:.1f} min"

    def energy(self, run: str) -> str:
        """Watt hours of a training, as codecarbon estimates or measures them."""
        spent = self.training(run)["watt_hours"]
        return "not measured" if spent is None else f"{spent:.2g} Wh"

    def beside_comparison(self, name: str) -> None:
        """Note the published results that a comparison of classifiers shows in its own tables."""
        for model in self.comparisons.get(name, {}).get("classifiers", {}):
            classes = self.comparisons[name]["classifiers"][model]["classes"]
            self.used += published.beside(run_facts.facts(model, classes=classes))

    def paper(self, run: str, name: str, key: str) -> str:
        """A published figure beside a run. Raises `CardError` where it does not belong there."""
        return number(self.published(run, name).values[key])

    def published(self, run: str, name: str) -> published.Result:
        """A published result beside a run. Raises `CardError` where it does not belong there."""
        result = published.named(name)
        wrong = result.misplaced(self.metrics(run).get("about", {}))
        if wrong:
            raise CardError(f"run {run}: {wrong}")
        self.used.append(result)
        return result


@dataclass(frozen=True, kw_only=True)
class Card:
    """A page of results: of all runs that its recipes make. `texts` are patterns of further files below runs/,
    `pictures` files there, each with the name under which it is kept.
    """

    title: str
    recipes: tuple[str, ...]
    page: Callable[[Results], list[str]]
    texts: tuple[str, ...] = ()
    pictures: Mapping[str, str] | None = None
    draw: Callable[[Results, Path], None] | None = None
    seeds: str = "one seed each"


def cards() -> dict[str, Card]:
    """All cards, by name."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        card = getattr(importlib.import_module(f"card_pages.{module.name}"), "CARD", None)
        if card:
            found[module.name.replace("_", "-")] = card
    return found


def collect(
    card: Card, stages: Sequence[str], comparisons: Sequence[str], home: Path, made: Mapping[str, Any]
) -> dict[str, Any]:
    """What is to be kept of the runs of a card, called `stages`, and of its comparisons, in a folder of runs; `made`
    describes the machine.
    """
    machine = {
        "processor": made["processor"],
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": made["python"],
        "torch": made["packages"]["torch"],
    }
    folders = [home / stage for stage in stages if (home / stage / "evaluation" / "metrics.json").is_file()]
    texts = {
        str(path.relative_to(home)): path.read_text(encoding="utf-8").strip()
        for pattern in card.texts
        for path in sorted(home.glob(pattern))
    }
    compared = {
        one: _short(_compared(home / one / "comparison.json"))
        for one in comparisons
        if (home / one / "comparison.json").is_file()
    }
    studied = {
        str(path.relative_to(home).with_suffix("")): _short(_read(path))
        for stage in stages
        for path in sorted(home.glob(f"{stage}/spectral-*.json"))
    }
    return {
        "machine": machine,
        "runs": {one.name: _kept(one) for one in folders},
        "comparisons": compared,
        "studies": studied,
        "texts": texts,
    }


def together(before: Mapping[str, Any], now: dict[str, Any], stages: Sequence[str]) -> dict[str, Any]:
    """What was collected `now`, and of what was kept `before` the runs that are not in it, so that not all need be at
    hand at once. Runs of another machine are not taken along: a card says on which one its runs were made.
    """
    if before.get("machine") != now["machine"]:
        return now
    parts = {part: before.get(part, {}) | now[part] for part in ("runs", "comparisons", "studies", "texts")}
    parts["runs"] = {stage: parts["runs"][stage] for stage in stages if stage in parts["runs"]}
    return now | parts


def _compared(path: Path) -> dict[str, Any]:
    """A comparison, its datasets by name, wherever they were."""
    content: dict[str, Any] = _read(path)
    return content | {"snapshots": {Path(where).name: one for where, one in content["snapshots"].items()}}


def _kept(run: Path) -> dict[str, Any]:
    with (run / "epochs.csv").open(encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    energy = run / "energy.json"
    losses = [[_rounded(float(row[key])) for key in ("train_loss", "validation_loss")] for row in epochs]
    settings = _read(run / "settings.json")["settings"]
    named = {key: Path(settings[key]).name for key in ("conditioning", "initial") if settings.get(key)}
    return {
        "settings": settings | named,  # other runs by name, wherever they were
        "training": {
            "epochs": len(epochs),
            "seconds": sum(float(row["seconds"]) for row in epochs),
            "watt_hours": _read(energy)["watt_hours"] if energy.is_file() else None,
            "losses": losses,
        },
        "evaluations": {path.parent.name: _short(_read(path)) for path in sorted(run.glob("evaluation*/metrics.json"))},
    }


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _short(value: Any) -> Any:
    """Without long lists, and with six digits of each number."""
    if isinstance(value, Mapping):
        return {
            key: _short(one)
            for key, one in value.items()
            if not (isinstance(one, list) and len(one) > LONG) and key != "groups"
        }
    if isinstance(value, list):
        return [_short(one) for one in value]
    return _rounded(value) if isinstance(value, float) else value


def take_pictures(card: Card, home: Path, kept: Mapping[str, Any], pages: Path) -> None:
    """Copy the pictures of a card beside its page, as far as they are there, and draw those that it draws itself."""
    for source, name in (card.pictures or {}).items():
        if (home / source).is_file():
            shutil.copyfile(home / source, pages / name)
    if card.draw:
        card.draw(Results(kept), pages)


def notes_of(name: str) -> str:
    """What is written by hand at the end of a card, with references in the place of figures."""
    path = CARDS / f"{name}-notes.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _commands(recipes: Sequence[str]) -> str:
    return ", ".join(f"`timbre-data run {recipe}`" for recipe in recipes)


def _place(machine: Mapping[str, Any]) -> str:
    """A machine, in words."""
    what = f"{machine['processor']}, {machine.get('cores', 2)} cores, {machine.get('gpu') or 'no GPU'}"
    return f"{what}, Python {machine['python']}, torch {machine['torch']}"


def page_of(name: str, card: Card, results: Results) -> str:
    """The page of a card."""
    made = results.machine
    made_runs = [*results.runs, *results.comparisons]
    run = [one for one in card.recipes if any(name.startswith(f"{one}-") for name in made_runs)]
    earlier = results.recovered or {}
    again = results.recovered_recipes(card)
    if not made_runs:
        by = _commands(again)
        head = f"Its runs are commands: {by}. The files of the runs that this page was written from were not kept: its tables are those of an earlier state of it, measured on {_place(made)}. `scripts/cards {name}` writes it anew from new runs."
        parts = list(earlier["parts"])
    else:
        head = f"Made by {_commands(run)} on {_place(made)}, {card.seeds}. This page by `scripts/cards {name}`."
        parts = card.page(results)
        if earlier:
            since = f"What follows is of an earlier state of this page, measured on {_place(earlier['machine'])}; the files of its runs were not kept. {_commands(again)} makes them anew."
            parts += ["## Earlier", since, *earlier["parts"]]
    try:
        notes = filled(notes_of(name), results.runs | results.comparisons | results.studies)
    except KeyError as error:
        raise CardError(f"{name}-notes.md: nothing is kept at {error}") from error
    return "\n\n".join([f"# {card.title}", head, *parts, *([notes] if notes else [])]) + "\n"


def better(ours: float, theirs: published.Result, key: str) -> str:
    """Which of both is better."""
    if number(ours) == number(theirs.values[key]):
        return "same"
    return "better" if (ours > theirs.values[key]) == published.more_is_better(key) else "worse"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A table in Markdown."""
    return Table(title, tuple(header), tuple(tuple(row) for row in rows), note=note).markdown()
