"""Batches follow from seed and step, points stay on their pixels, people held out are never seen, packs are made once."""

from dataclasses import replace

import numpy as np
import pytest
from memory_packs import one_batch, pack_of
from PIL import Image

from training.data import packs
from training.learning import augmentation
from training.learning.augmentation import occlude, photometric
from training.learning.batches import batches, held_out_rows, make_batch, prepare, training_rows
from training.learning.configuration import Configuration, StudyConfiguration
from training.readers.groups import is_held_out
from training.synthetic import packs as drawn
from training.synthetic.faces import draw_face
from zoo.alignment import LABEL_TEMPLATE, four_points
from zoo.errors import ZooError
from zoo.schemes import SCHEMES

STRIDE = 4
DOT_CELLS = 0.05 / STRIDE * 4  # a dot is found to a twentieth of a crop pixel on small crops; here enlarged ones come too
MIRROR = SCHEMES["106"].mirror
PLAIN = StudyConfiguration("mixed-035-096", batch=6, steps=10, photometric=0.0, occlusion_chance=0.0, negative_chance=0.0, held_out=0.0)


@pytest.fixture(scope="module")
def faces():
    drawn = [draw_face(seed, 160) for seed in range(5)]
    return pack_of([face.image for face in drawn], [face.points for face in drawn])


# ---- batches ---------------------------------------------------------------------------------------------------------------------------


def test_a_batch_follows_from_seed_and_step_alone(faces):
    configuration = Configuration("mixed-035-096", batch=6)
    first, again = one_batch(configuration, faces, 3), one_batch(configuration, faces, 3)
    assert np.array_equal(first.crops, again.crops) and np.array_equal(first.targets, again.targets)
    for other in (one_batch(configuration, faces, 4), one_batch(replace(configuration, seed=1), faces, 3)):
        assert not np.array_equal(first.targets, other.targets)
    assert first.crops.shape == (6, 96, 96, 3) and first.crops.dtype == np.uint8
    assert first.targets.shape == (6, 106, 4) and first.targets.dtype == np.float32


@pytest.mark.parametrize(("first", "ahead", "workers"), [(0, 6, 1), (0, 1, 1), (0, 3, 3), (4, 6, 2), (9, 6, 1), (10, 6, 1)])
def test_drawing_ahead_keeps_the_order_wherever_it_starts(faces, first, ahead, workers):
    configuration = replace(PLAIN, batch=2)
    drawn = list(batches(configuration, [faces], first, ahead, workers))
    assert len(drawn) == configuration.steps - first
    for step, batch in enumerate(drawn, first):
        assert np.array_equal(batch.targets, one_batch(configuration, faces, step).targets)


def test_a_stream_can_be_left_early(faces):
    stream = batches(PLAIN, [faces], 0, workers=2)
    next(stream)
    stream.close()
    assert next(stream, None) is None


def test_sources_are_drawn_by_their_shares(faces):
    dark = pack_of([np.zeros_like(faces.image(0))], [faces.points[0]])
    bright = pack_of([np.full_like(faces.image(0), 255)], [faces.points[0]])
    configuration = replace(PLAIN, batch=400, sources=(("dark", 1.0), ("bright", 3.0)))
    crops = make_batch(configuration, [dark, bright], [np.arange(1)] * 2, 0).crops
    assert 0.68 < (crops[:, 48, 48, 0] > 128).mean() < 0.82


def test_a_mirrored_crop_has_mirrored_pixels_and_the_points_of_the_other_side(faces):
    plain, mirrored = (one_batch(replace(PLAIN, mirror_chance=chance), faces) for chance in (0.0, 1.0))
    expected = plain.targets[:, MIRROR] * [-1, 1, 1, 1] + [24, 0, 0, 0]
    seen = mirrored.targets[..., 2] > 0
    assert seen.mean() > 0.9 and np.array_equal(seen, plain.targets[:, MIRROR, 2] > 0)
    assert np.abs(mirrored.targets - expected)[seen].max() < 1e-4
    difference = np.abs(mirrored.crops.astype(int) - plain.crops[:, :, ::-1])
    assert difference.mean() < 1.5  # both are resampled once, at places that OpenCV rounds to 1/32 px
    assert np.abs(mirrored.crops.astype(int) - plain.crops).mean() > 5


