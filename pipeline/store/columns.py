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
