"""A recipe: everything a dataset is made from. The same recipe gives the same bytes on one machine with the same
package versions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from timbre_data.schemas.base import Frozen

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class Claim(Frozen):
    """The publication that a recipe reproduces."""

    paper: str = Field(description="paper that is reproduced")
    table: str = Field("", description="table or figure in it")
    expected: str = Field("", description="expected result")
    time: str = Field("", description="time it takes, and on what")
    command: str = Field("", description="command that reproduces it")


class SourceSpec(BaseModel):
    """The source of dry sounds, and its settings (checked by the source itself)."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str = Field(description="name of the source")

    @property
    def settings(self) -> dict[str, Any]:
        """The source's own settings."""
        return dict(self.model_extra or {})


Isolation = Literal["auto", "reuse", "settle", "fresh", "fork", "process"]


class Step(Frozen):
    """One effect of a chain, or at its beginning one synth.

    `name` tells two of the same effect apart; `probability` is how often the step is on. A synth has `settings` of its
    own (checked by the synth; an effect that is a plug-in has some too), and where it keeps state between sounds
    `isolation` says how rows are kept apart; "auto" measures which is needed.
    """

    effect: str = Field("", description="name of an effect")
    synth: str = Field("", description="name of a synth (first step only)")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings of the synth, or of an effect that has some"
    )
    isolation: Isolation = Field("auto", description="how rows of a synth are kept apart; auto measures what is needed")
    name: str = Field("", pattern=r"^([a-z][a-z0-9_]*)?$", description="label of the step, if an effect occurs twice")
    probability: float = Field(1.0, gt=0, le=1, description="how often the step is used")
    resolution: float | None = Field(
        None, gt=0, le=0.5, description="step of the normalized values of all its parameters"
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="changed drawing of parameters, by name: a value, [low, high], or distribution and resolution",
    )

    @model_validator(mode="after")
    def _effect_or_synth(self) -> Self:
        if bool(self.effect) == bool(self.synth):
            raise ValueError("a step is either an effect or a synth: give `effect` or `synth`")
        if self.effect and self.isolation != "auto":
            raise ValueError("only a synth has isolation")
        return self

    @property
    def label(self) -> str:
        """The name in labels and parameter names."""
        return self.name or self.member

    @property
    def member(self) -> str:
        """The effect's or synth's name in the catalogue."""
        return self.effect or self.synth


class ChainSpec(Frozen):
    """Effects in a row.

    `choose` lets each row have only so many of the steps, drawn at random: a number, or [fewest, most]. `shuffle` draws
    their order too. Both are labels (`labels/order`). `engine` says what renders the effects that both know.
    """

    steps: tuple[Step, ...] = Field(min_length=1, description="effects in order, or a synth and effects")
    choose: tuple[int, int] | None = Field(
        None, description="how many of the steps a row has: a number, or [fewest, most]"
    )
    shuffle: bool = Field(False, description="whether the order of the steps is drawn")
    engine: Literal["compiled", "pedalboard"] = Field(
        "compiled", description="compiled: our own kernels, where an effect has one; pedalboard: its plug-ins always"
    )

    @model_validator(mode="before")
    @classmethod
    def _number_or_range(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("choose"), int):
            data = data | {"choose": (data["choose"], data["choose"])}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [step.label for step in self.steps]
        if len(set(labels)) != len(labels):
            raise ValueError(f"steps need different names, got {', '.join(labels)}: give them one with `name`")
        if self.choose and not 0 <= self.choose[0] <= self.choose[1] <= len(self.steps):
            raise ValueError(f"choose must lie between 0 and the number of steps ({len(self.steps)})")
        if self.choose and any(step.probability < 1 for step in self.steps):
            raise ValueError("choose and probability exclude each other")
        if any(step.synth for step in self.steps[1:]):
            raise ValueError(
                "a synth makes the sound that the effects after it change: it is the first step, and the only synth"
            )
        if self.synth and (self.choose or self.shuffle or self.synth.probability < 1):
            raise ValueError(
                "a synth is always there, and first: a chain that begins with one has no choose, shuffle or probability for it"
            )
        return self

    @property
    def synth(self) -> Step | None:
        """The synth at the beginning of the chain, if there is one."""
        return self.steps[0] if self.steps[0].synth else None


def _named_steps(value: Any) -> Any:
    """Spell out steps that are given by an effect's name alone."""
    if isinstance(value, list | tuple):
        return [{"effect": step} if isinstance(step, str) else step for step in value]
    return value


class Vary(Frozen):
    """How dry sounds are varied before the chain: effects in order, drawn for each dry sound from the seed.

    Every dry sound is made `copies` times, each with a draw of its own, so up to copies times as many rows as the
    source has sounds have an input of their own. What goes into the chain is stored as dry sound, and what was drawn as
    `labels/variation`, so labels of the chain stay exact.
    """

    steps: Annotated[tuple[Step, ...], BeforeValidator(_named_steps)] = Field(
        min_length=1, description="effects in order, each with its probability and ranges"
    )
    copies: int = Field(8, ge=1, le=4096, description="varied copies of each dry sound")

    @model_validator(mode="after")
    def _effects(self) -> Self:
        if any(step.synth for step in self.steps):
            raise ValueError("vary: only effects vary a dry sound, not a synth")
        labels = [step.label for step in self.steps]
        if len(set(labels)) != len(labels):
            raise ValueError(f"steps need different names, got {', '.join(labels)}: give them one with `name`")
        return self

    @property
    def chain(self) -> ChainSpec:
        """The steps as a chain."""
        return ChainSpec(steps=self.steps)