@pytest.mark.parametrize("variant", ["mixed-035-096", "deconv-100-192"])
def test_targets_lie_where_the_jittered_pixels_show_them(variant):
    """Each picture is black but for a dot on one point; turned, scaled, shifted and mirrored, the dot must lie on its target."""
    rng = np.random.default_rng(0)
    template = np.vstack([LABEL_TEMPLATE[:3], LABEL_TEMPLATE[3] - [0.11, 0], LABEL_TEMPLATE[3] + [0.11, 0]]) * 200 + 100
    spots, images, points = rng.permutation(106)[:24], [], []
    columns, rows = np.meshgrid(np.arange(400) + 0.5, np.arange(400) + 0.5)
    for spot in spots:
        placed = rng.uniform(150, 250, (106, 2))
        placed[list(SCHEMES["106"].eyes[0])], placed[list(SCHEMES["106"].eyes[1])] = template[0], template[1]
        placed[54], placed[84], placed[90] = template[2:]
        x, y = placed[spot]
        dot = np.rint(250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))).astype(np.uint8)
        images.append(np.repeat(dot[..., None], 3, 2))
        points.append(placed)
    pack = pack_of(images, points)
    configuration = replace(PLAIN, variant=variant, batch=1, wide_chance=0.5, shift=0.02)
    checked = 0
    for row, spot in enumerate(spots):
        for step in range(3):
            batch = make_batch(configuration, [pack], [np.array([row])], step)
            mass = batch.crops[0, ..., 0].astype(float)
            size = len(mass)
            at = np.array([(mass.sum(axis) * (np.arange(size) + 0.5)).sum() / mass.sum() for axis in (0, 1)]) / STRIDE
            expected = batch.targets[0, [spot, MIRROR[spot]]]
            if (np.abs(expected[:, :2] - size / 8) > size / 8 - 4).any() or batch.crops[0, 0].any():
                continue  # the dot is cut, or the border has a colour
            # A point stands at its own index, or at its partner's where the crop is mirrored.
            assert np.linalg.norm(expected[:, :2] - at, axis=1).min() < DOT_CELLS
            checked += 1
    assert checked > 20


def test_points_outside_the_crop_or_unknown_have_no_weight_and_are_numbers(faces):
    points = faces.points.copy()
    points[:, 0], points[:, 1], points[:, 2] = (-500, 0), (90, 5000), np.nan
    weights = faces.weights.copy()
    weights[:, 3] = 0
    batch = one_batch(replace(PLAIN, mirror_chance=0.0), replace(faces, points=points, weights=weights))
    assert not batch.targets[:, :4, 2].any()
    assert np.isfinite(batch.targets).all()
    assert batch.targets[:, 54, 2].all()


# ---- people held out ---------------------------------------------------------------------------------------------------------------------


def test_people_held_out_are_never_drawn():
    points = draw_face(0, 64).points
    groups = [f"person{i // 2}" for i in range(40)]
    shades = [np.full((64, 64, 3), 40 + 5 * i, np.uint8) for i in range(40)]
    pack = pack_of(shades, [points] * 40, groups)
    rows = training_rows(pack, 0.4)
    kept = held_out_rows(pack, 0.4)
    assert 0 < len(kept) < 40 and not set(rows) & set(kept) and len(rows) + len(kept) == 40
    assert not {groups[i] for i in rows} & {groups[i] for i in kept}  # a person is never on both sides
    configuration = replace(PLAIN, held_out=0.4, batch=64, steps=4)
    drawn = {round((int(crop[48, 48, 0]) - 40) / 5) for batch in batches(configuration, [pack], 0) for crop in batch.crops}
    assert drawn == set(rows.tolist())


def test_holding_out_is_the_same_for_everyone_and_grows_with_the_share():
    names = [f"person{i}" for i in range(4000)]
    for share in (0.05, 0.1, 0.3):
        held = {name for name in names if is_held_out(name, share)}
        assert len(held) / 4000 == pytest.approx(share, abs=0.02)
        assert held <= {name for name in names if is_held_out(name, share + 0.1)}
    assert not any(is_held_out(name, 0.0) for name in names)
    assert [is_held_out(f"person{i}", 0.1) for i in range(30)].index(True) == HELD_OUT_FIRST


HELD_OUT_FIRST = 17  # of person0, person1 ...: must not change between versions, for evaluations speak of these people


def test_a_source_of_nobody_but_people_held_out_is_refused(faces):
    alone = replace(faces, groups=np.array([f"person{HELD_OUT_FIRST}"] * len(faces)))
    with pytest.raises(ZooError, match=r"source 'memory' has nobody to train on.*held_out 0\.1"):
        next(batches(replace(PLAIN, held_out=0.1), [alone], 0))


# ---- augmentation ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [96, 128, 192])
def test_augmentation_keeps_shape_and_type_and_leaves_its_input(size):
    crop = draw_face(0, size).image
    before = crop.copy()
    changed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        out = photometric(occlude(crop, rng, 0.5)[0], rng, 1.0)
        assert out.shape == (size, size, 3) and out.dtype == np.uint8
        changed += not np.array_equal(out, crop)
    assert np.array_equal(crop, before)
    assert changed == 60


