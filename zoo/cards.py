"""Where published weights lie and what their cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.files import read_json
from zoo.variants import TAGS, VARIANTS

WEIGHTS = Path(__file__).parent / "weights"


def weights_folder(name: str) -> Path:
    """Returns the folder of the published weights `variant.tag`, whether or not it exists."""
    return WEIGHTS / name


def published() -> list[str]:
    """Returns the names `variant.tag` of all published weights, in the registry's order."""
    names = [f"{spec.name}.{tag}" for spec in VARIANTS for tag in TAGS]
    return [name for name in names if (weights_folder(name) / "card.json").is_file()]


def read_card(name: str) -> dict[str, Any] | None:
    """Returns the card of the published weights `variant.tag`, or None if there are none."""
    path = weights_folder(name) / "card.json"
    return read_json(path) if path.is_file() else None
