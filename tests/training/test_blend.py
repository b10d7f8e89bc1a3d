"""Blended labels: the mean of the label's points and a network's, of the right face, of the right licence, people's points untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.data.provenance import check_tag, provenance
from training.data.sources import read_source
from training.synthetic.faces import draw_face
from training.teacher import blend as blends
from training.teacher.blend import blend, mirror_averaged
from zoo.errors import ZooError
from zoo.images import write_image
from zoo.landmarker import Prediction
from zoo.schemes import SCHEMES

NAME = "mixed-035-128.open"
DRAWN = draw_face(2, 256, yaw=0, pitch=0, roll=0)


def labels_file(folder: Path, moved_px: float = 0.0, **more: np.ndarray) -> Path:
    """Writes a labels file of one drawn face, its points moved across, into the folder of its picture."""
    (folder / "faces").mkdir(exist_ok=True)
    write_image(folder / "faces" / "face.png", DRAWN.image)
    path = folder / "labels.npz"
    points = np.asarray(DRAWN.points, np.float32)[None] + np.float32([moved_px, 0])
    np.savez(path, root=np.array(str(folder / "faces")), names=np.array(["face.png"]), points=points,
             weights=np.ones((1, 106), np.float32), **more)  # fmt: skip
    return path


def test_what_a_network_sees_too_far_left_in_both_pictures_is_averaged_away():
    scheme = SCHEMES["106"]
    width = DRAWN.image.shape[1]

    def find(image, five):
        mirrored = image[0, 0].tolist() != DRAWN.image[0, 0].tolist() or not np.array_equal(image, DRAWN.image)
        truth = (DRAWN.points * [-1, 1] + [width, 0])[scheme.mirror] if mirrored else DRAWN.points
        assert np.abs(scheme.five_points(truth) - five).max() < 1e-6  # left stays left, as seen
        return Prediction(truth - [3.0, 0.0], np.ones(106, np.float32), five)

    found = mirror_averaged(find, DRAWN.image, scheme.five_points(DRAWN.points))
    np.testing.assert_allclose(found, DRAWN.points, atol=1e-9)


@pytest.mark.slow
def test_labels_move_half_way_to_what_the_network_finds(tmp_path):
    labels = labels_file(tmp_path, moved_px=4.0)
    done = blend(labels, NAME, tmp_path / "out.npz", workers=1)
    assert done == {"labels": "labels.npz", "faces": 1, "blended": 1, "with": NAME}
    blends._start(NAME)
    found = mirror_averaged(blends._find, DRAWN.image, SCHEMES["106"].five_points(np.asarray(DRAWN.points) + [4.0, 0]))
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["points"][0], (DRAWN.points + [4.0, 0] + found) / 2, atol=0.01)
        assert str(out["blended_with"]) == NAME
    assert len(list(read_source(str(tmp_path / "out.npz")))) == 1
    with pytest.raises(ZooError, match=f"blended with {NAME} already"):
        blend(tmp_path / "out.npz", NAME, tmp_path / "twice.npz")


@pytest.mark.slow
def test_another_face_and_peoples_points_are_left_alone(tmp_path):
    labels = labels_file(tmp_path, moved_px=0.4 * float(np.ptp(DRAWN.points[:, 0])))
    assert blend(labels, NAME, tmp_path / "out.npz", workers=1)["blended"] == 0
    template = np.full((1, 189, 2), 77.0)
    np.savez(tmp_path / "faces" / "landmarks.npz", names=np.array(["face.png"]), points=template)
    blend(labels_file(tmp_path), NAME, tmp_path / "out.npz", workers=1)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["points"][0][[66, 70, 75, 79]], np.full((4, 2), 77.5))
        assert np.abs(out["points"][0][54] - DRAWN.points[54]).max() < 10


@pytest.mark.parametrize("weights, tag", [("mixed-100-192.research", "research"), (NAME, "open")])
def test_labels_are_of_the_tag_of_the_weights_that_made_them(tmp_path, weights, tag):
    root = tmp_path / "fairface"
    root.mkdir()
    path = tmp_path / "labels.npz"
    np.savez(path, root=np.array(str(root)), names=np.array(["a.png"]), points=np.zeros((1, 106, 2), np.float32),
             weights=np.ones((1, 106), np.float32), blended_with=np.array(weights))  # fmt: skip
    known = provenance(str(path))
    assert known.tag == tag and weights in known.labels and weights in known.licence and "FairFace" in known.title
    if tag == "research":
        with pytest.raises(ZooError, match="may train only weights tagged research"):
            check_tag(((str(path), 1.0),), "open")
    else:
        check_tag(((str(path), 1.0),), "open")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["labels.npz", "--blend", "nothing.open"], "unknown file, run or published weights 'nothing.open'"),
        (["faces", "--blend", NAME], "--blend takes a labels file"),
        (["labels.npz", "--blend", NAME, "--adapter", "labels.npz"], "--blend takes a labels file"),
        (["missing.npz", "--blend", NAME], "missing.npz"),
    ],
)
def test_what_cannot_be_blended_is_said_in_one_line(tmp_path, monkeypatch, arguments, said):
    labels_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match=said) as found:
        main(["label", *arguments, "--out", "out.npz"])
    assert len(str(found.value).splitlines()) == 1
    assert not Path("out.npz").exists()