def test_augmentation_of_no_strength_does_nothing():
    crop = draw_face(0, 96).image
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert photometric(occlude(crop, rng, 0.0)[0], rng, 0.0) is crop


def test_occlusions_hide_only_a_part():
    crop = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    shares = []
    for seed in range(200):
        out, covered = occlude(crop, np.random.default_rng(seed), 1.0)
        assert covered.shape == (128, 128) and covered.dtype == bool
        changed = (out != crop).any(2)
        assert not changed[~covered].any() and changed[covered].mean() > 0.98  # the mask is what the occluder covers, no more, no less
        shares.append(covered.mean())
    assert max(shares) < 0.75 and np.mean([share > 0.005 for share in shares]) > 0.9
    assert not occlude(crop, np.random.default_rng(0), 0.0)[1].any()


@pytest.mark.parametrize("change", ["_blur", "_coarse"])
def test_blur_and_coarseness_move_no_point(change):
    """What moved the pixels would teach the network an offset."""
    columns, rows = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(40, 88, 2)
        dot = np.rint(250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 5.0**2))).astype(np.uint8)
        out = getattr(augmentation, change)(np.repeat(dot[..., None], 3, 2), rng)[..., 0].astype(float)
        found = np.array([(out.sum(axis) * (np.arange(128) + 0.5)).sum() / out.sum() for axis in (0, 1)])
        assert np.linalg.norm(found - [x, y]) < 0.05


# ---- packs -------------------------------------------------------------------------------------------------------------------------------


