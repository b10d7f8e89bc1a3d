"""The part of a card that says how sure weights are: each file's uncertainty is fitted, and measured on faces left out of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.evaluation import fitting, plots, sureness
from training.evaluation.calibrate import all_readings
from training.evaluation.faces import samples
from training.evaluation.readings import meshes_of
from zoo.cards import FILES
from zoo.files import write_whole
from zoo.landmarker import load
from zoo.runtime.interpreter import STRIDE, read_model
from zoo.runtime.metadata import with_uncertainty

PLOT = "reliability.png"
_DPI = 80  # every set of weights has one, and they are shipped


def calibrated(out: Path, sources: Sequence[str], meshes: Sequence[Path]) -> dict[str, Any]:
    """Returns the card's `sureness` and `reliability`, by precision, and writes each file's uncertainty into it and the plot beside it.

    The figures are of two fits, each measured on the photographs or people that the other one was made on.

    Args:
      out: folder with the files in `zoo.cards.FILES`.
      sources: the sets to fit on.
      meshes: labels files whose meshes turn the sets' faces in depth.
    """
    faces, found = {source: samples(source) for source in sources}, meshes_of(meshes)
    card: dict[str, Any] = {"sureness": {}, "reliability": {}}
    for precision, file in FILES.items():
        path = out / file
        readings = all_readings(load(path), faces, found)
        pairs = fitting.cross_fitted(readings, STRIDE)
        card["sureness"][precision], card["reliability"][precision] = sureness.figures(pairs), sureness.reliability(pairs)
        write_whole(path, with_uncertainty(read_model(path), path, fitting.fit(readings, STRIDE)))
    plots.save(sureness.reliability_plot(card["reliability"]), out / PLOT, dpi=_DPI)
    return card
