"""Batches as pure functions of (seed, step): an interrupted training goes on with exactly the batches it would have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.data import packs as read
from training.data.packs import Pack
from training.learning.augmentation import occlude, photometric
from training.learning.configuration import Configuration
from training.learning.negatives import negative_crop
from training.readers.groups import is_held_out
from training.synthetic import packs as drawn
from training.teacher.posing import TurnedFace, draw_turn
from zoo.alignment import Alignment, four_points
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.variants import VariantSpec

# Sideways nose, in eye distances, at which a new bin of yaw begins: about 15, 30 and 45 degrees; and how often a rare face may return.
_YAW_BINS, _MOST_REPEATS = (0.1, 0.22, 0.36), 8
# A Gaussian this wide is the same in all cells: nothing is to be found.
_EVERYWHERE_CELLS = 1000.0
_IS_CONTOUR = np.isin(np.arange(106), SCHEMES["106"].parts["contour"].indices)
_BORDERS = (cv2.BORDER_CONSTANT, cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)


@dataclass(frozen=True)
class Batch:
    """Crops (B, S, S, 3) uint8 and targets (B, 106, 4) float32: x, y, the point's weight and the deviation of its target; in grid cells."""

    crops: np.ndarray
    targets: np.ndarray


def prepare(source: str, cache: Path = read.CACHE) -> Pack:
    """Returns the pack of any source that a training names, "synthetic" or one that is read, made now or found in the cache.

    Raises:
      ZooError: the source cannot be read or holds no usable face.
    """
    return drawn.prepare(cache) if source == drawn.SOURCE else read.prepare(source, cache)


def training_rows(pack: Pack, share: float) -> np.ndarray:
    """Returns the rows of a pack that may be trained on."""
    return np.fromiter((row for row, group in enumerate(pack.groups) if not is_held_out(str(group), share)), np.int64)


def held_out_rows(pack: Pack, share: float) -> np.ndarray:
    """Returns the rows of a pack that may not be trained on."""
    return np.setdiff1d(np.arange(len(pack)), training_rows(pack, share))


def make_batch(configuration: Configuration, packs: Sequence[Pack], rows: Sequence[np.ndarray], step: int) -> Batch:
    """Returns the batch of a step: the same for the same configuration, packs and step."""
    spec = configuration.spec
    rng = np.random.default_rng([configuration.seed, step])
    shares = np.array([share for _, share in configuration.sources])
    crops = np.empty((configuration.batch, spec.size, spec.size, 3), np.uint8)
    targets = np.empty((configuration.batch, spec.points, 4), np.float32)
    for place in range(configuration.batch):
        source = int(rng.choice(len(packs), p=shares / shares.sum()))
        row = int(rng.choice(rows[source]))
        crops[place], targets[place] = _draw(configuration, spec, packs[source], row, rng)
    return Batch(crops, targets)


