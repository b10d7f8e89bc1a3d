"""What is hidden, by the label, by an occluder or because there is no face, is wanted spread out, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from memory_packs import one_batch, pack_of

from training.learning.batches import prepare
from training.learning.configuration import Configuration
from training.learning.loop import _check_batch
from training.learning.negatives import negative_crop
from training.synthetic.faces import draw_face
from zoo.alignment import Alignment
from zoo.images import write_image
from zoo.schemes import SCHEMES

STRIDE, MIRROR = 4, SCHEMES["106"].mirror
PLAIN = Configuration("mixed-035-096", batch=6, steps=10, photometric=0.0, occlusion_chance=0.0, negative_chance=0.0, held_out=0.0)


@pytest.fixture(scope="module")
def faces():
    drawn = [draw_face(seed, 160) for seed in range(5)]
    return pack_of([face.image for face in drawn], [face.points for face in drawn])


@pytest.mark.parametrize("mirror_chance", [0.0, 1.0])
def test_a_point_hidden_in_the_label_is_wanted_wider(faces, mirror_chance):
    hidden = np.zeros((len(faces), 106), np.uint8)
    hidden[:, [0, 66, 90]] = 1
    plain = replace(PLAIN, mirror_chance=mirror_chance, hidden_sigma_cells=2.5)
    targets, shown = (one_batch(plain, replace(faces, hidden=marks)).targets for marks in (hidden, 0 * hidden))
    wide = np.array([0, 66, 90]) if mirror_chance == 0 else MIRROR[[0, 66, 90]]
    assert (targets[:, wide, 3] == np.float32(2.5)).all()
    assert (np.delete(targets[..., 3], wide, 1) == np.float32(PLAIN.sigma_cells)).all() and (shown[..., 3] == np.float32(0.7)).all()
    np.testing.assert_array_equal(targets[..., :3], shown[..., :3])  # it lies where it lay and weighs what it weighed


def test_a_point_under_an_occluder_is_wanted_wider(faces, monkeypatch):
    """An occluder over the left half of every crop: the points there, and no others, are hidden."""
    left = np.zeros((96, 96), bool)
    left[:, :48] = True
    monkeypatch.setattr("training.learning.batches.occlude", lambda crop, rng, chance: (np.where(left[..., None], np.uint8(0), crop), left))
    batch = one_batch(PLAIN, faces)
    seen = batch.targets[..., 2] > 0
    x, sigma = batch.targets[seen][:, 0], batch.targets[seen][:, 3]
    assert np.array_equal(sigma == np.float32(PLAIN.hidden_sigma_cells), x * STRIDE < 48) and 0.2 < (x * STRIDE < 48).mean() < 0.8


def test_a_crop_of_nothing_wants_flat_maps(faces):
    often = replace(PLAIN, batch=200, negative_chance=0.5)
    targets = one_batch(often, faces).targets
    nothing = (targets[..., 3] > 100).all(1)
    assert 0.4 < nothing.mean() < 0.6 and np.array_equal(nothing, (targets[..., 3] > 100).any(1))
    assert (targets[nothing][..., 2] == 1).all() and (targets[nothing][..., :2] == PLAIN.spec.grid / 2).all()
    assert (targets[~nothing][..., 3] < 100).all()


@pytest.mark.parametrize("size", [64, 128])
def test_a_crop_of_nothing_shows_no_aligned_face(size):
    """Its inner points never lie as an aligned face's do, and what is seen of the face is turned, of another size, or beside."""
    face = draw_face(0, 256)
    alignment = Alignment.from_five(SCHEMES["106"].five_points(face.points), size)
    aligned, plain = alignment.crop(face.image).astype(int), 0
    for seed in range(60):
        crop = negative_crop(face.image, alignment, np.random.default_rng(seed))
        assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
        assert np.abs(crop - aligned).mean() > 10
        plain += len(np.unique(crop.reshape(-1, 3), axis=0)) == 1
    assert plain > 0  # a flat colour is among them


def test_checks_while_training_have_neither_occluders_nor_crops_of_nothing(faces):
    batch = _check_batch(replace(PLAIN, occlusion_chance=1.0, negative_chance=1.0), [faces])
    assert (batch.targets[..., 3] == np.float32(PLAIN.sigma_cells)).all()


def test_a_pack_keeps_what_the_label_says_is_hidden(tmp_path):
    face = draw_face(0, 160)
    write_image(tmp_path / "pictures" / "a.png", face.image)
    hidden = np.arange(106) % 5 == 0
    arrays = {
        "root": np.array(str(tmp_path / "pictures")),
        "names": np.array(["a.png"]),
        "points": face.points[None],
        "weights": np.ones((1, 106)),
    }
    for name, extra in (("marked", {"hidden": hidden[None]}), ("unmarked", {})):
        np.savez(tmp_path / f"{name}.npz", **arrays, **extra)
    assert np.array_equal(prepare(str(tmp_path / "marked.npz"), tmp_path / "packs").hidden[0], hidden)
    assert not prepare(str(tmp_path / "unmarked.npz"), tmp_path / "packs").hidden.any()
