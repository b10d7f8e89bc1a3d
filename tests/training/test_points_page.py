"""The page of the 106 points is what the schemes and the drawing code say."""

from pathlib import Path

import numpy as np
import pytest

from training.synthetic import points as page
from zoo.errors import ZooError
from zoo.images import read_image

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_the_codes():
    text = (DOCS / "points.md").read_text(encoding="utf-8")
    assert page.with_table(text) == text, "write it anew: python -m training.synthetic.points docs"
    rows = [line.split("|")[1:3] for line in page.table().splitlines()[2:]]
    assert [int(index) for index, _ in rows] == list(range(106)) and len({name for _, name in rows}) == 106


def test_the_picture_is_what_is_drawn():
    drawn, kept = page.picture(), read_image(DOCS / "points.png")
    assert drawn.shape == kept.shape
    assert np.abs(drawn.astype(int) - kept).mean() < 1, "draw it anew: python -m training.synthetic.points docs"  # letters differ by OpenCV


def test_another_folder_is_refused(tmp_path):
    for given in ([], [str(tmp_path)]):
        with pytest.raises(ZooError, match="give the folder that holds points.md"):
            page.main(given)
    with pytest.raises(ZooError, match="there is no place for the table"):
        page.with_table("# nothing")
