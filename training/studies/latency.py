"""How long weights take, from the published cards or from a run of `python -m tflite benchmark --json`: training itself times nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import cards
from zoo.errors import ZooError
from zoo.files import read_json

_MESH = "MediaPipe face_landmark"


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of one call on one thread with XNNPACK; None where nobody has measured it.

    Attributes:
      int8_ms, float_ms: of the weights' two files.
      mesh_ms: of MediaPipe's face mesh in the same run.
      delegated: operators of the int8 file that the delegate takes, and all.
      source: in what run, on what machine; "" for none.
    """

    int8_ms: float | None = None
    float_ms: float | None = None
    mesh_ms: float | None = None
    delegated: str | None = None
    source: str = ""


def latency_of(name: str, benchmark: Path | None) -> Latency:
    """Returns the times of published weights or of a run.

    Args:
      name: of the weights, or of the float run, whose files lie in the folder of the same name with `-int8`.
      benchmark: JSON rows of `python -m tflite benchmark`, all timed in one run; without it the weights' card is asked.

    Raises:
      ZooError: the file holds no such rows.
    """
    if benchmark is not None:
        rows = read_json(benchmark)
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and {"model", "threads", "xnnpack", "median_ms"} <= set(row) for row in rows
        ):
            raise ZooError(f"{benchmark} holds no rows of `python -m tflite benchmark --json`")
        owners = {name, f"{name}-int8"}
        found = {precision: [f"{owner}{gap}{precision}" for owner in owners for gap in " /"] for precision in ("int8", "float32")}
        return _pick(rows, found["int8"], found["float32"], f"one run, {rows[0].get('machine', 'machine unknown')}" if rows else "")
    card = cards.read_card(name)
    if card is None:
        return Latency()
    return _pick(card["latency"]["rows"], ["int8"], ["float32"], f"the run of {name}'s card, {card['latency']['machine']}")


def _pick(rows: Sequence[dict[str, Any]], int8: Sequence[str], floating: Sequence[str], source: str) -> Latency:
    def row(labels: Sequence[str]) -> dict[str, Any]:
        return next((r for r in rows if r["model"] in labels and r["threads"] == 1 and r["xnnpack"] == "on"), {})

    def milliseconds(labels: Sequence[str]) -> float | None:
        value = row(labels).get("median_ms")
        return None if value is None else round(value, 3)

    times = milliseconds(int8), milliseconds(floating), milliseconds([_MESH])
    return Latency(*times, row(int8).get("delegated"), source if times[0] or times[1] else "")
