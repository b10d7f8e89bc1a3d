"""Plots of errors, drawn without a display and written whole."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.evaluation import metrics
from training.evaluation.faces import title
from training.evaluation.measure import Evaluation
from zoo.errors import ZooError
from zoo.files import write_whole

# Okabe and Ito's colours, which people with any colour vision tell apart; black is left for axes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
LINES = ("-", "--", ":", "-.")
_COLOURS = 64
_DPI = 130


def new_figure(columns: int, rows: int = 1, width: float = 5.2, height: float = 4.2) -> tuple[Any, np.ndarray]:
    """Returns a figure of `rows` x `columns` panels, sizes in inches, and its axes as an array (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.grid(True, color="#e4e4e4", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def style(index: int) -> dict[str, str]:
    """Returns the colour and line of the curve at `index`: lines change where the colours start again."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index // len(COLOURS) % len(LINES)]}


def legend_below(panel: Any) -> None:
    """Puts a panel's legend under its axis, where it hides no curve."""
    panel.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=8, frameon=False, borderaxespad=0)


def shared_legend(figure: Any, panel: Any, columns: int) -> None:
    """Puts one panel's legend under the whole figure."""
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", fontsize=8, frameon=False, ncols=columns)


def check_png(path: str) -> str:
    """Returns the path if it names a PNG file; a ZooError else."""
    if Path(path).suffix.lower() != ".png":
        raise ZooError(f"plots and sheets are written as PNG: the name must end in .png, received {path!r}")
    return path


def save(figure: Any, path: str | Path, dpi: int = _DPI) -> Path:
    """Writes a figure as PNG of few colours, whole or not at all; returns the path."""
    drawn, written = BytesIO(), BytesIO()
    # Neither date nor version, so that equal figures give equal files.
    figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return write_whole(path, written.getvalue())


def cumulative_plot(results: Sequence[Evaluation]) -> Any:
    """Returns cumulative error curves: a row for each source, by outer eye corners and by box, a curve for each model.

    A curve is the share of all faces whose nme is at most so large, up to the threshold of AUC and FR; those further right or missed
    are failures.
    """
    sources = list(dict.fromkeys(result.source for result in results))
    figure, axes = new_figure(2, len(sources))
    at = np.linspace(0, metrics.THRESHOLD, 401)
    panels = (("nme", "outer eye corners' distance"), ("box", "root of the true points' box area"))
    for row, source in enumerate(sources):
        for panel, (name, normaliser) in zip(axes[row], panels, strict=True):
            for index, result in enumerate(result for result in results if result.source == source):
                errors = getattr(result, name)
                figures = f"AUC {metrics.auc(errors):.3f}, FR {100 * metrics.failure_rate(errors):.1f} %"
                panel.plot(100 * at, 100 * metrics.cumulative(errors, at), label=f"{result.model}: {figures}", **style(index))
            panel.set(xlim=(0, 100 * metrics.THRESHOLD), ylim=(0, 101), xlabel=f"nme, % of the {normaliser}", ylabel="% of faces")
            panel.set_title(f"{title(source)}: {len(errors)} faces, {result.scheme} points", fontsize=10, loc="left")
            legend_below(panel)
    return figure
