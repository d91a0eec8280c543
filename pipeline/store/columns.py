"""Every array of a dataset, once: its path, and to which content hash it belongs.

`layout` says how each is stored; `task_session` hashes and writes them; everything else reads them by these names.
"""

from __future__ import annotations

from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe

SPLITS = ("train", "validation", "test")
"""Names of the values of `split`."""
AUDIO_CHUNK, TABLE_CHUNK = 64, 256
"""Rows per chunk of sounds and spectrograms, and of everything else."""
FRAME_SECONDS = 0.01
"""Distance of labelled frames: number k is the frame at k times this."""

AUDIO = "audio"
PARAMS = "params"
MASK = "labels/mask"
IDENTIFIABLE = "labels/identifiable"
ORDER = "labels/order"
EFFECT_DB = "labels/effect_db"
TAGS = "labels/tags"
CLIP = "labels/clip"
FRAMES = "labels/frames"
FILE = "labels/file"
RESPONSE = "labels/response_db"
VARIATION = "labels/variation"
SPLIT = "split"
ATTEMPT = "attempt"
GAIN = "gain"
FAILED = "failed"
DRY_INDEX = "dry/index"
DRY_AUDIO = "dry/audio"
DRY_MIDI = "dry/midi"
DRY_GAIN = "dry/gain"
DRY_IDENTITY = "dry/identity"
DRY_GROUP = "dry/group"
DRY_NOTE = "dry/note"
DRY_VELOCITY = "dry/velocity"
DRY_F0 = "dry/f0_hz"
ROW_HASH = "integrity/rows"
DRY_HASH = "integrity/dry"
ORIGIN_DATASET = "origin/dataset"
ORIGIN_ROW = "origin/row"
ORIGIN_DRY = "origin/dry_index"
ORIGIN_HASH = "integrity/origin"
SOURCE_ROW = "origin/source_row"
SOURCE_DRY = "origin/source_dry"
"""What a dataset is to take over, while it is being selected or merged."""

ROW_ARRAYS = (
    AUDIO,
    PARAMS,
    MASK,
    IDENTIFIABLE,
    ORDER,
    EFFECT_DB,
    SPLIT,
    ATTEMPT,
    GAIN,
    FAILED,
    DRY_INDEX,
)
"""The arrays that `integrity/rows` hashes, in this order; then the extra labels of a dataset."""
DRY_ARRAYS = (DRY_AUDIO, DRY_IDENTITY, DRY_GROUP, DRY_NOTE, DRY_VELOCITY, DRY_F0, DRY_GAIN)
"""The arrays that `integrity/dry` hashes."""
PLAYED_ARRAYS = (DRY_MIDI, DRY_IDENTITY, DRY_GROUP, DRY_NOTE, DRY_VELOCITY, DRY_F0)
"""The same where a synth plays: its notes stand for the dry sounds."""

MEANINGS = {
    AUDIO: "the sound of each row, as stored: times 1/32767 where it is int16",
    PARAMS: "parameters of each row, normalized to 0 to 1",
    MASK: "whether a parameter applies to the row: its effect is on, and its value matters there",
    IDENTIFIABLE: "whether a parameter that applies can be heard",
    ORDER: "place of each effect in the chain of the row, -1 where it is off",
    EFFECT_DB: "change by the effects in dB, below -60 inaudible; nan where nothing came before the synth",
    TAGS: "tags of the sound",
    CLIP: "recording that the row is a piece of",
    FRAMES: "class of each frame, -1 where unlabelled",
    FILE: "file that the row was imported from",
    RESPONSE: "gain in dB of all filters of the row together, from 0 Hz to half the rate",
    VARIATION: "how the dry sound of the row was varied, normalized to 0 to 1; nan where a variation is off",
    SPLIT: "0 train, 1 validation, 2 test; by dry sound, so that none is in two of them (by row where a synth plays)",
    ATTEMPT: "how often the parameters were drawn again because the sound was silent",
    GAIN: "factor that the sound was multiplied with before it was stored",
    FAILED: "whether the row could not be made; its sound is silence",
    DRY_INDEX: "number of the dry sound of each row",
    DRY_AUDIO: "dry sounds, as stored",
    DRY_MIDI: "what the synth plays, as text",
    DRY_GAIN: "factor that the dry sound was multiplied with before it was stored",
    DRY_IDENTITY: "name of the dry sound",
    DRY_GROUP: "dry sounds of one group are in one split",
    DRY_NOTE: "MIDI note",
    DRY_VELOCITY: "MIDI velocity",
    DRY_F0: "fundamental in Hz, nan where unknown",
    ROW_HASH: "hash of everything in the row; 0 means not there",
    ORIGIN_DATASET: "number of the dataset that the row comes from, in the list of origins",
    ORIGIN_ROW: "number of the row there",
    ORIGIN_DRY: "number of its dry sound there",
    ORIGIN_HASH: "hash of the arrays in which the row is told otherwise than there",
    DRY_HASH: "hash of the dry sound; 0 means not there",
}
"""What every array holds, in words for cards and exports."""


def dry_arrays(recipe: Recipe) -> tuple[str, ...]:
    """The arrays of a dataset's dry sounds, or of what its synth played."""
    return PLAYED_ARRAYS if recipe.chain.synth else DRY_ARRAYS


def label(name: str) -> str:
    """The path of a label array that an importer brings."""
    return f"labels/{name}"


def feature_hash(name: str) -> str:
    """The path of the hashes of a feature set's rows."""
    return f"integrity/{name}"


def check_split(name: str) -> None:
    """Raise `UsageError` for what is not the name of a split."""
    if name not in SPLITS:
        raise UsageError(f"--split {name} is not a split: choose {', '.join(SPLITS)}.")
