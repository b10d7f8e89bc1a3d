"""What a study is given: on which faces it measures, which weights, and how much it may train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.evaluation.faces import Face, title
from training.learning.configuration import Configuration


@dataclass(frozen=True)
class Options:
    """The settings of a study.

    Attributes:
      base: configuration of the reference arm; its number of steps is decided by the budget.
      source, faces: what is measured on, and the set's name.
      align: whence the five points come, one of `training.evaluation.faces.ALIGNMENTS`.
      weights: names of weights, runs, files or tags to measure instead of, or besides, trained arms.
      budget_minutes: of training, for all arms together; 0 trains none.
      steps: of each arm, instead of what the budget allows.
      wanted: names of the arms to train; all if empty.
      latency: JSON of `python -m tflite benchmark --json`, or None for the published cards' times.
      unadapted, blended: folders with labels files of the same names as the training sources': not bent by an adapter; averaged with
        the points that a network finds.
    """

    base: Configuration
    source: str
    faces: list[Face]
    align: str = "noisy"
    weights: tuple[str, ...] = ()
    budget_minutes: float = 0.0
    steps: int | None = None
    wanted: tuple[str, ...] = ()
    latency: Path | None = None
    unadapted: Path | None = None
    blended: Path | None = None

    @property
    def trains(self) -> bool:
        """Whether any arm is to be trained."""
        return bool(self.steps or self.budget_minutes)

    @property
    def title(self) -> str:
        """What the faces are called in a sentence."""
        name = title(self.source)
        return f"{len(self.faces)} faces drawn by the project itself" if name == "synthetic" else f"the {len(self.faces)} faces of `{name}`"

    @property
    def aligned(self) -> str:
        """How the faces were aligned, in words."""
        words = {
            "noisy": "the label's, displaced as a detector's are",
            "detector": "the detector's; missed faces are failures",
            "exact": "the label's",
        }
        return words[self.align]
