"""Files of published weights in every precision: those that are shipped, and the float32 one, which is made where it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tflite.export.convert import export_published
from zoo import cards

NAME = "mixed-035-128.open"


@pytest.fixture(scope="session", name="weights_files")
def make_weights_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the paths of the int8, float16 and float32 files of `NAME`, by precision."""
    made, shipped = tmp_path_factory.mktemp("halves"), cards.weights_folder(NAME)
    export_published(NAME, made, ["float32"])
    return {"int8": shipped / "int8.tflite", "float16": shipped / "float16.tflite", "float32": made / "float32.tflite"}
