"""The public face: what a person uses from Python.

    >>> import timbre_data.api as td
    >>> td.list_members("targets")[:2]
    ['effect', 'effects']

Everything here takes names as the command line does: a dataset is a name under `datasets/` (or `$TIMBRE_DATA_HOME`), a
folder or an `s3://` address, with `@TAG` for a version; a run is a folder or a name under `runs/` (or
`$TIMBRE_DATA_RUNS`); an effect, model or other member is a name, or a Python file of your own, which is then run.
Errors are those of `timbre_data.schemas.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbre_data.models.architectures import Model as Model
from timbre_data.models.architectures import Shape as Shape
from timbre_data.models.baselines import Baseline as Baseline
from timbre_data.models.evaluation.distances import Distance as Distance
from timbre_data.pipeline.catalogue.effect import Effect as Effect
from timbre_data.pipeline.catalogue.exporter import Exporter as Exporter
from timbre_data.pipeline.catalogue.feature_set import Columns as Columns
from timbre_data.pipeline.catalogue.feature_set import FeatureSet as FeatureSet
from timbre_data.pipeline.catalogue.importer import Importer as Importer
from timbre_data.pipeline.catalogue.performance import Performance as Performance
from timbre_data.pipeline.catalogue.source import Note as Note
from timbre_data.pipeline.catalogue.source import Source as Source
from timbre_data.pipeline.catalogue.synth import Synth as Synth
from timbre_data.pipeline.store.reader import Dataset as Dataset
from timbre_data.schemas.base import Frozen as Frozen
from timbre_data.schemas.errors import TimbreDataError as TimbreDataError
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter as Parameter
from timbre_data.schemas.space import ParameterSpace as ParameterSpace

if TYPE_CHECKING:
    from timbre_data.models.evaluation.tables import StudyResult
    from timbre_data.models.inference.predicting import PredictResult
    from timbre_data.pipeline.build.stage import Report
    from timbre_data.pipeline.store.comparing import Difference
    from timbre_data.pipeline.store.copying import CopyReport

FUNCTIONS = (
    "copy", "diff", "evaluate", "export", "featurize", "import_dataset", "list_members", "load_member", "merge",
    "predict", "predict_many", "render", "select", "train", "verify",
)  # fmt: skip
"""Actions."""
CLASSES = ("Dataset", "TimbreDataError")
"""Readers and errors."""
MEMBERS = (
    "Baseline", "Columns", "Distance", "Effect", "Exporter", "FeatureSet", "Frozen", "Importer", "Model", "Note",
    "Parameter", "ParameterSpace", "Performance", "Shape", "Source", "Synth",
)  # fmt: skip
"""The classes that a member of your own is made of."""
__all__ = [*CLASSES, *FUNCTIONS, *MEMBERS]  # names, all of them


def list_members(kind: str) -> list[str]:
    """List the names of a kind: "effects", "synths", "sources", "features", "models", "recipes" ...

        >>> "distortion" in list_members("effects")
        True

    Raises `UnknownNameError` for an unknown kind.
    """
    from timbre_data.commands._kinds import kind_of

    return kind_of(kind).names


def load_member(kind: str, name: str) -> Any:
    """Load the object behind a name: an `Effect`, a `Synth`, a `Model` ...

        >>> delay = load_member("effect", "delay")
        >>> delay.space.names
        ('delay_seconds', 'feedback', 'mix')

    A Python file is run. Raises `UnknownNameError`, or `UsageError` for a file that exposes no such member.
    """
    from timbre_data.commands._kinds import REGISTRIES, kind_of

    registry = REGISTRIES.get(kind_of(kind).name)
    if registry is None:
        raise UsageError(f"{kind} are YAML files: see timbre-data show.")
    return registry.load(registry.resolve(name))


def render(
    recipe: str | Mapping[str, Any] | None = None,
    *,
    fx: str | None = None,
    synth: str | None = None,
    around: str | None = None,
    spread: float | None = None,
    out: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    features: Iterable[str] = (),
    workers: int | None = None,
    scheduler: str | None = None,
    trust: bool = False,
) -> Report:
    """Render a dataset, or what is missing of it: resumes, and grows if `overrides` has a larger n.

        >>> report = render(fx="delay", out="tiny", overrides={"n": 20, "audio.seconds": 0.1}, workers=1)
        >>> report.rows, report.version
        (20, '1.0.0')

    Give one of `recipe` (a file, a shipped name or the fields themselves), `fx` and `synth`. `around` draws the rows of
    a synth around presets (a bank, a folder, or "presets", its own), by `spread`. `overrides` maps dotted paths to
    values; `features` are computed while the sounds are at hand. `trust` as in SECURITY.md. Raises `UsageError`,
    `RecipeError`, `SourceError` or `RenderError`.
    """
    from timbre_data.pipeline.build import recipes, rendering
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.effects import EFFECTS
    from timbre_data.pipeline.features import FEATURE_SETS
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.synths.hosting.trust import trusting

    if [recipe, fx, synth].count(None) != 2:
        raise UsageError("give exactly one of recipe, fx and synth.")
    if fx is not None:
        data = recipes.for_effect(EFFECTS.resolve(fx))
    elif synth is not None:
        data = recipes.for_synth(synth)
    else:
        data = dict(recipe) if isinstance(recipe, Mapping) else recipes.read(recipe or "")
    if around is not None or spread is not None:
        data = recipes.around_presets(data, around, spread)
    resolved = recipes.load(validation.override(data, overrides or {}))
    with trusting(trust):
        made: dict[str, dict[str, Any]] = {FEATURE_SETS.resolve(name): {} for name in features}
        return rendering.render(resolved, locate(out or resolved.name), _cluster(workers, scheduler), features=made)


def import_dataset(
    importer: str,
    path: str | Path,
    *,
    out: str | None = None,
    settings: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    keep_going: bool = False,
    workers: int | None = None,
) -> Report:
    """Import a public dataset from the folder it was unpacked into.

    `settings` are the importer's own, `audio` is the stored format (rate, seconds ...). Raises `SourceError` that names
    every missing, unreadable and unexpected file, unless `keep_going`.
    """
    from timbre_data.pipeline.build.importing import import_dataset as import_folder
    from timbre_data.pipeline.importers import IMPORTERS
    from timbre_data.pipeline.store.location import locate

    name = IMPORTERS.resolve(importer)
    location = locate(out or name.replace("_", "-"))
    fields = dict(settings or {}) | {"path": str(path)}
    return import_folder(
        name, fields, location, _cluster(workers, None), audio=dict(audio or {}), keep_going=keep_going
    )


def featurize(
    dataset: str,
    features: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> list[Report]:
    """Compute feature sets of all rows that lack them, and store them in the dataset.

        >>> [report.reason for report in featurize("tiny", {"logmel": {"n_mels": 40}}, workers=1)]
        ['logmel: computed']

    `features` are names, or names with settings; by default those of the dataset's recipe. Raises `UsageError` where a
    set is stored with other settings.
    """
    from timbre_data.pipeline.build import featurizing
    from timbre_data.pipeline.features import FEATURE_SETS
    from timbre_data.pipeline.store.location import locate

    if features is None:
        features = Dataset(dataset).recipe.features
    settings = features if isinstance(features, Mapping) else {name: {} for name in features}
    named = {FEATURE_SETS.resolve(name): dict(fields) for name, fields in settings.items()}
    return featurizing.featurize(locate(dataset), named, _cluster(workers, scheduler))


def select(
    source: str,
    out: str,
    *,
    where: str | None = None,
    n: int | None = None,
    balance: str | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Report:
    """Make a dataset of rows of another: where a condition holds, `n` of them, equally many of each value of `balance`.

        >>> select("tiny", "wet", where="mix > 0.5", n=4, workers=1).rows
        4

    Raises `UsageError` for a condition that is none.
    """
    from timbre_data.pipeline.build import deriving
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.selecting import Selection

    return deriving.select(Dataset(source), Selection(where, n, balance, seed), locate(out), _cluster(workers, None))


def merge(sources: Iterable[str], out: str, *, workers: int | None = None) -> Report:
    """Make one dataset of the rows of several; a row that is in several is taken once.

    Raises `UsageError` where one parameter has two meanings, or formats differ.
    """
    from timbre_data.pipeline.build import deriving
    from timbre_data.pipeline.store.location import locate

    return deriving.merge([Dataset(source) for source in sources], locate(out), _cluster(workers, None))


def copy(source: str, target: str) -> CopyReport:
    """Copy a dataset with history, tags and features, or what a copy lacks of it, and verify what arrived."""
    from timbre_data.pipeline.catalogue.progress import NoProgress
    from timbre_data.pipeline.store import copying
    from timbre_data.pipeline.store.location import locate

    return copying.copy(locate(source), locate(target), NoProgress())


def diff(first: str, second: str) -> Difference:
    """How two datasets differ: recipe, code, parameters, rows and features.

    >>> diff("tiny", "tiny").same
    True
    """
    from timbre_data.pipeline.store.comparing import compare

    return compare(Dataset(first), Dataset(second))


def train(model: str, data: str | Sequence[str], *, name: str | None = None, **settings: Any) -> Path:
    """Train a model on one or several datasets; resumes, and leaves a finished run unchanged. Returns the run's folder.

    Further settings are the fields of `TrainSettings`: features, target, conditioning, split, seed, max_epochs ...
    Raises `UsageError`.
    """
    from timbre_data.models.architectures import MODELS
    from timbre_data.models.training.train import train as train_run
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.synths.hosting.trust import trust
    from timbre_data.schemas.settings import TrainSettings

    fields = {"model": MODELS.resolve(model), "data": [data] if isinstance(data, str) else list(data)} | settings
    for address in fields["data"]:
        trust(address)
    return train_run(validation.validate(TrainSettings, fields, "train"), name=name)[0]


def evaluate(run: str | Path, *, trust: bool = False, **options: Any) -> StudyResult:
    """Evaluate a finished run: `metrics` (numbers), `tables` and `markdown()`; plots and predictions go into its
    folder. Options: `data` (names of other datasets), `split`, `allow_leak`, `sounds`, `distances`, `seed`.

    Raises `LeakingSplitError` where test rows share dry notes with training rows, unless `allow_leak`.
    """
    from timbre_data.models.studies.evaluate import evaluate as evaluate_run
    from timbre_data.models.training.runs import find_run
    from timbre_data.pipeline.synths.hosting.trust import trusting

    with trusting(trust):
        return evaluate_run(find_run(str(run)), **options)


def predict(run: str | Path, file: str | Path, *, trust: bool = False, **request: Any) -> PredictResult:
    """Predict what made a sound file. Further fields are those of `PredictRequest`: dry, out, effect, f0_hz, refine,
    textgrid, at.

    Raises `UsageError` for files that cannot be read, and for what the run cannot do.
    """
    from timbre_data.models.inference.predicting import PredictRequest, predict_file
    from timbre_data.models.training.runs import find_run
    from timbre_data.pipeline.synths.hosting.trust import trusting

    with trusting(trust):
        return predict_file(find_run(str(run)), PredictRequest(file=Path(file), **request))


def predict_many(
    run: str | Path, files: Iterable[str | Path], *, trust: bool = False, **request: Any
) -> list[PredictResult | UsageError]:
    """Predict what made each of several sound files, in one go; a `UsageError` in place of the result of a file that
    cannot be used. Further fields: dry, effect, f0_hz; for an equaliser out (a folder that is there) and at.

    Raises `UsageError` for what the run cannot do.
    """
    from timbre_data.models.inference.predicting import PredictRequest, predict_files
    from timbre_data.models.training.runs import find_run
    from timbre_data.pipeline.synths.hosting.trust import trusting

    paths = [Path(file) for file in files]
    with trusting(trust):
        return list(predict_files(find_run(str(run)), paths, PredictRequest(file=Path(), **request)))


def verify(dataset: str, *, rerender: int = 0, trust: bool = False) -> dict[str, Any]:
    """Check every row of a dataset against its hash, and render some again.

    >>> verify("tiny", rerender=4)
    {'whole': True, 'missing': {}, 'damaged': {}, 'history': [], 'rendered': 4, 'equal': 4}
    """
    from timbre_data.pipeline.build.rerendering import rerender_rows
    from timbre_data.pipeline.store.verify import verify as verify_rows
    from timbre_data.pipeline.synths.hosting.trust import trusting

    data = Dataset(dataset)
    verdict = verify_rows(data)
    report: dict[str, Any] = {key: getattr(verdict, key) for key in ("whole", "missing", "damaged", "history")}
    if rerender and verdict.whole:
        with trusting(trust):
            comparison = rerender_rows(data, rerender)
        report |= {key: comparison[key] for key in ("rendered", "equal")}
    return report


def export(dataset: str, to: str | Path, *, form: str = "zarr") -> int:
    """Write a dataset into a new folder: "zarr", "wav", "parquet", "huggingface" or "webdataset". Returns the number of
    files.

    Raises `UsageError` for a folder that is not empty, `CorruptDataError` for an unfinished dataset.
    """
    from timbre_data.pipeline.store.exporters import EXPORTERS
    from timbre_data.pipeline.store.exporting import export as export_dataset

    return export_dataset(Dataset(dataset), Path(to), EXPORTERS.resolve(form))


def _cluster(workers: int | None, scheduler: str | None) -> Any:
    from timbre_data.pipeline.build.engine import Cluster

    return Cluster.of(workers, scheduler)
