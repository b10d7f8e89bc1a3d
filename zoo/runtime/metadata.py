"""What an exported file says of itself: how to crop, what goes in, what comes out, which point is which, whose faces made it.

What the TFLite metadata schema has fields for stands there, so that any reader of it finds sizes, colours, normalisation, point names and
licence. The rest stands in one associated file, `landmark_zoo.json`; the points' names, in order, in `point_names.txt`.
`read` refuses what contradicts the file's own tensors, since the runtime goes by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo import heatmaps
from zoo.alignment import DETECTOR_TEMPLATE, LABEL_TEMPLATE
from zoo.errors import ZooError
from zoo.runtime import metadata_schema as schema
from zoo.runtime.inspection import TensorInfo
from zoo.runtime.metadata_block import Block, attach, detach, with_files
from zoo.schemes import SCHEMES, map_to
from zoo.stations import DEFINITION, PointMap
from zoo.uncertainty import Uncertainty, from_json
from zoo.variants import TAGS, VariantSpec, is_weights_name
from zoo.version import __version__

DOCUMENT, NAMES = "landmark_zoo.json", "point_names.txt"
FORMAT = 1  # of the document; a reader refuses another
SCHEME = "106"
_NUMBERS = re.compile(r"\[[-+.\deE,\s]*\]")
_PIXEL_ZERO = 128  # the pixel value that the networks see as 0
_WEIGHT_PLACES = 6  # a face of 10,000 px is mapped to a hundredth of a pixel
_TENSORS = {  # of the outputs of each kind: description, unit, names of the dimensions
    "maps": (
        "heat maps, one for each point: bounded logits, see landmark_zoo.json for how to decode them",
        ("batch", "row", "column", "point"),
    ),
    "points": ("points (x, y) in crop pixels, edge-based: the centre of the top left pixel is (0.5, 0.5)", ("batch", "point", "axis")),
    "scores": ("share of each map's soft-max that lies in the decoder's window, over that of a flat map: 0 to 1", ("batch", "point")),
    "spreads": ("standard deviation of each map's soft-max in the decoder's window, in crop pixels", ("batch", "point")),
}


@dataclass(frozen=True)
class Weights:
    """Where a file's numbers come from: the card's name `variant.tag` (or `runs/NAME` of a run), the tag, a version and the sources.

    `sources` are dicts with `source` and `faces`, and where known `title`, `labels`, `licence` and `tag`, as cards have them; `ancestors`,
    the weights that these started from and theirs, dicts with `name`, `sha256`, `tag`, `steps`, `note` and `sources`; `credited`, licences
    by title, where the sources alone do not tell them.
    """

    name: str
    tag: str
    version: str
    sources: Sequence[Mapping[str, Any]]
    ancestors: Sequence[Mapping[str, Any]] = ()
    credited: Mapping[str, str] = field(default_factory=dict)

    @property
    def credits(self) -> dict[str, str]:
        """Whose data these and their ancestors were trained on: the licence of each by its title."""
        titled = [*self.sources, *(source for one in self.ancestors for source in one["sources"] if "title" in source)]
        found: dict[str, str] = {}
        for one in titled:
            found.setdefault(one.get("title") or one["source"], one.get("licence", ""))
        return {**self.credited, **found} if self.credited else found


@dataclass(frozen=True)
class Description:
    """A file's metadata, read and found to agree with its tensors.

    Attributes:
      name: the card's name, `variant.tag`.
      size: side of the square crop in pixels.
      output: "maps", or "points" where the graph decodes.
      names: of the points, in the output's order.
      templates: (4, 2) shares of the crop's side for five points from labels and from MediaPipe's detector.
      model: the block's standard fields.
      document: all of `landmark_zoo.json`.
      uncertainty: how spreads are read as sigmas and visibilities, or None where nothing was fitted to the file.
    """

    name: str
    size: int
    output: str
    names: tuple[str, ...]
    templates: tuple[np.ndarray, np.ndarray]
    model: dict[str, Any]
    document: dict[str, Any]
    uncertainty: Uncertainty | None = None


def describe(
    content: bytes,
    spec: VariantSpec,
    weights: Weights,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    uncertainty: Uncertainty | None = None,
) -> bytes:
    """Returns a variant's .tflite file with its metadata, new or in the place of what it had.

    Args:
      content: of a whole file with one input (1, size, size, 3) and either maps or points, scores and spreads as outputs.
      spec: the variant that the graph is of.
      weights: where its numbers come from.
      inputs, outputs: the file's, from `zoo.runtime.inspection.endpoints`.
      uncertainty: how its spreads are read; None where nothing was fitted.
    """
    image = inputs[0]
    kind = "points" if len(outputs) > 1 else "maps"
    document = _document(spec, weights, image, kind, uncertainty)
    files = {DOCUMENT: _as_file(document), NAMES: _lines(SCHEMES[SCHEME].names)}
    return attach(content, Block(_standard_fields(spec, weights, document), files))


def with_uncertainty(content: bytes, path: Path, uncertainty: Uncertainty) -> bytes:
    """Returns a .tflite file of ours whose metadata says how its spreads are read; the rest stays as it is.

    Args:
      content: of a whole TFLite file with our metadata.
      path: the name used in messages.
      uncertainty: fitted to this file.

    Raises:
      ZooError: the file carries no metadata of ours.
    """
    block = detach(content, path)
    if block is None or DOCUMENT not in block.files:
        raise ZooError(f"{path} carries no {DOCUMENT}: what its points are is not known; export it anew (python -m tflite export RUN)")
    document = json.loads(block.files[DOCUMENT])
    document["output"]["uncertainty"] = uncertainty.to_json()
    return with_files(content, block.files | {DOCUMENT: _as_file(document)})


def uncertainty_of(content: bytes, path: Path) -> Uncertainty | None:
    """Returns how a file's metadata says that its spreads are read; None where it does not say so or is none of ours.

    Args:
      content: of a whole TFLite file.
      path: the name used in messages.
    """
    block = detach(content, path)
    document = json.loads(block.files[DOCUMENT]) if block and DOCUMENT in block.files else {}
    fitted = document.get("output", {}).get("uncertainty")
    return fitted and from_json(fitted, document["points"]["count"])


def _as_file(document: dict[str, Any]) -> bytes:
    """Returns `landmark_zoo.json`, lists of numbers on one line each."""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return (_NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n").encode()


def _document(spec: VariantSpec, weights: Weights, image: TensorInfo, kind: str, uncertainty: Uncertainty | None = None) -> dict[str, Any]:
    """Returns `landmark_zoo.json`."""
    scheme = SCHEMES[SCHEME]
    quantised = {"scale": image.scale, "zero_point": image.zero_point} if image.scale else {}
    means = "pixel - 128" if image.scale else "pixel"
    card = {"card": f"zoo/weights/{weights.name}/card.json"} if is_weights_name(weights.name) else {}
    return {
        "format": FORMAT,
        "weights": {
            "name": weights.name, "variant": spec.name, "tag": weights.tag, "licence": TAGS.get(weights.tag, weights.tag),
            "version": weights.version, "made_with": f"landmark zoo {__version__}", **card,
            "sources": [dict(one) for one in weights.sources],
            "ancestors": [{**one, "sources": [source["source"] for source in one["sources"]]} for one in weights.ancestors],
            "credits": weights.credits,
        },
        "input": {
            "size_px": spec.size, "colours": "RGB", "layout": "NHWC", "pixel_range": [0, 255], "type": image.dtype, **quantised,
            "stored_value": means, "mean": _PIXEL_ZERO if image.scale else 0, "std": _PIXEL_ZERO if image.scale else 1,
        },
        "crop": {
            "coordinates": "(x, y), edge-based: pixel i covers i to i + 1 and its centre is i + 0.5",
            "anchors": ["left eye", "right eye", "nose tip", "mouth centre"],
            "anchors_are": "as seen in the picture; an eye is the mean of its lids, the mouth's centre the mean of its corners",
            "fit": "least-squares similarity (rotation, one scale, shift; no mirror) from the anchors in the picture to template * size_px",
            "templates": {"label": LABEL_TEMPLATE.tolist(), "detector": DETECTOR_TEMPLATE.tolist()},
            "templates_are": "label for anchors as people mark them, detector for those of MediaPipe's face detector (short or full range)",
            "sampling": "bilinear at the crop pixels' centres; 0 outside the picture",
            "reduction": "while the scale is below 1/2, halve the picture first by the means of 2 x 2 pixels",
        },
        "output": {
            "kind": kind, "grid": spec.grid, "stride_px": spec.stride, "map_range": [0.0, heatmaps.MAP_MAX],
            "logit_scale": heatmaps.LOGIT_SCALE, "window_radius": heatmaps.WINDOW_RADIUS,
            "decoder": "soft-max of logit_scale * map over the window of (2 * window_radius + 1)^2 cells round the highest cell "
            "(the first in reading order), cut at the border; point = stride_px * the expectation of (column + 0.5, row + 0.5); "
            "share = the window's share of the whole map's soft-max, base = its share of the cells, "
            "score = max(0, share - base) / (1 - base); "
            "spread = stride_px * the root of half the window's variance in column and row together; a face's score is the points' mean",
            "uncertainty": uncertainty and uncertainty.to_json(),
        },
        "points": {
            "scheme": scheme.name, "order": "JD-landmark, LaPa", "count": scheme.count, "names_file": NAMES,
            "mirror": scheme.mirror.tolist(), "mirror_is": "mirrored[i] = flipped[mirror[i]]",
            "normaliser": list(scheme.outer_eyes), "normaliser_is": "the distance of these two points divides every error",
            "definition": DEFINITION,
            "as_other_schemes": {name: _pairs(map_to(name)) for name in SCHEMES if name != scheme.name},
            "as_other_schemes_is": "for each point of the other scheme, the pairs [i, w] whose sum of w * point[i] it is",
        },
    }  # fmt: skip


def _pairs(points: PointMap) -> list[list[list[float]]]:
    """Returns, for each point of another scheme, [index, weight] of the points that it is made of."""
    return [
        [[int(index), round(float(weight), _WEIGHT_PLACES)] for index, weight in zip(*row, strict=True) if weight]
        for row in zip(points.indices, points.weights, strict=True)
    ]


def _standard_fields(spec: VariantSpec, weights: Weights, document: dict[str, Any]) -> dict[str, Any]:
    """Returns the ModelMetadata table."""
    image, output = document["input"], document["output"]
    sources = "; ".join(f"{title} ({licence})" if licence else title for title, licence in weights.credits.items())
    labels = {"name": NAMES, "description": f"names of the {spec.points} points, in order", "type": schema.AXIS_LABELS}
    outputs = ["maps"] if output["kind"] == "maps" else ["points", "scores", "spreads"]
    widest = float((heatmaps.WINDOW_RADIUS + 0.5) * spec.stride)
    ranges = {"maps": output["map_range"], "points": [0.0, float(spec.size)], "scores": [0.0, 1.0], "spreads": [0.0, widest]}
    return {
        "name": weights.name,
        "description": f"{spec.points} face landmarks ({document['points']['order']} order) "
        f"from an aligned RGB crop of {spec.size} x {spec.size} px. "
        f"{DOCUMENT} says how to crop and how to decode.",
        "version": weights.version,
        "author": document["weights"]["made_with"],
        "license": f"{weights.tag}: {document['weights']['licence']}. Trained on: {sources or 'not said'}",
        "min_parser_version": schema.PARSER_VERSION,
        "associated_files": [{"name": DOCUMENT, "description": "crop, input, output, points and weights in full, as JSON"}],
        "subgraph_metadata": [{
            "input_tensor_metadata": [{
                "name": "crop",
                "description": f"the aligned face, RGB, values 0 to 255; stored as {image['stored_value']}",
                "dimension_names": ["batch", "row", "column", "colour"],
                "content": {
                    "content_properties_type": "ImageProperties",
                    "content_properties": {"color_space": schema.RGB, "default_size": {"width": spec.size, "height": spec.size}},
                },
                "process_units": [{
                    "options_type": "NormalizationOptions", "options": {"mean": [float(image["mean"])], "std": [float(image["std"])]},
                }],
                "stats": {"max": [255.0], "min": [0.0]},
            }],
            "output_tensor_metadata": [{
                "name": name,
                "description": _TENSORS[name][0],
                "dimension_names": list(_TENSORS[name][1]),
                "content": {"content_properties_type": "FeatureProperties", "content_properties": {}},
                "stats": {"max": [float(ranges[name][1])], "min": [float(ranges[name][0])]},
                "associated_files": [labels],
            } for name in outputs],
        }],
    }  # fmt: skip


def read(content: bytes, path: Path, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Description | None:
    """Returns what a file says of itself, or None where it carries no metadata.

    Args:
      content: of a whole TFLite file.
      path: the name used in messages.
      inputs, outputs: the file's, from `zoo.runtime.inspection.endpoints`.

    Raises:
      ZooError: the metadata is another project's, damaged, or contradicts the file's tensors; both facts are named.
    """
    block = detach(content, path)
    if block is None:
        return None
    if DOCUMENT not in block.files:
        raise ZooError(
            f"the metadata of {path} is of {block.model.get('name', '')!r} with the files {', '.join(block.files) or 'none'}; "
            f"{DOCUMENT} of this zoo is expected"
        )
    try:
        document = json.loads(block.files[DOCUMENT])
        if document["format"] != FORMAT:
            raise ZooError(f"{DOCUMENT} in {path} has format {document['format']!r}; {FORMAT} is expected")
        templates = tuple(np.array(document["crop"]["templates"][kind], np.float64) for kind in ("label", "detector"))
        names = tuple(block.files[document["points"]["names_file"]].decode().split())
        output, fitted = document["output"], document["output"].get("uncertainty")
        found = Description(
            document["weights"]["name"], document["input"]["size_px"], output["kind"], names, templates, block.model, document,
            fitted and from_json(fitted, document["points"]["count"]),
        )  # fmt: skip
        problem = _contradiction(found, inputs, outputs)
    except ZooError:
        raise
    except Exception as error:  # any value may stand where another belongs
        raise ZooError(f"{DOCUMENT} in {path} is not as expected: {type(error).__name__} {error}") from error
    if problem:
        raise ZooError(f"the metadata of {path} contradicts the file: {problem}")
    return found


def _contradiction(found: Description, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> str:
    """Returns where metadata and tensors (or metadata and this code's decoder) differ, or nothing."""
    image, output, points = (found.document[key] for key in ("input", "output", "points"))
    subgraph = found.model["subgraph_metadata"][0]
    size, grid, count = found.size, output["grid"], points["count"]
    shapes = [(1, grid, grid, count)] if found.output == "maps" else [(1, count, 2), (1, count), (1, count)]
    standard = subgraph["input_tensor_metadata"][0]["content"]["content_properties"]
    unit = subgraph["input_tensor_metadata"][0]["process_units"][0]["options"]
    mirror = points["mirror"]
    pairs = [  # (what, said by the metadata, found)
        ("inputs", [(1, size, size, 3)], [tensor.shape for tensor in inputs]),
        ("outputs", sorted(shapes), sorted(tensor.shape for tensor in outputs)),
        ("the input's type", image["type"], inputs[0].dtype),
        ("the input's scale and zero point", (image.get("scale", 0), image.get("zero_point", 0)), (inputs[0].scale, inputs[0].zero_point)),
        ("the crop's side against the image size", size, standard["default_size"]["width"]),
        ("colours", (image["colours"], schema.RGB), ("RGB", standard["color_space"])),
        ("mean and std", ([float(image["mean"])], [float(image["std"])]), (unit["mean"], unit["std"])),
        ("points against their names", count, len(found.names)),
        ("the grid's cells times the stride", grid * output["stride_px"], size),
        ("the mirror applied twice", [mirror[i] for i in mirror], list(range(count))),
        ("the normaliser is of two of the points", True, len(points["normaliser"]) == 2 and max(points["normaliser"]) < count),
        ("the templates' shapes", [(4, 2), (4, 2)], [template.shape for template in found.templates]),
        ("the decoder's logit scale", output["logit_scale"], heatmaps.LOGIT_SCALE),
        ("the decoder's window", output["window_radius"], heatmaps.WINDOW_RADIUS),
    ]  # fmt: skip
    for what, said, there in pairs:
        if said != there:
            return f"{what}: it says {_short(said)}, found {_short(there)}"
    return ""


def without_metadata(path: Path) -> ZooError:
    """Returns the error for a file that `read` found nothing in."""
    return ZooError(f"{path} carries no metadata: how to crop and what its points are is not known; export its run (tflite export RUN)")


def rows(found: Description) -> list[tuple[str, str]]:
    """Returns (fact, what the metadata says) pairs for a table."""
    weights, image, output, points = (found.document[key] for key in ("weights", "input", "output", "points"))
    label, detector = (" ".join(f"({x:.4g}, {y:.4g})" for x, y in template) for template in found.templates)
    inside = "points and spreads in crop pixels and scores, decoded inside from maps: " if found.output == "points" else "maps: "
    quantised = f", scale {image['scale']:.6g}, zero point {image['zero_point']}" if image.get("scale") else ""
    return [
        ("metadata", f"{found.name}, version {weights['version']}, {weights['made_with']}"),
        ("licence", f"{weights['tag']}: {weights['licence']}"),
        ("trained on", "; ".join(f"{one['source']} ({one['faces']} faces)" for one in weights["sources"]) or "not said"),
        ("takes", f"{found.size} x {found.size} {image['colours']}, pixels {image['pixel_range']}, "
         f"stored as {image['stored_value']}{quantised}"),
        ("crop, label", f"{label} of the side for {', '.join(found.document['crop']['anchors'])}"),
        ("crop, detector", detector),
        ("gives", f"{inside}{output['grid']} x {output['grid']} cells of {output['stride_px']} px, values {output['map_range']}, "
         f"soft-max of {output['logit_scale']} times the map over a window of radius {output['window_radius']}"),
        ("points", f"{points['count']} of scheme {points['scheme']} ({points['order']}): "
         f"{', '.join(found.names[:3])}, ..., {found.names[-1]}"),
        ("uncertainty", uncertainty_said(found)),
        ("normaliser", " to ".join(found.names[index] for index in points["normaliser"])),
    ]  # fmt: skip


def uncertainty_said(found: Description | None) -> str:
    """Returns in words what sigmas and visibilities of a file come of."""
    if found is None or found.uncertainty is None:
        return "not fitted to this file: sigmas and visibilities are those of the maps' raw spread (python -m training calibrate FILE)"
    return f"spreads are read as fitted on {', '.join(found.uncertainty.fitted_on) or 'faces that are not named'}"


def _lines(names: Sequence[str]) -> bytes:
    return ("\n".join(names) + "\n").encode()


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
