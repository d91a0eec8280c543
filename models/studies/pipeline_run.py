"""The whole chain of a recipe: render, featurize, train, evaluate; stages that are up to date are skipped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from timbre_data.models.studies import finetuning
from timbre_data.models.studies.comparison import compare
from timbre_data.models.studies.evaluate import evaluate, is_evaluated
from timbre_data.models.studies.grid_search import check_grid, search
from timbre_data.models.training import train
from timbre_data.models.training.preparing import resolve
from timbre_data.models.training.train import FINISHED
from timbre_data.pipeline.build import featurizing, recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.journal import duration
from timbre_data.pipeline.catalogue.progress import Progress
from timbre_data.pipeline.store.location import locate
from timbre_data.schemas.errors import RecipeError
from timbre_data.schemas.recipe import Recipe
from timbre_data.schemas.settings import FinetuneStage, PipelineRecipe, TrainSettings, TrainStage


def run_pipeline(
    recipe: PipelineRecipe,
    cluster: Cluster,
    *,
    progress: Progress,
    say: Callable[[str], None],
    dry_run: bool = False,
    probe: bool = True,
) -> list[dict[str, Any]]:
    """Do every stage of a pipeline recipe in order, or with `dry_run` say what would be done, and how long rendering
    takes unless `probe` is off. Returns what was done: stage, done, and what it gave.
    """
    resolved = check_recipe(recipe)
    report: list[dict[str, Any]] = []
    stages = _Stages(_kinds(recipe, resolved), say, timed=not dry_run)
    for dataset in resolved:
        stages.begin(f"render {dataset.name}, {dataset.n} rows")
        names: dict[str, dict[str, Any]] = {name: {} for name in dataset.features}
        rendered = rendering.render(
            dataset, locate(dataset.name), cluster, progress=progress, dry_run=dry_run, features=names, probe=probe
        )
        if not rendered.rows:
            stages.nothing_to_do()
        takes = f"; it takes {rendered.estimate.text}" if rendered.estimate else ""
        report.append({"stage": f"render {dataset.name}", "done": rendered.reason + takes, "version": rendered.version})
        if dry_run and rendered.snapshot is None:
            report += [
                {"stage": f"featurize {dataset.name}", "done": f"would compute {name}"} for name in dataset.features
            ]
            continue
        if names:
            stages.begin(f"featurize {dataset.name}, {', '.join(names)}")
            computed = featurizing.featurize(locate(dataset.name), names, cluster, progress=progress, dry_run=dry_run)
            if not any(one.rows for one in computed):
                stages.nothing_to_do()
            report += [
                {"stage": f"featurize {dataset.name}", "done": one.reason, "version": one.version} for one in computed
            ]
    runs: dict[str, Path] = {}
    for comparison in recipe.compare:
        if dry_run:
            report.append({"stage": f"compare {comparison.name}", "done": "would compare what is not yet compared"})
            continue
        stages.begin(f"compare {comparison.name}")
        compared = compare(comparison.settings, name=f"{recipe.name}-{comparison.name}", say=say)
        say(compared.markdown())
        report.append({"stage": f"compare {comparison.name}", "done": f"tables in {compared.folder}"})
    for asked in recipe.search:
        if dry_run:
            count = asked.repeats * math.prod(len(values) for values in asked.grid.values())
            report.append({"stage": f"search {asked.name}", "done": f"would train {count} times, but for what is done"})
            continue
        stages.begin(f"search {asked.name}")
        given = asked.settings.model_dump(exclude_unset=True)
        searched = search(given, asked.grid, asked.repeats, f"{recipe.name}-{asked.name}", say)
        report.append({"stage": f"search {asked.name}", "done": f"tables in {searched.folder}"})
    for stage in recipe.train:
        if dry_run:
            report.append(
                {
                    "stage": f"train {stage.name}",
                    "done": f"would train {stage.settings.model} unless its run is finished",
                }
            )
            continue
        report += _train_and_evaluate(recipe, stage, runs, say, stages)
    for other in recipe.evaluate:
        title = f"evaluate {other.run} on {', '.join(other.data)}"
        if dry_run:
            report.append({"stage": title, "done": "would evaluate"})
            continue
        stages.begin(title)
        there = is_evaluated(runs[other.run], other.data)
        if there is not None:
            stages.nothing_to_do()
            report.append({"stage": title, "done": FINISHED, "metrics": there})
            continue
        found = evaluate(runs[other.run], data=other.data, sounds=other.sounds)
        report.append({"stage": title, "done": f"tables in {found.folder}", "metrics": found.metrics})
    for tuning in recipe.finetune:
        title = f"finetune {tuning.run} on {tuning.data}"
        if dry_run:
            report.append({"stage": title, "done": "would fine-tune what is not yet"})
            continue
        stages.begin(title)
        tuned = _finetune(runs[tuning.run], tuning, cluster, say)
        if tuned == FINISHED:
            stages.nothing_to_do()
        report.append({"stage": title, "done": tuned})
    return report


def asked_of(stage: FinetuneStage) -> dict[str, Any]:
    """How the study of a stage is made, as `finetuning.study` is asked for it and keeps it."""
    return {
        "gradients": list(stage.gradients),
        "frozen": stage.freeze,
        "at_once": stage.at_once,
        "steps": stage.steps,
        "test_rows": stage.sounds,
        "evaluations": stage.evaluations,
    }


def _finetune(run: Path, stage: FinetuneStage, cluster: Cluster, say: Callable[[str], None]) -> str:
    how = asked_of(stage)
    if finetuning.is_studied(run, stage.data, how) is not None:
        return FINISHED
    _, table = finetuning.study(run, stage.data, **how, cluster=cluster, say=say)
    say(table.markdown())
    return f"tables in {run}"


def _kinds(recipe: PipelineRecipe, resolved: Sequence[Recipe]) -> list[str]:
    """The kind of every stage, in order."""
    kinds = [kind for dataset in resolved for kind in ("render", *(["featurize"] if dataset.features else []))]
    after: dict[str, Sequence[Any]] = {
        "compare": recipe.compare,
        "search": recipe.search,
        "train": recipe.train,
        "evaluate": recipe.evaluate,
        "finetune": recipe.finetune,
    }
    for kind, stages in after.items():
        kinds += ["train", "evaluate"] * len(stages) if kind == "train" else [kind] * len(stages)
    return kinds


class _Stages:
    """Says which stage of how many begins, and if `timed` how long the rest takes, as far as stages of its kinds had
    something to do.
    """

    def __init__(self, kinds: Sequence[str], say: Callable[[str], None], *, timed: bool = True) -> None:
        self._kinds, self._say, self._number = kinds, say, 0
        self._timed = self._counts = timed
        self._took: dict[str, list[float]] = {}
        self._began = 0.0

    def begin(self, title: str) -> None:
        """The stage before is over, this one begins."""
        now = time.monotonic()
        if self._number and self._counts:
            self._took.setdefault(self._kinds[self._number - 1], []).append(now - self._began)
        rest = self._kinds[self._number :]
        known = [sum(self._took[kind]) / len(self._took[kind]) for kind in rest if kind in self._took]
        left = f", {'about' if len(known) == len(rest) else 'at least'} {duration(sum(known))} left" if known else ""
        self._number, self._began, self._counts = self._number + 1, now, self._timed
        self._say(f"stage {self._number} of {len(self._kinds)}: {title}{left}")

    def nothing_to_do(self) -> None:
        """The stage that began was finished before: it says nothing of how long others take."""
        self._counts = False


def summary(report: Sequence[Mapping[str, Any]]) -> str:
    """What there is now, and what can be done with it."""
    versions = {one["stage"].partition(" ")[2]: one["version"] for one in report if one.get("version")}
    runs = [str(one["run"]) for one in report if one.get("run")]
    lines = [f"dataset {name} {version}" for name, version in versions.items()] + [f"run {run}" for run in runs]
    if not lines:
        return ""
    next_steps = [f"timbre-data dataset show {name}" for name in list(versions)[:1]]
    next_steps += [f"timbre-data predict {run} SOUND.wav" for run in runs[-1:]]
    return "\n".join(["there is now:", *(f"  {line}" for line in lines), "next:", *(f"  {one}" for one in next_steps)])


def check_recipe(recipe: PipelineRecipe) -> list[Recipe]:
    """Find wrong names before hours of rendering, not after. Returns the recipes of its datasets."""
    resolved = [
        recipes.load(
            validation.override(recipes.read_named(stage.recipe), stage.set)
            | ({"features": list(recipe.features)} if recipe.features else {})
        )
        for stage in recipe.datasets
    ]
    datasets, earlier = {dataset.name for dataset in resolved}, set()
    for comparison in recipe.compare:
        for name in (*comparison.settings.data, *comparison.settings.against):
            if name not in datasets:
                raise RecipeError(
                    f"compare.{comparison.name}.data",
                    name,
                    f"datasets of this recipe are {', '.join(sorted(datasets))}",
                )
    used = [(f"train.{one.name}", one.settings.data) for one in recipe.train]
    used += [(f"search.{one.name}", one.settings.data) for one in recipe.search]
    used += [(f"evaluate.{one.run}", one.data) for one in recipe.evaluate]
    used += [(f"finetune.{one.run}", (one.data,)) for one in recipe.finetune]
    for place, names in used:
        for name in names:
            if name not in datasets:
                raise RecipeError(f"{place}.data", name, f"datasets of this recipe are {', '.join(sorted(datasets))}")
    for asked in recipe.search:
        check_grid(asked.settings.model_dump(exclude_unset=True), asked.grid)
    for stage in recipe.train:
        resolve(stage.settings)
        if stage.settings.conditioning and stage.settings.conditioning not in earlier:
            raise RecipeError(
                f"train.{stage.name}.conditioning",
                stage.settings.conditioning,
                "must be the name of an earlier training stage",
            )
        earlier.add(stage.name)
    later = [("evaluate", one.run) for one in recipe.evaluate] + [("finetune", one.run) for one in recipe.finetune]
    for kind, run in later:
        if run not in earlier:
            raise RecipeError(f"{kind}.run", run, f"trainings of this recipe are {', '.join(sorted(earlier))}")
    return resolved


def _train_and_evaluate(
    recipe: PipelineRecipe, stage: TrainStage, runs: dict[str, Path], say: Callable[[str], None], stages: _Stages
) -> list[dict[str, Any]]:
    settings: TrainSettings = stage.settings
    if settings.conditioning:
        settings = settings.model_copy(update={"conditioning": str(runs[settings.conditioning])})
    stages.begin(f"train {stage.name}")
    folder, done = train.train(settings, name=f"{recipe.name}-{stage.name}", say=say)
    runs[stage.name] = folder
    if done == FINISHED:
        stages.nothing_to_do()
    report: list[dict[str, Any]] = [{"stage": f"train {stage.name}", "done": done, "run": str(folder)}]
    stages.begin(f"evaluate {stage.name}")
    metrics = is_evaluated(folder)
    if done == FINISHED and metrics is not None:
        stages.nothing_to_do()
        report.append({"stage": f"evaluate {stage.name}", "done": FINISHED, "metrics": metrics})
        return report
    result = evaluate(folder, allow_leak=settings.split == "row", sounds=stage.sounds)
    say(result.markdown())
    report.append({"stage": f"evaluate {stage.name}", "done": f"tables in {result.folder}", "metrics": result.metrics})
    return report
