"""Two labels of one photograph are compared part by part: nothing is left by stations, and what taking one for the other costs is seen."""

from dataclasses import replace

import numpy as np
import pytest

from training.evaluation import stations
from training.synthetic.faces import draw_face
from zoo import terminal
from zoo.errors import ZooError
from zoo.images import read_image, write_image
from zoo.schemes import SCHEMES, to_scheme

SEEDS = range(3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Returns folders of drawn faces with 106 points and with 68 of the same, turned and shifted as on another crop."""
    place, faces = tmp_path_factory.mktemp("sets"), [draw_face(seed, 200) for seed in SEEDS]
    turned = [to_scheme(face.points, "68") @ [[0.8, 0.3], [-0.3, 0.8]] + [40, -7] for face in faces]
    for name, suffix, points in (("a", "_0.png", [face.points for face in faces]), ("b", ".png", turned)):
        for seed, face in enumerate(faces):
            write_image(place / name / "images" / f"face{seed}{suffix}", face.image)
        np.savez(place / name / "landmarks.npz", names=np.array([f"face{i}{suffix}" for i in SEEDS]), points=np.array(points) - 0.5)
    return str(place / "a"), str(place / "b")


def test_points_read_by_stations_agree_and_gathered_ones_do_not(sets, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{stations.BEGIN}\nold\n{stations.END}\nafter\n")
    assert stations.main([sets[0], "--with", sets[1], "--page", str(page), "--sheet", str(tmp_path / "sheet.png")]) == 0
    found = list(stations.pairs([sets[0]], [sets[1]], None))
    assert len(found) == 3 and {pair.by for pair in found} == {"people"}
    for pair in found:
        gathered, read = pair.errors()
        assert read.max() < 1e-3 < 0.02 < gathered[:17].mean()
    table = stations.rows(found)
    assert [row["part"] for row in table] == [*(part.replace("_", " ") for part in SCHEMES["68"].parts), "all 68"]
    text = page.read_text()
    assert (
        text.startswith("before")
        and text.endswith("after\n")
        and "old" not in text
        and "all 68" in text
        and "all 68" in capsys.readouterr().out
    )
    assert read_image(tmp_path / "sheet.png").shape == (2 * stations._TILE_PX, 4 * stations._TILE_PX, 3)


def test_another_face_or_a_warp_is_no_pair(sets):
    (first, *_) = stations.pairs([sets[0]], [sets[1]], None)
    other = draw_face(9, 200, yaw=40)
    assert stations.laid_onto(to_scheme(other.points, "68"), first.sample.image_points)[1] > stations.SAME_FACE
    moved, left = stations.laid_onto(first.points_68 * 3 + 5, first.sample.image_points)
    np.testing.assert_allclose(moved, first.points_68, atol=1e-6)
    assert left < 1e-6
    assert replace(first, points_68=moved).errors()[1].max() < 1e-3


def test_sets_without_a_common_photograph_are_refused_in_one_line(sets, capsys):
    assert terminal.run(stations.main, [sets[0]]) == 1
    assert "no photograph of" in capsys.readouterr().err
    with pytest.raises(ZooError, match="no place for the table"):
        stations.on_page("# nothing", "")
