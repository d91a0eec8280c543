"""Predict one sound file with a trained run and write what was asked for: everything that `predict` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbre_data.models.inference.report import Prediction, Setting
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.runs import open_run
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.models.inference.several_answers import Answers, Player

Say = Callable[[str], None]


@dataclass(frozen=True)
class PredictRequest:
    """A file and what to do with it: see `timbre-data predict --help`. `at` are settings of a learned equaliser."""

    file: Path
    dry: Path | None = None
    out: Path | None = None
    effect: str | None = None
    f0_hz: float | None = None
    refine: int = 0
    answers: int = 0
    textgrid: Path | None = None
    at: Mapping[str, float] | None = None


@dataclass(frozen=True)
class PredictResult:
    """A prediction and the effects to report, or what was done with a file that went through a learned
    transformation.
    """

    prediction: Prediction | None = None
    settings: tuple[Setting, ...] = ()
    answers: Answers | None = None
    processed: dict[str, Any] = field(default_factory=dict)


def predict_file(
    run: Path, request: PredictRequest, *, say: Say = lambda line: None, warn: Say = lambda line: None
) -> PredictResult:
    """Predict a file with a run. `say` gets what was written, `warn` what may be wrong. Raises `UsageError` for what
    the run cannot do.
    """
    target = TARGETS.load(open_run(run).settings.target or "effect")
    if target.learns_from == "pairs":
        from timbre_data.models.inference import processing

        if request.out is None:
            raise UsageError("this run maps sounds to sounds: give the file to write with --out OUT.wav.")
        done = processing.process_file(run, request.file, request.out, request.effect, dict(request.at or {}))
        return PredictResult(processed=done)
    return _predicted(run, request, say, warn)


def predict_files(
    run: Path,
    files: Sequence[Path],
    request: PredictRequest,
    *,
    say: Say = lambda line: None,
    warn: Say = lambda line: None,
) -> Iterator[PredictResult | UsageError]:
    """Predict several files with a run, as `request` says for each; a `UsageError` in place of a file that cannot be
    used. `out` is a folder then, for a run that maps sounds to sounds. Raises `UsageError` for what the run cannot do.
    """
    target = TARGETS.load(open_run(run).settings.target or "effect")
    if target.learns_from == "pairs":
        if request.out is None or not request.out.is_dir():
            raise UsageError(
                "this run maps sounds to sounds: with several files, give a folder that is there with --out."
            )
        for file in files:
            try:
                yield predict_file(run, replace(request, file=file, out=request.out / f"{file.stem}.wav"))
            except UsageError as error:
                yield error
        return
    from timbre_data.models.inference.predictor import Predictor

    if request.out is not None or request.textgrid is not None or request.refine or request.answers:
        raise UsageError("--out, --textgrid, --refine and --answers are for one file at a time.")
    predictor = Predictor(run)
    _refuse(predictor, request, run.name)
    f0_hz = float("nan") if request.f0_hz is None else request.f0_hz
    warn_of_novelty = _novelty_warnings(predictor, run, warn)
    for prediction in predictor.predict_many(files, f0_hz=f0_hz, dry=request.dry):
        if isinstance(prediction, UsageError):
            yield prediction
            continue
        try:
            steps = predictor.steps(prediction, request.effect)
        except UsageError as error:  # of an effect without known parameters
            yield UsageError(f"{prediction.file}: {error}")
        else:
            warn_of_novelty(Path(prediction.file), f"{prediction.file}: ")
            yield PredictResult(prediction, tuple(steps))
    _warn_of_pitch(predictor, request, warn)


def _warn_of_pitch(predictor: Any, request: PredictRequest, warn: Say) -> None:
    if predictor.needs_pitch and request.f0_hz is None and request.dry is None:
        warn("this run was trained with known pitches: give --f0 or --dry, or train on autofx163_sound for recordings.")


def _novelty_warnings(predictor: Any, run: Path, warn: Say) -> Callable[[Path, str], None]:
    """A function that says, of a file, that it is like none that the run learned from; the text begins as given."""
    from timbre_data.models.data import learned
    from timbre_data.models.inference.novelty import NOTES, NoveltyCheck
    from timbre_data.models.inference.sound_files import load_sound

    known = learned.load(run)
    if known is None or predictor.target.windows:
        return lambda file, beginning: None
    check = NoveltyCheck(known)

    def warn_of(file: Path, beginning: str) -> None:
        found = check(predictor.notes_of(load_sound(file, predictor.rate), NOTES), predictor.rate)
        if found is not None and found.outside:
            warn(f"{beginning}{found.text(run.name)}")

    return warn_of


def _predicted(run: Path, request: PredictRequest, say: Say, warn: Say) -> PredictResult:
    from timbre_data.models.inference.predictor import Predictor

    predictor = Predictor(run)
    _refuse(predictor, request, run.name)
    f0_hz = float("nan") if request.f0_hz is None else request.f0_hz
    prediction = predictor.predict(request.file, f0_hz=f0_hz, dry=request.dry)
    several = None
    prior = bool(request.refine) and (predictor.of_a_synth or predictor.trained.draws)
    if request.answers or prior:
        from timbre_data.models.inference.several_answers import Player, answers

        player = Player(predictor, prediction, request.file, request.dry, request.effect)
        if request.answers:
            several = answers(predictor, prediction, player, request.answers, f0_hz)
        if prior:
            prediction = _closer(predictor, prediction, player, request.refine, f0_hz, say)
    settings = predictor.steps(prediction, request.effect)
    if request.refine or request.out is not None:
        settings = _with_sounds(predictor, prediction, settings, request, say)
    _warn_of_pitch(predictor, request, warn)
    _novelty_warnings(predictor, run, warn)(request.file, "")
    if request.textgrid is not None:
        from timbre_data.models.inference.report import write_textgrid

        write_textgrid(prediction, request.textgrid)
        say(f"phonemes in {request.textgrid}")
    return PredictResult(prediction, tuple(settings), several)


def _closer(
    predictor: Any, prediction: Prediction, player: Player, evaluations: int, f0_hz: float, say: Say
) -> Prediction:
    """A prediction that sounds closer: of a synth's knobs, or of settings that are drawn."""
    from timbre_data.models.inference.several_answers import refined

    labels, (before, after) = refined(predictor, prediction, player, evaluations, f0_hz)
    say(f"refined in {evaluations} renders: {before:.2f} dB from the sound before, {after:.2f} dB after")
    closer: Prediction = predictor.with_labels(prediction, labels)
    return closer


