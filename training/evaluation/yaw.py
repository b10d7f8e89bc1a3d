"""How far a head is turned, estimated from the true points: what errors are binned by."""

from __future__ import annotations

import numpy as np

from zoo.schemes import get_scheme

# The first eight of the twelve common spots of an average head seen straight on: eye corners from left to right, nose tip and base, mouth
# corners; x to the right in the picture, y down, z towards the viewer, in shares of the distance between the outer eye corners.
# Medians over the face meshes that MediaPipe finds in the 100 neutral portraits of the Face Research Lab London Set and Young Adult
# White Faces, made symmetric. The other four spots are lips, which move with every word.
MEAN_HEAD = np.array([
    [-0.500, 0.000, 0.000], [-0.188, 0.018, 0.061], [0.188, 0.018, 0.061], [0.500, 0.000, 0.000],
    [0.000, 0.355, 0.523], [0.000, 0.506, 0.329], [-0.273, 0.770, 0.131], [0.273, 0.770, 0.131],
])  # fmt: skip
# Fewer known spots than these do not say how a head is turned.
_MIN_KNOWN = 6
# Degrees of yaw to either side, the upper end left out.
BINS: dict[str, tuple[float, float]] = {"< 15": (0, 15), "15-30": (15, 30), "30-45": (30, 45), "> 45": (45, np.inf)}


def estimate_yaw_deg(points: np.ndarray, scheme: str = "106", known: np.ndarray | None = None) -> float:
    """Returns how far the head is turned to the side, in degrees; positive turns the nose to the right of the picture.

    Least squares gives the affine camera that takes the mean head's spots to the points; the rotation nearest to it is the head's
    (POS, the first step of DeMenthon and Davis, "Model-based object pose in 25 lines of code", 1995). It knows no perspective, and
    everybody has the same head: good for bins, not for degrees.

    Args:
      points: (count, 2) of `scheme`, in any frame.
      known: (count,) bool, which of the points to trust; all by default.

    Returns not-a-number where fewer than six of the eight spots are known.
    """
    spots = np.array(get_scheme(scheme).core12[: len(MEAN_HEAD)])
    trusted = np.ones(len(spots), bool) if known is None else np.asarray(known, bool)[spots]
    if trusted.sum() < _MIN_KNOWN:
        return float("nan")
    head, seen = MEAN_HEAD[trusted], np.asarray(points, np.float64)[spots[trusted]]
    camera = np.linalg.lstsq(head - head.mean(0), seen - seen.mean(0), rcond=None)[0]
    left, _, right = np.linalg.svd(camera, full_matrices=False)
    # The last row of roll @ pitch @ yaw, on which roll has no effect: (-cos pitch sin yaw, sin pitch, cos pitch cos yaw).
    towards = np.cross(*(left @ right).T)
    return float(np.rad2deg(np.arctan2(-towards[0], towards[2])))


def yaw_bins(yaw_deg: np.ndarray) -> dict[str, np.ndarray]:
    """Returns for each bin's name which faces (N,) bool lie in it, by the size of their yaw; a face of unknown yaw lies in none."""
    size = np.abs(np.asarray(yaw_deg, np.float64))
    return {name: (size >= low) & (size < high) for name, (low, high) in BINS.items()}