def _draw(c: Configuration, spec: VariantSpec, pack: Pack, row: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, points, weights, four = pack.image(row), pack.points[row], pack.weights[row], pack.five[row]
    hidden = pack.hidden[row].astype(bool)
    if rng.random() < c.negative_chance:
        crop = negative_crop(image, Alignment.from_five(four, spec.size), rng)
        return photometric(crop, rng, c.photometric), np.tile([spec.grid / 2, spec.grid / 2, 1, _EVERYWHERE_CELLS], (spec.points, 1))
    turned = None
    if pack.meshes is not None and rng.random() < c.turn_chance:
        turned = TurnedFace(image, pack.meshes[row], points, *draw_turn(pack.meshes[row], rng))
        points, four = turned.points, four_points(SCHEMES["106"].five_points(turned.points))
    alignment = Alignment.from_five(four, spec.size)
    turn = rng.normal(0, c.rotation_deg)
    if rng.random() < c.wide_chance:
        turn += rng.uniform(-c.wide_rotation_deg, c.wide_rotation_deg)
    mirror = rng.random() < c.mirror_chance
    alignment = alignment.perturbed(turn, c.face_scale * float(np.exp(rng.normal(0, c.scale))), tuple(rng.normal(0, c.shift, 2)), mirror)
    border = _BORDERS[int(rng.integers(len(_BORDERS)))]
    colour = tuple(rng.integers(0, 256, 3).tolist()) if rng.random() < 0.5 else (0, 0, 0)
    if turned is None:
        crop = alignment.crop(image, border, colour)
    else:
        crop, hidden = turned.crop(alignment, border, colour)
    crop, covered = occlude(crop, rng, c.occlusion_chance)
    crop = photometric(crop, rng, c.photometric)
    crop_points = alignment.to_crop(points)
    if mirror:
        order = SCHEMES["106"].mirror
        crop_points, weights, hidden = crop_points[order], weights[order], hidden[order]
    seen = ((crop_points > 0) & (crop_points < spec.size)).all(1)
    columns, rows = np.where(seen[:, None], crop_points, 0).astype(int).T
    sigma_cells = np.where(hidden | covered[rows, columns], c.hidden_sigma_cells, c.sigma_cells)
    crop_points[~seen] = 0  # what is not a number would make a loss of none, even with a weight of 0
    cells = crop_points / spec.stride
    if c.rounded_targets:
        cells = np.floor(cells) + 0.5
    if c.contour_weight != 1:
        weights = np.where(_IS_CONTOUR, c.contour_weight * weights, weights)
    return crop, np.column_stack([cells, weights * seen, sigma_cells])


def balanced_rows(pack: Pack, rows: np.ndarray, strength: float) -> np.ndarray:
    """Returns rows in which those of rare yaws are repeated.

    Yaw is told by how far the nose tip lies from the middle of the eyes, along the line through them, in eye distances.

    Args:
      rows: (N,) of the pack.
      strength: 0 leaves the rows as they are; with 1 each bin of yaw comes about as often as any other.
    """
    if not strength:
        return rows
    four = pack.five[rows]
    across = four[:, 1] - four[:, 0]
    sideways = np.abs(((four[:, 2] - four[:, :2].mean(1)) * across).sum(1)) / np.maximum((across**2).sum(1), 1e-9)
    bins = np.digitize(sideways, _YAW_BINS)
    counts = np.bincount(bins, minlength=len(_YAW_BINS) + 1)
    repeats = np.rint((counts.max() / counts[bins]) ** strength).astype(int).clip(1, _MOST_REPEATS)
    return np.repeat(rows, repeats)


def drawn_rows(c: Configuration, packs: Sequence[Pack]) -> list[np.ndarray]:
    """Returns the rows of each pack that batches are drawn from, those of rare yaws repeated as the configuration asks.

    Raises:
      ZooError: of one of the packs all faces are held out.
    """
    rows = [balanced_rows(pack, training_rows(pack, c.held_out), c.balance_yaw) for pack in packs]
    for pack, some in zip(packs, rows, strict=True):
        if not len(some):
            faces = f"all of its {len(pack)} faces are held out"
            raise ZooError(f"source {pack.name!r} has nobody to train on: {faces}; lower held_out {c.held_out}")
    return rows


def batches(c: Configuration, packs: Sequence[Pack], first_step: int, ahead: int = 6, workers: int = 1) -> Iterator[Batch]:
    """Yields the batches of steps `first_step` to the last, drawn ahead in threads; the order is that of the steps."""
    cv2.setNumThreads(1)
    rows = drawn_rows(c, packs)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(make_batch, c, packs, rows, step) for step in range(first_step, min(first_step + ahead, c.steps))]
        for step in range(first_step, c.steps):
            batch = waiting.pop(0).result()
            if step + ahead < c.steps:
                waiting.append(pool.submit(make_batch, c, packs, rows, step + ahead))
            yield batch
