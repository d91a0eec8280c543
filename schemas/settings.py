"""Settings of training, and recipes that chain whole stages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from timbre_data.schemas.base import Frozen
from timbre_data.schemas.recipe import NAME, Claim

Limit = Annotated[
    int | None,
    Field(
        ge=1,
        description="use only so many rows of each dataset: the first; whole recordings from everywhere of an imported one",
    ),
]


def _as_tuple(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _as_member(value: Any) -> Any:
    """Members are called as their modules: with underscores."""
    return value.replace("-", "_") if isinstance(value, str) else value


def _as_members(value: Any) -> Any:
    names = _as_tuple(value)
    return tuple(map(_as_member, names)) if isinstance(names, tuple | list) else names


class TrainSettings(Frozen):
    """One training run.

    `split` "note" keeps every dry note on one side (honest); "row" is the AutoFX paper's random split over rows, which
    puts the same note on both sides. `conditioning` names a run of a classifier whose class probabilities are added to
    the input. `target` is what a classifier learns: the one "effect" of a row, its "family" (the six aggregated classes
    of IDMT-SMT), all "effects" of a chain (several labels a row), the "tags" of sounds that have some, or the "frames"
    of recordings (phonemes), for networks made for that; left out, frames for those, tags where there are some, else
    effect. `precision` "bf16-mixed" computes convolutions in bfloat16. A value left None is the model's own (published)
    one.
    """

    model: Annotated[str, BeforeValidator(_as_member)] = Field(description="name of the architecture")
    data: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="datasets to train on"
    )
    features: Annotated[tuple[str, ...] | None, BeforeValidator(_as_tuple)] = Field(
        None, description="feature sets, in order; by default the model's own"
    )
    conditioning: str | None = Field(
        None, description="run of a classifier whose class probabilities are added to the input"
    )
    split: Literal["note", "row"] = Field(
        "note", description="note: no dry note in two splits; row: random over rows, as in the AutoFX paper (leaks)"
    )
    target: str | None = Field(None, description="what to learn; by default what model and datasets are for")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="bf16-mixed computes convolutions in bfloat16"
    )
    seed: int = Field(0, ge=0, description="seed of weights and batches")
    measure_energy: bool = Field(False, description="measure the energy of the training with codecarbon")
    initial: str | None = Field(None, description="a run whose weights to begin with (more data, a lower rate)")
    batch_size: int | None = Field(None, ge=1, description="rows per batch")
    learning_rate: float | None = Field(None, gt=0, description="initial learning rate")
    optimizer: Literal["adam", "sgd", "adagrad", "adadelta"] | None = Field(None, description="optimizer")
    optimizer_options: dict[str, float] | None = Field(None, description="rho, momentum, weight_decay ...")
    learning_rate_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        description="with schedule plateau: factor on the learning rate after every epoch without improvement; 1 for none",
    )
    schedule: Literal["plateau", "cosine"] = Field(
        "plateau",
        description="how the learning rate falls: by learning_rate_decay when the validation loss does, or along half a cosine, step by step, to nothing at max_epochs",
    )
    max_epochs: int | None = Field(None, ge=1, description="largest number of epochs")
    patience: int | None = Field(None, ge=1, description="epochs without improvement before training stops")
    hold_out: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        (),
        description="what splits keep together (an instrument, a note; patterns such as violin*) that is the test split, and nothing else is: for leaving instruments out",
    )
    known_dry: bool = Field(
        False,
        description="give the network each row's dry sound, too: its answers hold on other instruments, and need the dry sound (predict --dry); for regressor-cnn and inverse-flow",
    )
    limit: Limit = None
    train_rows: int | None = Field(
        None,
        ge=8,
        description="train on only the first so many training rows of each dataset (an eighth as many for validation); the test set stays whole",
    )
    frame_step: int = Field(
        1, ge=1, description="of recordings, learn from every so many-th frame (neighbours are much alike); test on all"
    )
    crop_frames: int | None = Field(
        None,
        ge=8,
        description="train on so many neighbouring frames of a spectrogram, elsewhere in it every time (networks that average over time; all frames are heard in tests)",
    )
    filter_range: float = Field(
        0,
        ge=0,
        le=1,
        description="in training, raise and lower the bands of a spectrogram along a bent line, by up to this share of its range, another line every time (0.1: 8 dB of 80)",
    )
    audible_db: float | None = Field(
        None,
        gt=0,
        description="learn a parameter only from rows in which it is heard: another value of it changes a twentieth of the log-mel spectrogram by so many dB or more (measured by featurize --sensitivity; networks with a loss of their own; regressor-cnn and inverse-flow learn the other rows with options.unheard_weight)",
    )
    mask_bands: int = Field(
        0, ge=0, description="in training, silence up to so many neighbouring bands of a spectrogram, others every time"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="the model's own options")


class CompareSettings(Frozen):
    """A comparison of classifiers by cross-validation over dry notes, with optionally another generator to carry over
    to.
    """

    data: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="datasets to compare on"
    )
    against: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        (), description="datasets of another generator, to test generalization"
    )
    features: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        ("autofx163",), description="feature sets, in order"
    )
    models: Annotated[tuple[str, ...], BeforeValidator(_as_members)] = Field(
        ("knn", "svm", "mlp", "class_mlp"), min_length=1, description="baselines, and class_mlp"
    )
    target: Literal["effect", "family"] = Field("effect", description="effect, or family")
    folds: int = Field(9, ge=3, le=100, description="number of cross-validation folds, by dry note")
    permutations: int = Field(2, ge=0, description="how often each feature is permuted in each fold; 0 for not at all")
    seed: int = Field(0, ge=0, description="seed of folds and estimators")
    limit: Limit = None


class CompareStage(Frozen):
    """A comparison inside a pipeline recipe."""

    name: str = Field(pattern=NAME, description="name of the stage")
    settings: CompareSettings = Field(description="settings of the comparison")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        return _with_settings(data, "")


def _with_settings(data: Any, default: str, *own: str) -> Any:
    """Let the settings of a stage stand beside its name and the fields of its `own`."""
    if isinstance(data, dict) and "settings" not in data:
        outer = {key: data[key] for key in own if key in data}
        inner = {key: value for key, value in data.items() if key not in ("name", *own)}
        return {"name": data.get("name", default), **outer, "settings": inner}
    return data


class TrainStage(Frozen):
    """A training run inside a pipeline recipe, named so that later stages can refer to it."""

    name: str = Field(pattern=NAME, description="name of the stage")
    sounds: int = Field(
        48, ge=0, description="number of test rows to re-render with predicted parameters in the evaluation"
    )
    settings: TrainSettings = Field(description="settings of the training")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        return _with_settings(data, data.get("model", "") if isinstance(data, dict) else "", "sounds")


class SearchStage(Frozen):
    """A grid search inside a pipeline recipe."""

    name: str = Field(pattern=NAME, description="name of the stage")
    grid: dict[str, list[Any]] = Field(min_length=1, description="settings, with dots, and the values of each")
    repeats: int = Field(3, ge=1, description="number of seeds per combination")
    settings: TrainSettings = Field(description="settings of the trainings")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        return _with_settings(data, "", "grid", "repeats")


class EvaluateStage(Frozen):
    """The evaluation of a training of a pipeline recipe on other data."""

    run: str = Field(pattern=NAME, description="name of the training stage")
    data: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="datasets of the recipe to evaluate on"
    )
    sounds: int = Field(48, ge=0, description="number of rows to re-render with predicted parameters")


class FinetuneStage(Frozen):
    """The fine-tuning of a training of a pipeline recipe on sounds, through the real effect."""

    run: str = Field(pattern=NAME, description="name of the training stage, a regressor")
    data: str = Field(description="dataset of the recipe with the same parameters, of sounds that are out of domain")
    freeze: int = Field(0, ge=0, description="number of first layers whose weights stay as they are")
    at_once: bool = Field(False, description="change to the sound's loss at once, not over half of the steps")
    steps: int = Field(150, ge=2, description="number of steps of each stage")
    sounds: int = Field(48, ge=1, description="number of held-out sounds to measure on")
    evaluations: int = Field(0, ge=0, description="number of renders per sound in a search; 0 for no search")
    gradients: tuple[Literal["spsa", "differences"], ...] = Field(
        ("spsa", "differences"), min_length=1, description="how the effect's gradient is estimated"
    )


class DatasetStage(Frozen):
    """A dataset inside a pipeline recipe: another recipe file by name, with fields changed."""

    recipe: str = Field(description="recipe of the dataset: file, shipped name or effect")
    set: dict[str, Any] = Field(default_factory=dict, description="overridden fields of the recipe")


class PipelineRecipe(Frozen):
    """The whole chain: datasets rendered and featurized, models compared, searched, trained, evaluated, fine-tuned."""

    name: str = Field(pattern=NAME, description="name of the pipeline recipe")
    description: str = Field("", description="what it does, in a sentence")
    claim: Claim | None = Field(None, description="what it reproduces")
    datasets: tuple[DatasetStage, ...] = Field(min_length=1, description="datasets to render")
    features: tuple[str, ...] = Field((), description="feature sets of all datasets")
    compare: tuple[CompareStage, ...] = Field((), description="comparisons")
    search: tuple[SearchStage, ...] = Field((), description="grid searches")
    train: tuple[TrainStage, ...] = Field((), description="trainings, each evaluated afterwards")
    evaluate: tuple[EvaluateStage, ...] = Field((), description="evaluations of the trainings on other datasets")
    finetune: tuple[FinetuneStage, ...] = Field((), description="fine-tunings of the trainings through the real effect")
