"""Finds landmarks with nothing but a .tflite file and the metadata schema: no module of this project is imported.

`python tests/file_alone.py MODEL.tflite FACES.npz OUT.npz`, where FACES.npz holds `image_0`, `five_0`, `image_1`, ...: RGB pictures and
five points each as people mark them. Writes `crop_0`, `points_0` (crop pixels), `scores_0`, ...
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from ai_edge_litert import schema_py_generated as model_schema
from ai_edge_litert.interpreter import Interpreter


def official_schema() -> ModuleType:
    """Returns the module generated from metadata_schema.fbs that MediaPipe carries, without importing MediaPipe."""
    folder = Path(importlib.util.find_spec("mediapipe").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("official", folder / "tasks" / "metadata" / "metadata_schema_py_generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metadata(content: bytes) -> tuple[object, dict[str, bytes]]:
    """Returns the ModelMetadata object tree and the associated files by name."""
    model, official = model_schema.Model.GetRootAsModel(content, 0), official_schema()
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    block = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert official.ModelMetadata.ModelMetadataBufferHasIdentifier(block, 0)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return official.ModelMetadataT.InitFromPackedBuf(block, 0), {name: archive.read(name) for name in archive.namelist()}


def similarity(five: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Returns the 2 x 3 least-squares similarity that takes eyes, nose and the mouth's centre to the template."""
    source = np.vstack([five[:3], five[3:].mean(0)])
    rows, targets = [], []
    for (x, y), (u, v) in zip(source, template, strict=True):  # u = a x - b y + c, v = b x + a y + d
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        targets += [u, v]
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def crop(image: np.ndarray, to_crop: np.ndarray, size: int) -> np.ndarray:
    """Returns the aligned face (size, size, 3); faces are at most twice as large as the crop here, so that nothing is averaged first."""
    assert np.hypot(*to_crop[:, 0]) >= 0.5
    centred = to_crop.copy()
    centred[:, 2] += to_crop[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel centres are integers, the metadata's lie at + 0.5
    return cv2.warpAffine(image, centred, (size, size), flags=cv2.INTER_LINEAR)


def decode(maps: np.ndarray, output: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns points (K, 2) in crop pixels, scores (K,) and spreads (K,) in crop pixels, as the metadata's text says."""
    grid, radius, points, scores, spreads = output["grid"], output["window_radius"], [], [], []
    for index in range(maps.shape[2]):
        mass = np.exp(output["logit_scale"] * maps[:, :, index].astype(np.float64))
        row, column = divmod(int(maps[:, :, index].argmax()), grid)
        rows, columns = (np.arange(max(0, at - radius), min(grid, at + radius + 1)) for at in (row, column))
        window = mass[np.ix_(rows, columns)]
        x, y = (window.sum(0) * (columns + 0.5)).sum(), (window.sum(1) * (rows + 0.5)).sum()
        points.append([output["stride_px"] * x / window.sum(), output["stride_px"] * y / window.sum()])
        share, base = window.sum() / mass.sum(), window.size / mass.size
        scores.append(max(0, share - base) / (1 - base))
        total, column, row = window.sum(), x / window.sum(), y / window.sum()
        variance = (window.sum(0) * (columns + 0.5 - column) ** 2).sum() / total + (window.sum(1) * (rows + 0.5 - row) ** 2).sum() / total
        spreads.append(output["stride_px"] * np.sqrt(variance / 2))
    return np.array(points), np.array(scores), np.array(spreads)


def sure(points: np.ndarray, scores: np.ndarray, spreads: np.ndarray, document: dict) -> tuple[np.ndarray, np.ndarray]:
    """Returns sigmas (K,) in crop pixels and visibilities (K,) of points within the picture, as the metadata's text says."""
    how, (a, b) = document["output"]["uncertainty"], document["points"]["normaliser"]
    r = np.log(spreads / np.array(how["typical_spread_px"]))
    across = np.clip(np.log(np.linalg.norm(points[a] - points[b]) / how["typical_eyes_px"]), -1, 1)
    sigmas = np.array(how["typical_sigma_px"]) * np.exp(how["own"] * r + how["face"] * r.mean() + how["eyes"] * across)
    return sigmas, scores / (1 + np.exp((r + how["seen_face"] * r.mean() - how["threshold"]) / how["width"]))


def main(path: str, faces: str, out: str) -> None:
    """Writes what the model finds in the faces."""
    standard, files = metadata(Path(path).read_bytes())
    image_tensor = standard.subgraphMetadata[0].inputTensorMetadata[0]
    document = json.loads(files[standard.associatedFiles[0].name.decode()])
    size = image_tensor.content.contentProperties.defaultSize.width
    mean, std = image_tensor.processUnits[0].options.mean, image_tensor.processUnits[0].options.std
    template = np.array(document["crop"]["templates"]["label"]) * size
    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()
    found, pictures = {}, np.load(faces)
    for index in range(len(pictures.files) // 2):
        face = crop(pictures[f"image_{index}"], similarity(pictures[f"five_{index}"], template), size)
        values = (face.astype(np.float64) - mean) / std
        scale, zero_point = taken["quantization"]
        stored = (np.round(values / scale) + zero_point if scale else values).astype(taken["dtype"])
        interpreter.set_tensor(taken["index"], stored[None])
        interpreter.invoke()
        results = []
        for detail in given:
            scale, zero_point = detail["quantization"]
            raw = interpreter.get_tensor(detail["index"])[0]
            results.append((raw.astype(np.float64) - zero_point) * scale if scale else raw)
        points, scores, spreads = decode(results[0], document["output"]) if document["output"]["kind"] == "maps" else results
        found |= {f"crop_{index}": face, f"points_{index}": points, f"scores_{index}": scores}
        if document["output"]["uncertainty"]:
            sigmas, visible = sure(points, scores, spreads, document)
            found |= {f"sigmas_{index}": sigmas, f"visible_{index}": visible}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
