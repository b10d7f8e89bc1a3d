"""The trainings of the study of tricks: those that leave one out, and those that add one or set it otherwise."""

from __future__ import annotations

from pathlib import Path

from training.studies.arms import Arm
from training.studies.options import Options

REFERENCE, INT8, OTHER_SEED = "all tricks", "all tricks, int8", "another seed"
_NO_JITTER = {"rotation_deg": 0.0, "scale": 0.0, "shift": 0.0, "wide_chance": 0.0}
LEFT_OUT = (
    Arm(REFERENCE, "the reference", {}),
    Arm(OTHER_SEED, "how much chance alone changes", {"seed": 1}),
    Arm("rounded targets", "targets at the cell's centre instead of the point itself", {"rounded_targets": True}),
    Arm("mean squared error", "the loss: maps against Gaussians instead of cross-entropy and distance", {"loss": "mse"}),
    Arm("cross-entropy alone", "the loss: without the distance of the soft-argmax", {"distance_weight": 0.0}),
    Arm("no lateral connections", "detail that reaches the head past the bottleneck", {"laterals": False}),
    Arm("no jitter", "rotation, displacement and scale after alignment", _NO_JITTER),
    Arm("no mirror", "mirrored crops", {"mirror_chance": 0.0}),
    Arm("no occlusion", "patches in front of the face", {"occlusion_chance": 0.0}),
    Arm("no recolouring", "colour, light, blur, noise and compression", {"photometric": 0.0}),
    Arm("random start", "the weights all arms start from, if any", {"init": ""}),
    Arm("no averaging", "averaged weights", {"average": 0.0}),
    Arm(INT8, "the reference of the arms that go on quantisation-aware", {}, quantized=True),
    Arm("int8 without calibration", "ranges set from activations before the first step", {"calibrated": False}, quantized=True),
)
TRIED = (
    Arm("wider Gaussians", "targets with a sigma of 1.5 cells instead of 1", {"sigma_cells": 1.5}),
    Arm("narrower Gaussians", "targets with a sigma of 0.7 cells instead of 1", {"sigma_cells": 0.7}),
    Arm("coarser maps", "a head without its last stage: a stride of 8 pixels instead of 4", {"head_stages": 2}),
    Arm("larger faces", "faces 8 % larger in the crop, in training and after it", {"face_scale": 1.08}),
    Arm("smaller faces", "faces 8 % smaller in the crop, in training and after it", {"face_scale": 0.92}),
    Arm("contour at half weight", "points along the jaw, which people place least alike, count half", {"contour_weight": 0.5}),
    Arm("faces turned in depth", "one face in five turned by its teacher's mesh", {"turn_chance": 0.2}),
    Arm("yaws balanced", "faces of rare yaws drawn more often", {"balance_yaw": 0.5}),
    Arm("twice the steps", "longer training", {}, times=2),
)


def label_arms(options: Options) -> tuple[list[Arm], list[Arm]]:
    """Returns the arms that change the labels, those that leave something out and those that add something.

    Left out: the teacher's labels, and the adapter that bent them. Added: a large network's points, where such labels are given.
    """
    sources = options.base.sources
    human = tuple((name, share) for name, share in sources if not _is_labels_file(name))
    bare, blended = (tuple((_elsewhere(name, folder), share) for name, share in sources) for folder in (options.unadapted, options.blended))
    left_out = [
        Arm("no teacher labels", "pictures marked by a teacher", {"sources": human}),
        Arm("labels not adapted", "the teacher bent to people's definitions", {"sources": bare}),
    ]
    added = Arm("labels blended", "the teacher's points averaged with those that a large network of the zoo finds", {"sources": blended})
    return left_out, [added] if options.blended else []


def _is_labels_file(source: str) -> bool:
    return Path(source.partition("@")[0]).suffix == ".npz"


def _elsewhere(source: str, folder: Path | None) -> str:
    """Returns the labels file of the same name in another folder, if there is one."""
    other = folder / Path(source).name if folder else Path(source)
    return str(other) if _is_labels_file(source) and other.is_file() else source