def write_folder(folder, count=3, side=300, spread=(80, 200), scheme="106", dtype=np.float32):
    """Writes a source of pictures that are black but for a dot on point 0; returns the points, edge-based."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    points = rng.uniform(*spread, (count, SCHEMES[scheme].count, 2))
    low, width = spread[0], spread[1] - spread[0]
    template = np.vstack([LABEL_TEMPLATE[:3], LABEL_TEMPLATE[3] - [0.11, 0], LABEL_TEMPLATE[3] + [0.11, 0]]) * width + low
    one = SCHEMES[scheme]
    for face in points:
        face[list(one.eyes[0])], face[list(one.eyes[1])] = template[0], template[1]
        face[one.nose_tip], face[list(one.mouth_corners)] = template[2], template[3:]
    names = [f"person{i}_1.png" for i in range(count)]
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    for name, face in zip(names, points, strict=True):
        x, y = face[0]
        sigma = side / 100
        dot = np.rint(250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.uint8)
        Image.fromarray(dot).save(folder / "images" / name)
    np.savez(folder / "landmarks.npz", names=np.array(names), points=(points - 0.5).astype(dtype))  # on disk pixel centres are integers
    return points


@pytest.mark.parametrize(("side", "spread"), [(300, (80, 200)), (2400, (400, 2000))])
def test_a_packs_points_lie_on_its_pixels_also_where_large_pictures_are_averaged(tmp_path, side, spread):
    write_folder(tmp_path / "set", 2, side, spread)
    pack = prepare(str(tmp_path / "set"), tmp_path / "packs")
    assert len(pack) == 2 and pack.groups.tolist() == ["person0", "person1"]
    for row in range(2):
        image = pack.image(row)
        assert image.shape[2] == 3 and max(image.shape) < 1500
        mass = image[..., 0].astype(float)
        x, y = ((mass.sum(axis) * (np.arange(mass.shape[1 - axis]) + 0.5)).sum() / mass.sum() for axis in (0, 1))
        assert np.linalg.norm(pack.points[row, 0] - [x, y]) < 0.05
        assert np.allclose(pack.five[row], four_points(SCHEMES["106"].five_points(pack.points[row])), atol=0.01)
    assert pack.weights.all()


def test_a_set_of_68_points_trains_what_it_knows(tmp_path):
    write_folder(tmp_path / "set", 1, scheme="68")
    pack = prepare(str(tmp_path / "set"), tmp_path / "packs")
    assert pack.points.shape == (1, 106, 2)
    assert pack.weights.sum() == 88 and set(np.unique(pack.weights)) == {0.0, 1.0}  # but lower brows, sides of the nose and pupils


def test_a_pack_is_made_once_and_again_when_its_source_changes(tmp_path, monkeypatch):
    folder, cache, made = tmp_path / "set", tmp_path / "packs", []
    write_folder(folder)
    real = packs._make
    monkeypatch.setattr(packs, "_make", lambda *args: made.append(args) or real(*args))
    first = prepare(str(folder), cache)
    again = prepare(str(folder), cache)
    assert len(made) == 1 and np.array_equal(first.points, again.points) and np.array_equal(first.pixels, again.pixels)
    with np.load(folder / "landmarks.npz") as archive:
        names, points = archive["names"], archive["points"].copy()
    points[:, 0] += 1
    np.savez(folder / "landmarks.npz", names=names, points=points)
    assert not np.array_equal(prepare(str(folder), cache).points, first.points)
    assert len(made) == 2
    Image.new("RGB", (300, 300), (9, 8, 7)).save(folder / "images" / str(names[1]))
    assert prepare(str(folder), cache).image(1)[0, 0].tolist() == [9, 8, 7]
    assert len(made) == 3


def test_a_pack_that_could_not_be_finished_leaves_nothing(tmp_path, monkeypatch):
    folder, cache = tmp_path / "set", tmp_path / "packs"
    write_folder(folder)
    real, seen = packs.read_picture, []

    def fails_at_the_second(path):
        seen.append(path)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(packs, "read_picture", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        prepare(str(folder), cache)
    assert list(cache.iterdir()) == []
    assert len(prepare(str(folder), cache)) == 3


def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    write_folder(tmp_path / "set")
    monkeypatch.setattr(packs, "_raw_to_npy", full)
    with pytest.raises(ZooError, match="No space left on device"):
        prepare(str(tmp_path / "set"), tmp_path / "packs")
    assert list((tmp_path / "packs").iterdir()) == []


def test_pictures_that_cannot_be_used_are_left_out_and_named(tmp_path, capsys):
    write_folder(tmp_path / "set")
    (tmp_path / "set" / "images" / "person1_1.png").write_bytes(b"broken")
    (tmp_path / "set" / "images" / "person2_1.png").unlink()
    pack = prepare(str(tmp_path / "set"), tmp_path / "packs")
    assert pack.groups.tolist() == ["person0"]
    assert "person1_1.png" in capsys.readouterr().out
    (tmp_path / "set" / "images" / "person0_1.png").unlink()
    with pytest.raises(ZooError, match="holds no usable face"):
        prepare(str(tmp_path / "set"), tmp_path / "packs")


def test_synthetic_faces_are_packed_with_their_points(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "_FACES", 2)
    pack = prepare("synthetic", tmp_path)
    assert len(pack) == 2 and len(set(pack.groups)) == 2
    face = draw_face(1)
    assert np.array_equal(pack.image(1), face.image) and np.allclose(pack.points[1], face.points, atol=1e-4)


def test_rounded_targets_lie_in_the_middles_of_the_same_cells(faces):
    exact, rounded = (one_batch(replace(PLAIN, rounded_targets=on), faces).targets for on in (False, True))
    seen = exact[..., 2] > 0
    assert np.array_equal(np.floor(exact[seen][:, :2]), np.floor(rounded[seen][:, :2]))
    assert (rounded[seen][:, :2] % 1 == 0.5).all() and (exact[seen][:, :2] % 1 != 0.5).any()


UNJITTERED = replace(PLAIN, rotation_deg=0.0, scale=0.0, shift=0.0, wide_chance=0.0, mirror_chance=0.0)


def test_faces_grow_in_the_crop_about_its_middle(faces):
    usual, larger = (one_batch(replace(UNJITTERED, face_scale=scale), faces).targets for scale in (1.0, 1.08))
    inside = (usual[..., 2] > 0) & (larger[..., 2] > 0)
    middle = UNJITTERED.spec.grid / 2
    np.testing.assert_allclose((larger[..., :2] - middle)[inside], 1.08 * (usual[..., :2] - middle)[inside], atol=1e-4)
    assert (larger[..., 2] > 0).sum() < (usual[..., 2] > 0).sum()  # the chin comes nearer to the border


def test_the_contour_alone_counts_less_also_in_the_mirror(faces):
    mirrored = replace(PLAIN, mirror_chance=0.5)
    usual, less = (one_batch(replace(mirrored, contour_weight=weight), faces).targets[..., 2] for weight in (1.0, 0.25))
    contour = list(SCHEMES["106"].parts["contour"].indices)
    rest = np.setdiff1d(np.arange(106), contour)
    np.testing.assert_array_equal(less[:, contour], 0.25 * usual[:, contour])
    np.testing.assert_array_equal(less[:, rest], usual[:, rest])


def test_targets_of_coarser_maps_are_in_their_cells(faces):
    fine, coarse = (one_batch(replace(UNJITTERED, head_stages=stages), faces).targets for stages in (0, 2))
    np.testing.assert_allclose(fine[..., :2], 2 * coarse[..., :2], atol=1e-5)
