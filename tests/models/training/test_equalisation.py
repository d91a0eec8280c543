"""The end-to-end equaliser: its kernels, its counts, overlap and add, both stages, resuming, evaluation and use."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal
from torch.nn import functional as F

from tests.conftest import Once, build
from timbre_data.models.architectures import Shape
from timbre_data.models.architectures.eq_autoencoder import OPEN, EqAutoencoder, filter_bank
from timbre_data.models.data.pairs import EDGE, OVERLAP, Pairs, added, setting_text, to_frames
from timbre_data.models.evaluation import epochs
from timbre_data.models.evaluation.equaliser_losses import (
    Losses,
    frame_loss,
    play,
    validate,
    warped_frame_loss,
    warped_places,
)
from timbre_data.models.evaluation.equaliser_scores import measured_response, probes
from timbre_data.models.inference import processing, report
from timbre_data.models.inference.note_stream import PcmFormat, predictions
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.standalone import export_model
from timbre_data.models.layers import sparse_filters as sf
from timbre_data.models.studies.evaluate import evaluate
from timbre_data.models.training import checkpoints, pair_training, train
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.store.columns import RESPONSE
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.settings import TrainSettings

RATE = 16_000
QUICK = {"frame_step": 32, "options": {"first_stage": 2, "second_stage": 3, "validation_notes": 1}}


def pairs_of(name: str, folder: Path) -> Path:
    changes = {"n": 60, "source.keys": [57, 59], "source.validation": 0.7, "audio.seconds": 0.5}
    build(recipes.load(validation.override(recipes.read(name), changes)), str(folder / name))
    return folder / name


@pytest.fixture(scope="module")
def shelving(once: Once) -> Path:
    return once("equalisation-shelving", lambda folder: pairs_of("eq-shelving", folder)) / "eq-shelving"


@pytest.fixture(scope="module")
def several(once: Once) -> Path:
    return once("equalisation-any", lambda folder: pairs_of("eq-any", folder)) / "eq-any"


def test_the_published_counts() -> None:
    network = EqAutoencoder()
    front = (network.filters, network.bias, network.smoothing, network.smoothing_bias)
    assert sum(parameter.numel() for parameter in front) == 24_832
    assert sum(parameter.numel() for parameter in network.parameters()) == 561_472


@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernels_do_what_pytorchs_layers_do(threads: int) -> None:
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    network, frames = EqAutoencoder(), torch.randn(5, 1024)

    found = []
    for way in (nullcontext(), sf.plainly()):
        network.zero_grad()
        with way:
            output = network(frames)
        output.square().mean().backward()
        found.append(
            (output, [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None])
        )
    torch.set_num_threads(before)
    (ours, our_gradients), (theirs, their_gradients) = found
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert len(our_gradients) == len(their_gradients) == 8
    for one, other in zip(our_gradients, their_gradients, strict=True):
        assert (one - other).abs().max() < 1e-4 * other.abs().max()


def test_pooling_before_the_soft_plus_keeps_the_same_values() -> None:
    x = torch.randn(3, 4, 64)
    assert torch.allclose(F.softplus(F.max_pool1d(x, 16)), F.max_pool1d(F.softplus(x), 16))


@pytest.mark.parametrize("samples", [1, 63, 64, 1000, 5000, 64_000])
def test_overlap_and_add_gives_back_what_was_cut(samples: int) -> None:
    sound = torch.randn(samples)
    assert torch.allclose(added(to_frames(sound))[EDGE : EDGE + samples] / OVERLAP, sound, atol=1e-5)


class _Through(EqAutoencoder):
    """A network that changes nothing."""

    def forward(self, frames: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return frames


@pytest.mark.parametrize("samples", [1, 500, 16_000, 70_001])
def test_whole_sounds_are_played_without_seams(samples: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    assert np.abs(play(_Through(), sound, -10.0) - sound).max() < 1e-5


def test_a_measured_response_is_the_filters() -> None:
    sos = signal.butter(2, 500, "lowpass", fs=RATE, output="sos")
    for sound in probes(RATE).values():
        hertz, gain, enough = measured_response(sound, signal.sosfilt(sos, sound), RATE)
        told = 20 * np.log10(np.abs(signal.sosfreqz(sos, hertz, fs=RATE)[1]))
        assert enough.sum() > 300
        assert np.abs(gain - told)[enough & (told > -30)].max() < 0.5


def test_pairs_are_at_their_true_levels(shelving: Path) -> None:
    """The target is the filtered input: gains of storing are undone, and a +10 dB shelf is +10 dB."""
    data = Dataset(str(shelving))
    pairs = Pairs(data, -10.0)
    assert pairs.condition.shape[1] == 0
    for place in range(0, 60, 7):
        before, after = (sound.numpy() for sound in pairs.sounds(place))
        assert np.abs(before).max() == pytest.approx(10**-0.5, abs=1e-3)
        hertz, gain, _ = measured_response(before, after, RATE)
        assert np.median(gain[(hertz > 150) & (hertz < 300)]) == pytest.approx(data.read(RESPONSE)[place][15], abs=1.0)


@pytest.mark.slow
def test_both_stages_are_trained_scored_and_heard(shelving: Path, tmp_path: Path) -> None:
    settings = TrainSettings(model="eq-autoencoder", data=(str(shelving),), **QUICK)
    run, done = train.train(settings)
    assert done == "trained"
    assert train.train(settings) == (run, "finished already")
    stages = [row["stage"] for row in epochs.read(run)]
    assert stages == [1, 2]
    found = evaluate(run, sounds=2).metrics
    assert found["parameters"] == 561_472
    assert found["losses"]["loss"] == pytest.approx(sum(found["losses"][key] for key in ("kl", "mse", "mae")))
    assert set(found["response"]) == {"sweep", "noise", "notes"}
    for name in ("filters.png", "note.png", "response.png", "loss.png", "listen/1-output.wav"):
        assert (run / "evaluation" / name).stat().st_size > 1000
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", rng.uniform(-0.5, 0.5, (30_000, 2)), 44_100)
    told = processing.process_file(run, tmp_path / "in.wav", tmp_path / "out.wav", None, {})
    assert told["resampled_to"] == RATE
    assert "nothing above 8000 Hz" in report.processed_text(told)
    assert soundfile.info(tmp_path / "out.wav").frames == 30_000
    assert soundfile.info(tmp_path / "out.wav").channels == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "on_gpu", [False, pytest.param(True, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_without_the_kernels_training_comes_out_the_same(
    several: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: bool
) -> None:
    """As on a GPU, by PyTorch's own layers. Rounding decides which of two nearly equal values is kept, hence the
    tolerance.
    """
    settings = TrainSettings(model="eq-autoencoder", data=(str(several),), batch_size=2, **QUICK)
    found = {}
    for way in ("kernels", "layers"):
        with monkeypatch.context() as patch:
            if way == "kernels" or not on_gpu:
                patch.setattr(torch.cuda, "is_available", lambda: False)
            with sf.plainly() if way == "layers" else nullcontext():
                run, _ = train.train(settings, name=way)
        assert all(value.device.type == "cpu" for value in checkpoints.load(run).network.state_dict().values())
        found[way] = [row["validation_loss"] for row in epochs.read(run)]
    first, second = zip(found["layers"], found["kernels"], strict=True)
    assert first[0] == pytest.approx(first[1], rel=0.02)
    assert second[0] == pytest.approx(second[1], rel=0.1)  # 0.1 to 5 % were seen, with other notes


@pytest.mark.slow
@pytest.mark.parametrize("latent", ["dense", "recurrent"])
def test_training_learns(shelving: Path, latent: Literal["dense", "recurrent"]) -> None:
    """Twenty short iterations bring the loss of mapping input to target down on held-out notes; with a recurrent latent
    network those of the warped loss.
    """
    torch.manual_seed(0)
    pairs = Pairs(Dataset(str(shelving)), -10.0)
    network = EqAutoencoder(latent=latent)
    loss = frame_loss if latent == "dense" else partial(warped_frame_loss, rate=RATE)
    optimizer = torch.optim.Adam(network.groups(), lr=2e-3)
    for group in optimizer.param_groups:
        group["lr"] *= group["share"]
    chosen = pairs.where(2)[:1]
    before = validate(network, pairs, chosen, 1, 256).total
    for k in range(20):
        sources, targets = (to_frames(sound, 256) for sound in pairs.sounds(int(pairs.where(0)[k % 4])))
        optimizer.zero_grad()
        for one in pair_training.stage_losses(network, sources, targets, None, 1, loss):
            torch.autograd.backward(one)
        optimizer.step()
    assert validate(network, pairs, chosen, 1, 256).total < 0.7 * before


def test_the_network_begins_near_to_doing_nothing(shelving: Path) -> None:
    torch.manual_seed(0)
    pairs = Pairs(Dataset(str(shelving)), -10.0)
    frames = to_frames(pairs.sounds(0)[0], 256)
    network = EqAutoencoder()
    with torch.inference_mode():
        for output in (network(frames), network.reconstruct(frames)):
            assert float((output - frames).square().mean() / frames.square().mean()) < 0.02


def test_the_first_filters_give_a_sound_back_where_places_are_even() -> None:
    frames = torch.randn(2, 1024)
    bank = filter_bank()
    values = sf.analyse_plainly(frames, bank, torch.zeros(128))[:, :, ::16]
    places = (torch.arange(64) * 16).expand_as(values).contiguous()
    rebuilt = OPEN * sf.synthesise_plainly(values, places, bank, 1024)
    inner = slice(64, -64)
    assert float((rebuilt - frames)[:, inner].abs().max()) < 1e-4


def test_a_band_is_sparse_where_its_double_is_dense() -> None:
    """Of a sound that swells and fades, half of the filters keep the nearest places to its middle and half the
    farthest.
    """
    time = torch.arange(1024)
    sound = (2 * torch.pi * 0.03 * time).sin() * (-(((time - 520) / 60.0) ** 2)).exp()
    _, places, _ = EqAutoencoder().encode(sound[None])
    near = (places[0] - 520).abs().min(dim=1).values
    loud = torch.tensor([4, 5])  # the band at 0.023 of the rate, and its double
    assert near[loud].max() < near[loud + 2].min()


def test_every_setting_begins_as_the_same() -> None:
    torch.manual_seed(0)
    network, frames = EqAutoencoder(3), torch.randn(2, 1024)
    with torch.inference_mode():
        assert torch.equal(network(frames, torch.randn(2, 3)), network(frames, torch.zeros(2, 3)))


def test_filters_and_smoothing_learn_more_slowly() -> None:
    network = EqAutoencoder()
    groups = network.groups()
    assert [group["share"] for group in groups] == [1.0, 0.1, 1e-3]
    assert sum(one.numel() for group in groups for one in group["params"]) == 561_472


@pytest.mark.slow  # two trainings
def test_a_stopped_training_goes_on_to_the_same_network(shelving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_training, "ROUND", 1)
    settings = TrainSettings(model="eq-autoencoder", data=(str(shelving),), **QUICK)
    whole, _ = train.train(settings, name="whole")
    original, calls = pair_training.stage_losses, []

    def stop(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(pair_training, "stage_losses", stop)
    with pytest.raises(Exception, match="interrupted"):
        train.train(settings, name="parts")
    monkeypatch.setattr(pair_training, "stage_losses", original)
    parts, done = train.train(settings, name="parts")
    assert done == "resumed"
    states = [checkpoints.load(run).network.state_dict() for run in (whole, parts)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_step_that_a_run_does_not_know_is_refused() -> None:
    described = ({"name": "filter.gain_db", "low": -15, "high": 15, "unit": "dB", "kind": "db"},)
    trained = replace(_trained_without_condition(), shape=Shape(0, 0, conditioning=1), parameters=described)
    assert processing.condition_from(trained, {"gain_db": 15.0}, None) == torch.ones(1)
    with pytest.raises(UsageError, match="this run knows filter, not lowpass"):
        processing.condition_from(trained, {}, "lowpass")


def test_a_training_that_diverges_says_so(shelving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_training, "validate", lambda *_: Losses(math.nan, 0.0, 0.0))
    with pytest.raises(UsageError, match="lower --set learning_rate"):
        train.train(TrainSettings(model="eq-autoencoder", data=(str(shelving),), **QUICK), name="diverged")


def test_frames_of_several_notes_follow_one_another_with_their_conditions(several: Path) -> None:
    pairs = Pairs(Dataset(str(several)), -10.0)
    before, after, condition = pairs.frames([3, 7, 3], 48)
    assert condition is not None
    parts = [[to_frames(sound) for sound in pairs.sounds(place)] for place in (3, 7, 3)]
    count = len(parts[0][0])
    assert count % 48
    for k, frames in enumerate((before, after)):
        assert torch.equal(frames, torch.cat([part[k] for part in parts])[::48])
    row = np.repeat((3, 7, 3), count)[::48]
    assert (condition.numpy() == pairs.condition[row]).all()
    assert not np.array_equal(pairs.condition[3], pairs.condition[7])


@pytest.mark.slow
def test_one_network_for_many_settings(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., int]
) -> None:
    run, _ = train.train(TrainSettings(model="eq-autoencoder", data=(str(several),), batch_size=3, **QUICK))
    trained = checkpoints.load(run)
    assert trained.effects == ("shelving", "peaking", "lowpass", "highpass")
    assert trained.shape.conditioning == 10 + 4
    given = processing.condition_from(trained, {"gain_db": 0.0, "frequency_hz": 500.0, "q": 1.0}, "peaking")
    assert given is not None
    assert given.shape == (14,)
    assert (given != 0).sum() == 4
    with pytest.raises(UsageError, match="--at needs lowpass"):
        processing.condition_from(trained, {"gain_db": 1.0}, "lowpass")
    with pytest.raises(UsageError, match="choose one with --effect"):
        processing.condition_from(trained, {}, None)
    for value in (0.0, -5.0, 1e6, math.nan):
        with pytest.raises(UsageError, match="this run learned"):
            processing.condition_from(trained, {"gain_db": 0.0, "frequency_hz": value, "q": 1.0}, "peaking")
    found = evaluate(run, sounds=3).metrics
    assert "noise, 3 held-out settings" in found["response"]
    grown = tmp_path / "grown"
    shutil.copytree(several, grown)
    recipe = Dataset(str(grown)).recipe
    build(recipe.model_copy(update={"n": recipe.n + 40}), str(grown))
    other = evaluate(run, data=[str(grown)], sounds=3).metrics
    assert int((Dataset(str(grown)).split()[: recipe.n] < 2).sum()) <= other["learned_rows"] < recipe.n + 40
    assert other["distance"]["nearest"] > 0
    with pytest.raises(UsageError, match="with --out"):
        list(predictions(Predictor(run), io.BytesIO(), PcmFormat(RATE)))
    assert (run / "evaluation" / "settings.png").stat().st_size > 1000
    pairs = Pairs(Dataset(str(several)), -10.0)
    for place in range(8):
        said = setting_text(pairs, place).split()
        step = said[0]
        names = [name for name in pairs.names if name.startswith(f"{step}.")]
        numbers = [float(one) for one in said[1:] if one not in ("dB", "Hz", "q")]
        for name, value in zip(names, numbers, strict=True):
            one = next(Parameter.model_validate(p) for p in trained.parameters if p["name"] == name)
            assert one.to_unit(value) == pytest.approx(pairs.condition[place, pairs.names.index(name)], abs=1e-3)
    soundfile.write(tmp_path / "in.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), RATE)

    predict, out = ("predict", str(run), str(tmp_path / "in.wav")), ("--out", str(tmp_path / "out.wav"))
    assert command(*predict, *out, "--effect", "lowpass", "--at", "frequency_hz=700,q=0.8", "--json") == 0
    assert json.loads(capsys.readouterr().out)["resampled_to"] is None
    assert command(*predict) == 2
    assert len(export_model(run, tmp_path / "x.pt2")["settings"]) == len(trained.parameters) + len(trained.effects)
    assert command(*predict, *out, "--effect", "lowpass", "--at", "frequency_hz") == 2
    assert "expected name=number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "row"),
        ("initial", "other"),
        ("limit", 4),
        ("optimizer", "sgd"),
        ("max_epochs", 7),
        ("precision", "bf16-mixed"),
        ("hold_out", "B*"),
    ],
)
def test_settings_without_a_use_are_refused(shelving: Path, field: str, value: object) -> None:
    settings = TrainSettings.model_validate({"model": "eq-autoencoder", "data": [str(shelving)], field: value})
    with pytest.raises(UsageError, match="leave"):
        train.train(settings)


def test_what_has_no_pairs_is_refused(tmp_path: Path) -> None:
    build(recipes.load({"name": "s", "chain": [{"synth": "subtractive"}], "audio": {"seconds": 0.2}, "n": 8}), "synth")
    with pytest.raises(UsageError, match="no pairs"):
        train.train(TrainSettings(model="eq-autoencoder", data=("synth",)))
    with pytest.raises(UsageError, match="takes no settings"):
        processing.condition_from(_trained_without_condition(), {"gain_db": 1.0}, None)


def _trained_without_condition() -> checkpoints.Trained:
    network = checkpoints.Standardized(EqAutoencoder(), 0)
    return checkpoints.Trained("eq-autoencoder", network, Shape(0, 0), {}, (), (), ())


@pytest.mark.slow  # a training
def test_a_recurrent_latent_network_and_a_warped_loss(shelving: Path, tmp_path: Path) -> None:
    """It begins near to doing nothing, is measured by the paper's loss, and comes back from its file."""
    torch.manual_seed(0)
    network = EqAutoencoder(latent="recurrent")
    pairs = Pairs(Dataset(str(shelving)), -10.0)
    frames = to_frames(pairs.sounds(0)[0], 256)
    with torch.inference_mode():
        assert float((network(frames) - frames).square().mean() / frames.square().mean()) < 0.02
    options = {"first_stage": 2, "second_stage": 3, "validation_notes": 1, "latent": "recurrent", "warped_loss": True}
    quick: dict[str, Any] = {"frame_step": 32, "options": options, "measure_energy": True}
    run, _ = train.train(TrainSettings(model="eq-autoencoder", data=(str(shelving),), **quick), name="recurrent")
    evaluation = evaluate(run, sounds=1)
    found = evaluation.metrics
    assert found["about"] == {"transformation": "shelving"}
    assert "Martinez" not in evaluation.markdown(), "no paper has this network, or this loss"
    assert np.isfinite(found["losses"]["loss"])
    assert (run / "energy.json").is_file()
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 4000).astype(np.float32)
    again = checkpoints.load(run).network.network
    assert isinstance(again, EqAutoencoder)
    assert again.latent == "recurrent"
    again.for_inference()
    export_model(run, tmp_path / "program.pt2")
    exported = torch.export.load(tmp_path / "program.pt2").module()
    assert np.allclose(exported(torch.from_numpy(sound)).detach().numpy(), play(again.eval(), sound, -10.0), atol=1e-4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_places_are_warped_as_an_all_pass_warps(rate: int) -> None:
    """The phase of the all-pass that frequency-warped filters are made of, by SciPy, takes the places back to even
    steps.
    """
    bins = 513
    places = warped_places(bins, rate).numpy()
    assert places[0] == 0
    assert places[-1] == pytest.approx(bins - 1)
    assert (np.diff(places) > 0).all()
    warping = 1.0674 * math.sqrt(2 / math.pi * math.atan(0.06583 * rate / 1000)) - 0.1916
    _, response = signal.freqz([-warping, 1], [1, -warping], worN=places / (bins - 1) * math.pi)
    even = -np.unwrap(np.angle(response))
    assert np.allclose(even, np.linspace(0, math.pi, bins), atol=1e-6)
    if rate == 16_000:  # the ear's own scale: a Bark is as wide low as high (Zwicker & Terhardt 1980)
        hertz = places / (bins - 1) * rate / 2
        bark = 13 * np.arctan(0.00076 * hertz) + 3.5 * np.arctan((hertz / 7500) ** 2)
        assert np.abs(bark / bark[-1] - np.linspace(0, 1, bins)).max() < 0.03
