"""The clean notes and chords of IDMT-SMT-Audio-Effects as dry sound: real guitars and basses for `render`."""

from __future__ import annotations

from collections.abc import Sequence

from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.importers.idmt_smt_audio_effects import IdmtSettings, scan
from timbre_data.pipeline.sound.audio import prepare_note, read
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import SourceError

THRESHOLD_DB = -40.0


class CleanNotes:
    """The recordings without an effect, by note."""

    def __init__(self, settings: IdmtSettings) -> None:
        inventory = scan(settings)
        self._files = [origin.file for origin in inventory.origins if origin.file is not None]
        if not self._files:
            raise SourceError("idmt_smt_audio_effects", {str(settings.path): "holds no clean notes (NoFX)"})
        self.notes: Sequence[Note] = [
            Note(identity=origin.identity, midi_note=origin.midi_note, f0_hz=origin.f0_hz)
            for origin in inventory.origins
            if origin.file is not None
        ]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Read note `index`: float32 (channels, samples) from its onset, peak at 1."""
        audio = read(self._files[index], rate, channels)
        return prepare_note(audio, rate, samples, cut_onset=True, threshold_db=THRESHOLD_DB)


SOURCE = Source(
    licence="CC-BY-NC-ND-4.0",
    summary="The clean notes and chords of IDMT-SMT-Audio-Effects (recorded guitars and basses).",
    settings=IdmtSettings,
    open=CleanNotes,
)
