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
    """Drawn coarsely here, and compared by the means of blocks: a point or a number elsewhere would change some by far more."""
    drawn, kept = page.picture(detail=0.5), read_image(DOCS / "points.png")
    assert drawn.shape == kept.shape == (900, 1350, 3)
    means = [image.reshape(90, 10, 135, 10, 3).mean((1, 3)) for image in (drawn, kept)]
    off = np.abs(means[0] - means[1])[:, :90]
    assert off.mean() < 3 and np.percentile(off, 99) < 30, "draw it anew: python -m training.synthetic.points docs"


def test_another_folder_is_refused(tmp_path):
    for given in ([], [str(tmp_path)]):
        with pytest.raises(ZooError, match="give the folder that holds points.md"):
            page.main(given)
    with pytest.raises(ZooError, match="there is no place for the table"):
        page.with_table("# nothing")