def _refuse(predictor: Any, request: PredictRequest, run: str) -> None:
    """Raise `UsageError` for options that this run has no answer to."""
    trained, target = predictor.trained, predictor.target
    if request.at is not None:
        raise UsageError("--at is for runs that map sounds to sounds.")
    if request.textgrid is not None and not target.windows:
        raise UsageError(f"--textgrid is for runs that label frames; {run} learned {trained.target}.")
    if request.out is not None and target.windows:
        raise UsageError("--out writes sounds; a phoneme track is written with --textgrid.")
    asked = request.out is not None or request.refine or request.answers or request.effect is not None
    if asked and target.task != "regression":
        raise UsageError(
            f"{run} predicts classes, not parameters: --out, --refine, --answers and --effect need a run of parameters."
        )
    if request.out is not None and request.dry is None and not predictor.of_a_synth:
        raise UsageError("--out needs the dry sound to play through the effect: give it with --dry.")
    if request.answers and not trained.draws:
        raise UsageError(f"{run} gives one answer only: --answers needs a model that draws, such as inverse_flow.")
    if (request.refine or request.answers) and request.dry is None and not predictor.of_a_synth:
        option = "--refine" if request.refine else "--answers"
        raise UsageError(f"{option} needs the dry sound to compare with: give it with --dry.")


def _with_sounds(
    predictor: Any, prediction: Prediction, settings: list[Setting], request: PredictRequest, say: Say
) -> list[Setting]:
    """Search for closer settings, and write the sound, as asked."""
    from timbre_data.models.inference import matching

    if (
        request.refine
        and settings
        and request.dry is not None
        and not (predictor.of_a_synth or predictor.trained.draws)
    ):
        settings, (before, after) = matching.refine(predictor, settings, request.file, request.dry, request.refine)
        say(f"refined in {request.refine} renders: MRSTFT {before:.3g} from the sound before, {after:.3g} after")
    if request.out is not None and predictor.of_a_synth:
        matching.write_played(predictor, prediction, request.out)
        say(f"the synth with these parameters in {request.out}, playing the first note of its dataset")
    elif request.out is not None and request.dry is not None:
        matching.write_match(request.dry, settings, request.out)
        say(f"matched sound in {request.out}")
    return settings
