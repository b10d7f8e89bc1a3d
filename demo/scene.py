"""One run of the page: the picture, its faces, and what every chosen file finds on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from demo import compare
from demo.compare import FacePosition, Finding, ModelFile, nearest_truth
from demo.draw import palette
from zoo.landmarker import Landmarker, Prediction


@dataclass(frozen=True, eq=False)
class Picture:
    """What is looked at: its name, an identity for what is remembered of it, (H, W, 3) uint8 RGB, and the true faces of a drawing."""

    name: str
    key: str
    image: np.ndarray
    truth: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture with its faces, which of them is looked at, the files in their colours, and what each file finds on each face."""

    picture: Picture
    positions: list[FacePosition]
    chosen: int
    colours: dict[ModelFile, str]
    found: dict[ModelFile, list[Finding]]

    @property
    def files(self) -> list[ModelFile]:
        """The files that are compared, in the visitor's order."""
        return list(self.found)

    @property
    def faces(self) -> dict[ModelFile, Finding]:
        """What each file finds on the face that is looked at."""
        return {file: findings[self.chosen] for file, findings in self.found.items()}

    @property
    def truth(self) -> np.ndarray | None:
        """The true points (106, 2) of the face that is looked at, if it is drawn."""
        return nearest_truth(next(iter(self.faces.values())).points, self.picture.truth)

    @property
    def key(self) -> tuple:
        """What the findings depend on, for what is remembered of them."""
        return self.picture.key, self.chosen, self.positions[self.chosen].five.tobytes(), tuple(self.files)

    def predictions(self, file: ModelFile) -> list[Prediction]:
        """Returns all faces as `zoo.Landmarker.detect` gives them."""
        return [finding.as_prediction(position) for finding, position in zip(self.found[file], self.positions, strict=True)]


def find_scene(
    picture: Picture,
    positions: list[FacePosition],
    chosen: int,
    finders: Mapping[ModelFile, Landmarker],
    times_of: Callable[[ModelFile], list[float]],
) -> Scene:
    """Returns what every file finds on every face; a file that is new here is timed a little first.

    Args:
      picture: what is looked at.
      positions: its faces.
      chosen: which of them is looked at.
      finders: the files' landmarkers.
      times_of: gives the list of a file's times in milliseconds, which grows here.
    """
    young = {file: find for file, find in finders.items() if len(times_of(file)) < compare.MIN_CALLS}
    for file, times_ms in compare.time_in_turns(young, budget_s=0.3).items():
        times_of(file).extend(times_ms)
    found = {file: [compare.find_points(find, picture.image, position) for position in positions] for file, find in finders.items()}
    for file, findings in found.items():
        times_of(file).extend(finding.forward_ms for finding in findings)
    return Scene(picture, positions, chosen, dict(zip(finders, palette(len(finders)), strict=True)), found)