LEAST_SAMPLES = 64


class AudioFormat(Frozen):
    """The storage format of sounds.

    `peak` "normalise" brings every dry and wet sound to full scale (the AutoFX paper); "fit" only turns down what would
    clip. The gain is stored either way. `codec` "fast" is lz4, "archive" zstd. `dtype` float32 stores without rounding.
    """

    rate: int = Field(22050, ge=4000, le=384_000, description="sampling rate in Hz")
    channels: int = Field(1, ge=1, le=8, description="number of channels")
    seconds: float = Field(1.5, gt=0, le=600, description="duration of a sound in seconds")
    peak: Literal["fit", "normalise"] = Field(
        "fit", description="normalise: every sound to full scale; fit: only turn down what would clip"
    )
    dtype: Literal["int16", "float32"] = Field("int16", description="stored sample type")
    codec: Literal["fast", "archive"] = Field("fast", description="fast (lz4) or archive (zstd)")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.samples < LEAST_SAMPLES:
            raise ValueError(
                f"{self.seconds:g} s at {self.rate} Hz are {self.samples} samples, at least {LEAST_SAMPLES}"
            )
        return self

    @property
    def samples(self) -> int:
        """Samples per channel of one sound."""
        return round(self.rate * self.seconds)


class SplitRule(Frozen):
    """Shares of training, validation and test. The stored split goes by dry sound: no note is on two sides."""

    train: float = Field(0.8, ge=0, le=1, description="share of the training split")
    validation: float = Field(0.1, ge=0, le=1, description="share of the validation split")
    test: float = Field(0.1, ge=0, le=1, description="share of the test split")
    seed: int = Field(0, ge=0, description="seed of the assignment")

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test must sum to 1, got {total:g}")
        return self


def as_named(value: Any) -> Any:
    """Spell out a source that is given by its name alone."""
    return {"name": value} if isinstance(value, str) else value


def as_chain(value: Any) -> Any:
    """Spell out a chain that is given as one effect's name, or as a list of steps or names."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {"steps": value}
    if isinstance(value, dict) and isinstance(value.get("steps"), list):
        value = value | {"steps": [{"effect": step} if isinstance(step, str) else step for step in value["steps"]]}
    return value


class Recipe(Frozen):
    """One dataset: dry sounds from `source`, through `chain`, `n` rows from `seed`. A synth gets notes from its
    source.
    """

    name: str = Field(pattern=NAME, description="name of the dataset")
    description: str = Field("", description="what the dataset is, in a sentence")
    licence: str = Field(
        "CC0-1.0", description="licence of the dataset; by default that of the source's sounds, empty if not stated"
    )
    citation: str = Field("", description="how to cite it")
    claim: Claim | None = Field(None, description="what it reproduces")
    source: Annotated[SourceSpec, BeforeValidator(as_named)] = Field(
        SourceSpec(name="plucked_string"), description="source of dry sound, or of notes for a synth"
    )
    vary: Vary | None = Field(None, description="how dry sounds are varied before the chain")
    chain: Annotated[ChainSpec, BeforeValidator(as_chain)] = Field(description="effects, or a synth and effects")
    audio: AudioFormat = Field(AudioFormat(), description="how sounds are stored")
    n: int = Field(1000, ge=1, le=2**40, description="number of rows")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all random numbers")
    split: SplitRule = Field(SplitRule(), description="shares of the splits")
    features: tuple[str, ...] = Field((), description="feature sets that featurize computes")

    @model_validator(mode="after")
    def _varies_dry_sounds(self) -> Self:
        if self.vary is not None and self.chain.synth:
            raise ValueError("vary: a chain that begins with a synth has no dry sound to vary")
        return self

    @model_validator(mode="before")
    @classmethod
    def _notes_for_a_synth(cls, data: Any) -> Any:
        if isinstance(data, dict) and "source" not in data:
            chain = as_chain(data.get("chain"))
            steps = chain.get("steps") if isinstance(chain, dict) else None
            if isinstance(steps, list) and steps and isinstance(steps[0], dict) and steps[0].get("synth"):
                return data | {"source": "notes"}
        return data

    def identity(self) -> dict[str, Any]:
        """The fields that decide bytes: what must not change while a dataset grows (n may) or gains features."""
        fields = self.model_dump(mode="json", include={"source", "chain", "audio", "seed", "split"})
        if fields["chain"]["engine"] == "compiled":  # as it was written before there was another
            del fields["chain"]["engine"]
        if self.vary is not None:  # left out where there is none, as it was written before
            fields["vary"] = self.vary.model_dump(mode="json")
        for step in fields["chain"]["steps"]:
            step["settings"] = _undescribed(step["settings"])
            # as they were written before there were synths
            for name, default in (("synth", ""), ("settings", {}), ("isolation", "auto")):
                if step["effect"] and step[name] == default:
                    del step[name]
        return fields


DESCRIBING = ("description", "unit", "response", "stored")


def _undescribed(node: Any) -> Any:
    """Settings without what only describes: texts, units and measurements of a profile's parameters decide no byte."""
    if isinstance(node, dict):
        return {key: _undescribed(value) for key, value in node.items() if key not in DESCRIBING}
    return [_undescribed(one) for one in node] if isinstance(node, list) else node
