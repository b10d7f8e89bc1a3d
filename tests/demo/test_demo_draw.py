"""Figures show exact pixels, every point at its place, heat maps where the network saw them, and escape what they are told."""

from __future__ import annotations

import base64
import itertools
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from demo import compare, draw, samples
from demo.wording import heading
from zoo.alignment import Alignment
from zoo.cards import published
from zoo.heatmaps import encode

DRAWN = samples.draw_sample("Portrait")
TRUTH = DRAWN.truth[0]
SVG = "{http://www.w3.org/2000/svg}"


def parsed(view, *layers, label="a face"):
    return ET.fromstring(draw.figure(view, label, *layers))


def raster(image):
    content = base64.b64decode(image.attrib["href"].split("base64,")[1])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def view(region="Face"):
    return draw.view_of(DRAWN.image.shape, region, [TRUTH])


def test_every_point_is_drawn_at_its_place_with_its_name_and_score():
    svg = parsed(view(), draw.points_layer(TRUTH, np.linspace(0, 1, 106), "#0a9bc4", view(), numbers=True))
    circles = svg.findall(f".//{SVG}circle")
    places = np.array([[float(circle.attrib[axis]) for axis in ("cx", "cy")] for circle in circles])
    np.testing.assert_allclose(places, TRUTH, atol=0.006)
    titles = [circle.find(f"{SVG}title").text for circle in circles]
    assert titles[54].startswith("54 nose_bridge_3 (") and titles[105].endswith("score 1.00")
    assert [text.text for text in svg.findall(f".//{SVG}text")] == [str(i) for i in range(106)]


def test_confidence_goes_from_red_to_green():
    svg = parsed(view(), draw.points_layer(TRUTH, np.linspace(0, 1, 106), "#0a9bc4", view(), by_score=True))
    fills = [circle.attrib["fill"] for circle in svg.findall(f".//{SVG}circle")]
    assert fills[0] == "#ff3b30" and fills[-1] == "#34e87c"


def test_confidence_draws_circles_of_one_sigma_and_occluded_points_are_hollow():
    sigmas, visible = np.linspace(1, 9, 106), np.where(np.arange(106) < 20, 0.2, 0.9)
    svg = parsed(view(), draw.points_layer(TRUTH, np.ones(106), "#0a9bc4", view(), sigmas, visible, by_score=True))
    radii = [float(circle.attrib["r"]) for circle in svg.findall(f"{SVG}g[@class='sigmas']/{SVG}circle")]
    np.testing.assert_allclose(radii, sigmas, atol=0.001)
    points = svg.findall(f"{SVG}g[@class='points']/{SVG}circle")
    assert [point.attrib.get("class") == "hollow" for point in points] == (visible < 0.5).tolist()
    assert points[0].find(f"{SVG}title").text.endswith("score 1.00, sigma 1.00 px, visible 0.20")
    plain = parsed(view(), draw.points_layer(TRUTH, np.ones(106), "#0a9bc4", view(), sigmas, visible))
    assert plain.find(f"{SVG}g[@class='sigmas']") is None


@pytest.mark.parametrize("region", list(draw.REGIONS))
def test_a_region_holds_its_points_for_all_columns_alike(region):
    box = draw.view_of(DRAWN.image.shape, region, [TRUTH, TRUTH + 7])
    indices = [i for part in draw.REGIONS[region] for i in draw.get_scheme("106").parts[part].indices]
    for points in (TRUTH[indices], TRUTH[indices] + 7):
        assert (points > [box.x0, box.y0]).all() and (points < [box.x1, box.y1]).all()
    assert box.single_pixels == (box.x1 - box.x0 <= draw.PIXEL_VIEW_PX)


def test_single_pixels_are_the_pictures_own_at_their_place():
    box = view("Left eye")
    assert box.single_pixels
    image = parsed(box, draw.picture_layer(DRAWN.image, box)).find(f".//{SVG}image")
    x, y, width, height = (int(image.attrib[key]) for key in ("x", "y", "width", "height"))
    np.testing.assert_array_equal(raster(image)[..., ::-1], DRAWN.image[y : y + height, x : x + width])
    assert "pixelated" in image.attrib["style"]


