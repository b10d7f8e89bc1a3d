"""Where published weights lie and what their cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.errors import ZooError, unknown
from zoo.files import kilobytes, read_json, settle
from zoo.variants import TAGS, VARIANTS

WEIGHTS = Path(__file__).parent / "weights"
# What computes in float32 is shipped with its weights in float16: half the bytes, and the same points to a hundredth of a pixel.
# What every card has, by kind; whatever reads one relies on these.
_FIELDS = {"name": str, "variant": str, "tag": str, "parameters": int, "macs": int, "accuracy": list, "latency": dict, "files": dict}
FILES = {"int8": "int8.tflite", "float32": "float16.tflite"}
# MediaPipe's two meshes, which cards measure beside the weights, and the side of their networks' input.
MESH_NAME, LANDMARKER_NAME = "MediaPipe's face mesh", "MediaPipe's Face Landmarker"
PEERS_PX = {MESH_NAME: 192, LANDMARKER_NAME: 256}


def weights_folder(name: str) -> Path:
    """Returns the folder of the published weights `variant.tag`, whether or not it exists."""
    return WEIGHTS / name


def model_path(name: str, precision: str) -> Path:
    """Returns the path of the file of the published weights `variant.tag` that computes in `precision`, a key of `FILES`.

    Raises:
      ZooError: there is no such precision, or nothing is published under this name.
    """
    if precision not in FILES:
        raise unknown("precision", precision, FILES)
    settle(WEIGHTS)
    path = weights_folder(name) / FILES[precision]
    if not path.is_file():
        raise ZooError(f"no {precision} weights are published for {name}; published: {', '.join(published()) or 'none'}")
    return path


def published() -> list[str]:
    """Returns the names `variant.tag` of all published weights, in the registry's order; a publication that was killed is undone first."""
    settle(WEIGHTS)
    names = [f"{spec.name}.{tag}" for spec in VARIANTS for tag in TAGS]
    return [name for name in names if (weights_folder(name) / "card.json").is_file()]


def read_card(name: str) -> dict[str, Any] | None:
    """Returns the card of the published weights `variant.tag`, or None if there are none."""
    settle(WEIGHTS)
    path = weights_folder(name) / "card.json"
    if not path.is_file():
        return None
    card = read_json(path)
    for field, kind in _FIELDS.items():
        if not isinstance(card, dict) or not isinstance(card.get(field), kind):
            found = f"{field!r} is {card.get(field)!r:.60}" if isinstance(card, dict) else f"it holds {type(card).__name__}"
            raise ZooError(f"{path} is no card of published weights: {found}; {kind.__name__} is expected")
    return card


def table_rows() -> list[dict[str, Any]]:
    """Returns one row for each published weights: what they cost and how exact they are, from their cards alone; last, MediaPipe's."""
    found = [card for card in map(read_card, published()) if card]
    with_mesh = [card for card in found if card.get("mesh")]
    peers = {row["model"]: card for card in with_mesh for row in card["mesh"]}  # of each, the last card that has it
    return [_row(card) for card in found] + [_peer_row(card, name) for name, card in peers.items()]


def _row(card: dict[str, Any]) -> dict[str, Any]:
    def figure(source: str, precision: str, key: str) -> Any:
        rows = [r for r in card["accuracy"] if r["source"] == source and r["model"] == precision and r["five points"] == "noisy"]
        return rows[0].get(key) if rows else None

    def latency(model: str) -> float | None:
        rows = [r for r in card["latency"]["rows"] if r["model"] == model and r["threads"] == 1 and r["xnnpack"] == "on"]
        return round(rows[0]["median_ms"], 2) if rows else None

    source, posed = measured_sources(card)
    ours, mesh = latency("int8"), latency("MediaPipe face_landmark")
    return {
        "weights": card["name"],
        "input px": card["input_px"],
        "parameters k": round(card["parameters"] / 1e3),
        "MMAC": round(card["macs"] / 1e6, 1),
        "int8 KB": round(kilobytes(card["files"]["int8.tflite"]["bytes"])),
        "core12 %": figure(source, "int8", "core12 %"),
        "95 %": figure(source, "int8", "core12 95 %"),
        "posed core12 %": figure(posed, "int8", "core12 %"),
        "nme %": figure(source, "int8", "nme %"),
        "float core12 %": figure(source, "float32", "core12 %"),
        "int8 ms": ours,
        "float ms": latency("float32"),
        "of the mesh's time": round(ours / mesh, 2) if ours and mesh else None,
    }


def _peer_row(card: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns one of `PEERS_PX`, with its own detector, as a row beside those of the weights; it is a float network."""
    rows = {row["source"]: row for row in card["mesh"] if row["model"] == name}
    usual, posed = (rows.get(source, {}) for source in measured_sources(card))
    return dict.fromkeys(_row(card)) | {
        "weights": name, "input px": PEERS_PX.get(name), "core12 %": usual.get("core12 %"), "95 %": usual.get("core12 95 %"),
        "posed core12 %": posed.get("core12 %"), "nme %": usual.get("nme %"), "float core12 %": usual.get("core12 %"),
    }  # fmt: skip


def measured_sources(card: dict[str, Any]) -> tuple[str, str]:
    """Returns the set that a card's row is measured on, and that of posed faces ("" if there is none)."""
    sources = [row["source"] for row in card["accuracy"]]
    usual = "wild_68_val" if "wild_68_val" in sources else sources[0]
    return usual, next((name for name in sources if name.endswith("_pose")), "")
