"""What a training is: one frozen dataclass whose defaults are the documentation, saved with every run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from training.readers.groups import HELD_OUT
from zoo.errors import ZooError, unknown
from zoo.variants import VariantSpec, get

LOSSES = ("cross-entropy", "mse")


@dataclass(frozen=True)
class Configuration:
    """The effective settings of a run.

    Attributes:
      variant: a name in the registry.
      tag: what the data allow, "open" or "research".
      sources: (name, share) pairs; see `training.data.sources`.
      steps, batch: optimiser steps and crops per step.
      learning_rate, weight_decay, warmup_steps: AdamW, linear warm-up, then a cosine to zero.
      average: momentum of the averaged weights that are kept, less in a short run (see `average_momentum`).
      clip_norm: largest global norm of a gradient.
      sigma_cells, distance_weight: of the loss (see `training.learning.losses`).
      hidden_sigma_cells: deviation of the target of an occluded point, so that the map's spread tells whether it is seen.
      rotation_deg, scale, shift: standard deviations of the jitter after alignment; shift in shares of the eye distance.
      wide_chance, wide_rotation_deg: how often, and how far, a crop is turned much more.
      mirror_chance, photometric, occlusion_chance: 0..1.
      turn_chance: 0..1, how often a face whose labels came with a mesh is turned in depth (see `training.teacher.posing`).
      negative_chance: 0..1, how often a crop shows no aligned face and wants maps that are spread everywhere.
      balance_yaw: 0..1, from drawing faces as often as the source has them to drawing all yaws equally often.
      held_out: share of the groups (people) kept from training, for evaluation.
      init: "imagenet", a local .npz, published weights `variant.tag`, a run, the latter two maybe with ":backbone", or "" for none.
      seed: of weights and batches.
      quantized: whether the run is quantisation-aware.
    """

    variant: str
    tag: str = "open"
    sources: tuple[tuple[str, float], ...] = (("synthetic", 1.0),)
    steps: int = 400
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    average: float = 0.998
    clip_norm: float = 5.0
    sigma_cells: float = 0.7
    hidden_sigma_cells: float = 1.6
    distance_weight: float = 1.0
    rotation_deg: float = 6.0
    scale: float = 0.08
    shift: float = 0.05
    wide_chance: float = 0.1
    wide_rotation_deg: float = 30.0
    mirror_chance: float = 0.5
    photometric: float = 0.8
    occlusion_chance: float = 0.3
    turn_chance: float = 0.0
    negative_chance: float = 0.05
    balance_yaw: float = 0.0
    held_out: float = HELD_OUT
    init: str = ""
    seed: int = 0
    quantized: bool = False
    # What only the studies set otherwise: see `StudyConfiguration`.
    rounded_targets: ClassVar[bool] = False
    loss: ClassVar[str] = "cross-entropy"
    laterals: ClassVar[bool] = True
    calibrated: ClassVar[bool] = True
    head_stages: ClassVar[int] = 0
    face_scale: ClassVar[float] = 1.0
    contour_weight: ClassVar[float] = 1.0

    def __post_init__(self):
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ZooError(f"{name} must be at least 1, received {getattr(self, name)}")
        if not 0 <= self.held_out < 1:
            raise ZooError(f"held_out must lie in 0..1, received {self.held_out}")

    @property
    def spec(self) -> VariantSpec:
        """The network's shape, the variant's."""
        return get(self.variant)

    @property
    def average_momentum(self) -> float:
        """The momentum in use: the average reaches back over a tenth of the run at most, else a short one would keep its random start."""
        return min(self.average, max(0.5, 1 - 10 / self.steps))

    @property
    def statistics_momentum(self) -> float:
        """Of normalisation's running statistics: they follow within a twentieth of a short run, whose weights move faster."""
        return min(0.99, max(0.9, 1 - 20 / self.steps))

    def rate_at(self, step: int) -> float:
        """Returns the learning rate of a step: a linear warm-up, then half a cosine down to a hundredth."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True)
class StudyConfiguration(Configuration):
    """The settings of a study's run, which leave out a trick or set otherwise what no other training may.

    Attributes:
      rounded_targets: points are moved to the middle of their cell.
      loss: "cross-entropy" or "mse".
      laterals: whether the head has lateral connections.
      calibrated: whether ranges are set from float activations before quantisation-aware training.
      head_stages: stages of the head that are kept; 0 for all.
      face_scale: the face's size in the crop against the template's.
      contour_weight: what a contour point's loss counts.
    """

    rounded_targets: bool = False
    loss: str = "cross-entropy"
    laterals: bool = True
    calibrated: bool = True
    head_stages: int = 0
    face_scale: float = 1.0
    contour_weight: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.loss not in LOSSES:
            raise unknown("loss", self.loss, LOSSES)

    @property
    def spec(self) -> VariantSpec:
        """The network's shape: the variant's, without the lateral connections and the last stages that are left out."""
        spec = get(self.variant)
        kept = self.head_stages or len(spec.stages)
        laterals = spec.laterals if self.laterals else (None,) * len(spec.stages)
        return dataclasses.replace(spec, stages=spec.stages[:kept], laterals=laterals[:kept])


_OF_ALL = {field.name for field in dataclasses.fields(Configuration)}
_OF_STUDIES = {field.name: field.default for field in dataclasses.fields(StudyConfiguration) if field.name not in _OF_ALL}


def to_json(configuration: Configuration) -> dict[str, Any]:
    """Returns the configuration as JSON-ready values; of a study's own settings those that are set otherwise."""
    return _without_usual(dataclasses.asdict(configuration))


def from_json(values: dict[str, Any]) -> Configuration:
    """Returns the configuration saved by `to_json`, a study's if it has a study's settings; a ZooError names a setting it does not know."""
    values = _without_usual(values)
    strange = sorted(set(values) - _OF_ALL - set(_OF_STUDIES))
    if strange:
        raise ZooError(f"unknown setting {strange[0]!r} in the saved configuration; known: {', '.join(sorted(_OF_ALL))}")
    kind = StudyConfiguration if set(values) & set(_OF_STUDIES) else Configuration
    for field in dataclasses.fields(kind):
        if field.name in values and field.name != "sources":
            _check_setting(field.name, values[field.name], "" if field.default is dataclasses.MISSING else field.default)
    try:
        return kind(**{**values, "sources": tuple((name, float(share)) for name, share in values["sources"])})
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"the saved configuration is not whole: {error}") from None


def _check_setting(name: str, value: Any, default: Any) -> None:
    """Refuses a saved setting that is of another type than the default, or no finite number."""
    kind = type(default)
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or (kind is float and not math.isfinite(value)):
        expected = {str: "text", bool: "true or false", int: "a whole number", float: "a finite number"}[kind]
        raise ZooError(f"the saved setting {name!r} is {value!r:.80}; {expected} is expected")


def _without_usual(values: dict[str, Any]) -> dict[str, Any]:
    """Returns settings without those of a study that are as usual, which runs of earlier versions have as well."""
    return {name: value for name, value in values.items() if name not in _OF_STUDIES or value != _OF_STUDIES[name]}