def test_a_view_beyond_the_picture_shows_what_there_is_of_it():
    box = draw.View(-20, -10, 30, 40, True)
    image = parsed(box, draw.picture_layer(DRAWN.image, box)).find(f".//{SVG}image")
    assert [image.attrib[key] for key in ("x", "y", "width", "height")] == ["0", "0", "30", "40"]
    assert draw.picture_layer(DRAWN.image, draw.View(-30, -30, -2, -2, True)) == ""


def test_a_large_picture_is_sent_small():
    large = np.zeros((3000, 4000, 3), np.uint8)
    box = draw.view_of(large.shape, draw.WHOLE)
    image = parsed(box, draw.picture_layer(large, box)).find(f".//{SVG}image")
    assert max(raster(image).shape) == draw.MAX_SENT_PX and image.attrib["width"] == "4000"


def test_heat_maps_lie_where_the_points_are_found():
    alignment = Alignment.from_five(compare.find_faces(DRAWN.image)[0].five, 128).perturbed(rotation_deg=20)
    grid_points = np.full((106, 2), 3.5)
    grid_points[7] = (20.5, 11.5)  # the centre of a cell
    layer = draw.heat_layer(encode(grid_points, 32), alignment, view("Left eye"), point=7)
    group = parsed(view(), layer).find(f"{SVG}g")
    a, b, c, d, e, f = map(float, re.findall(r"-?[\d.]+", group.attrib["transform"]))
    heat = raster(group.find(f"{SVG}image"))
    row, column = np.unravel_index(heat[..., :3].sum(-1).argmax(), heat.shape[:2])
    assert (column, row) == (20, 11)
    x, y = column + 0.5, row + 0.5
    np.testing.assert_allclose([a * x + c * y + e, b * x + d * y + f], alignment.to_image(np.array([20.5, 11.5]) * 4), atol=0.01)


def test_arrows_are_as_many_times_as_long_as_the_difference():
    end = TRUTH.copy()
    end[10] += [3, -4]
    arrows = parsed(view(), draw.arrows_layer(TRUTH, end, 6, "#fff", view())).findall(f"{SVG}g[@class='arrows']/{SVG}path")
    (path,) = [arrow.attrib["d"] for arrow in arrows]
    x0, y0, x1, y1 = map(float, re.match(r"M(\S+) (\S+)L(\S+) ([\d.-]+)M", path).groups())
    np.testing.assert_allclose([x1 - x0, y1 - y0], [18, -24], atol=0.01)


def test_layers_are_what_is_switched_on():
    file = compare.model_files()[0]
    position = compare.find_faces(DRAWN.image)[0]
    finding = compare.find_points(compare.open_landmarker(file), DRAWN.image, position)

    def count(*shown):
        svg = parsed(view(), *draw.findings_layers([finding], "#0a9bc4", view(), shown))
        return tuple(len(svg.findall(f".//{SVG}{tag}")) for tag in ("circle", "path", "text", "image"))

    lines = 2 * sum(len(part.indices) > 1 for part in draw.get_scheme("106").parts.values())
    assert count() == (0, 0, 0, 0)
    assert count("Points") == (106, 0, 0, 0)
    assert count("Contours") == (0, lines, 0, 0)
    assert count(*draw.LAYERS) == (2 * 106, lines, 106, 1)  # confidence draws a circle of one sigma round each point


def test_what_a_visitor_names_cannot_become_code():
    hostile = '"><script>alert(1)</script>&'
    svg = parsed(view(), label=hostile)
    assert svg.attrib["aria-label"] == hostile and not list(svg)
    assert "<script>" not in heading(compare.ModelFile("<script>.open", "int8"), "#fff", ["<script>"])


def test_all_published_weights_have_colours_that_can_be_told_apart_on_a_light_page_and_on_a_dark_one():
    shown = draw.palette(len(published()))
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in shown], np.float32) / 255
    lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2LAB)[0]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 25
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (light + 0.05)).min() > 2.9 and ((light + 0.05) / 0.056).min() > 2.9
    assert len(draw.palette(50)) == 50
