"""The page's charts, in Altair: every file's accuracy against its time, error curves, drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from demo.compare import ModelFile
from demo.disturb import Knob
from demo.draw import palette

METRICS = {"NME %": "lower is better", "core12 %": "lower is better", "FR@0.08 %": "lower is better", "AUC@0.08": "higher is better"}
_SHAPES = {"int8": "circle", "float32": "square"}
_GREY = "#7a7f8a"
_PLOT_PX = 380


def accuracy_against_time(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    compared: Sequence[str] = (),
    best: str | None = None,
    max_ms: float | None = None,
    max_error: float | None = None,
) -> alt.LayerChart:
    """Returns the scatter of files: time on this machine across, the metric up, area for file size, form for precision.

    Args:
      rows: of `figures.figures`; those without either figure are left out. Files of one training are joined by a line.
      metric: one of `METRICS`.
      compared: files whose marks have an edge.
      best: the file that is ringed.
      max_ms, max_error: limits to draw; the error's only for `NME %`.
    """
    shown = [
        {**row, "value": row[metric], "edge": 2.5 if row["file"] in compared else 0}
        for row in rows
        if row.get(metric) is not None and row.get("p50 ms here") is not None
    ]
    weights = list(dict.fromkeys(row["weights"] for row in rows))
    colours = alt.Scale(domain=weights, range=palette(len(weights)))
    across, up = _span([row["p50 ms here"] for row in shown] + [0.0]), _span([row["value"] for row in shown])
    base = alt.Chart(alt.Data(values=shown)).encode(
        x=alt.X("p50 ms here:Q", title="median milliseconds on this machine", scale=alt.Scale(domain=[0, across[1]], nice=False)),
        y=alt.Y("value:Q", title=f"{metric} ({METRICS[metric]})", scale=alt.Scale(domain=up, nice=False)),
        color=alt.Color("weights:N", title=None, scale=colours, legend=_legend(len(weights))),
        tooltip=[
            alt.Tooltip("file:N"),
            alt.Tooltip("value:Q", title=metric, format=".3f"),
            alt.Tooltip("p50 ms here:Q", title="median ms here", format=".2f"),
            alt.Tooltip("p90 ms here:Q", title="p90 ms here", format=".2f"),
            alt.Tooltip("published ms:Q", title="published ms", format=".2f"),
            alt.Tooltip("MB:Q", format=".2f"),
        ],
    )
    forms = alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values()))
    size = alt.Size("MB:Q", scale=alt.Scale(range=[110, 900], zero=True), legend=None)
    marks = base.mark_point(filled=True, stroke=_GREY, opacity=0.9).encode(
        shape=alt.Shape("precision:N", title=None, scale=forms, legend=alt.Legend(orient="bottom")),
        size=size,
        strokeWidth=alt.StrokeWidth("edge:Q", scale=None),
    )
    ring = base.transform_filter(alt.datum.file == (best or "")).mark_point(filled=False, size=1500, strokeWidth=2, strokeDash=[5, 3])
    lines = base.mark_line(strokeDash=[3, 3], opacity=0.6).encode(detail="weights:N")
    layers = [lines, marks, ring, *_rules(x=max_ms, y=max_error if metric == "NME %" else None)]
    said = f"{len(shown)} files: {metric} against median milliseconds"
    height = _PLOT_PX + 60 + _legend_px(len(weights))
    return alt.layer(*layers).properties(height=height, description=said).interactive()


def _span(values: Sequence[float]) -> list[float]:
    """Returns the ends of an axis that leaves some room round the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - room, high + room]


def error_curves(rows: Sequence[Mapping[str, Any]], weights: Sequence[str]) -> alt.LayerChart:
    """Returns the curves of `figures.curves_of`: broken lines for float, and for each of the weights its colour in the scatter."""
    names = list(dict.fromkeys(weights))
    colours = dict(zip(names, palette(len(names)), strict=True))
    return _curves(rows, "weights", ("error %", "NME, %"), ("share of faces %", "faces with at most this error, %"), colours)


def drift(rows: Sequence[Mapping[str, Any]], knob: Knob, colours: Mapping[ModelFile, str]) -> dict[str, Any]:
    """Returns the drift of `disturb.sweep` as a Vega-Lite specification, to be kept: making one takes longer than all else on the page."""
    by_label = {file.label: colour for file, colour in colours.items()}
    return _curves(rows, "file", ("value", knob.label), ("drift %", "mean drift, % of the eye distance"), by_label).to_dict()


def with_rule(specification: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Returns a layered Vega-Lite specification with a dashed upright line at a value."""
    mark = {"type": "rule", "strokeDash": [6, 4], "color": _GREY}
    rule = {"data": {"values": [{"at": at}]}, "mark": mark, "encoding": {"x": {"field": "at", "type": "quantitative"}}}
    return {**specification, "layer": [*specification["layer"], rule]}


def _curves(
    rows: Sequence[Mapping[str, Any]],
    series: str,
    x: tuple[str, str],
    y: tuple[str, str],
    colours: Mapping[str, str],
) -> alt.LayerChart:
    """Returns a line for each `file` over two fields, given with their titles, coloured by `series`."""
    order = list(dict.fromkeys(row[series] for row in rows))
    scale = alt.Scale(domain=order, range=[colours.get(name, _GREY) for name in order])
    nearest = alt.selection_point(on="pointerover", nearest=True, fields=[x[0]], empty=False)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X(f"{x[0]}:Q", title=x[1], scale=alt.Scale(nice=False)),
        y=alt.Y(f"{y[0]}:Q", title=y[1]),
        color=alt.Color(f"{series}:N", title=None, scale=scale, legend=_legend(len(order))),
        detail="file:N",
    )
    dots = base.mark_point(filled=True, size=60).encode(
        opacity=alt.condition(nearest, alt.value(1), alt.value(0)),
        tooltip=[alt.Tooltip("file:N"), alt.Tooltip(f"{x[0]}:Q", format=".3g"), alt.Tooltip(f"{y[0]}:Q", format=".3g")],
    )
    lines = base.mark_line(strokeWidth=2.2)
    if series == "weights":
        dashes = alt.Scale(domain=["int8", "float32"], range=[[1, 0], [6, 4]])
        lines = lines.encode(strokeDash=alt.StrokeDash("precision:N", title=None, scale=dashes, legend=alt.Legend(orient="bottom")))
    layers = [lines, dots.add_params(nearest)]
    said = f"{y[1]} over {x[1]}, one line for each of {len({row['file'] for row in rows})} files"
    return alt.layer(*layers).properties(height=_PLOT_PX + _legend_px(len(order)), description=said)


def _legend(entries: int) -> alt.Legend:
    """Returns a legend below the chart that a phone can show; many entries stand in two columns."""
    return alt.Legend(orient="bottom", columns=_legend_columns(entries), labelLimit=300)


def _legend_columns(entries: int) -> int:
    return 1 if entries <= 6 else 2


def _legend_px(entries: int) -> int:
    """Returns the height of a legend, which Streamlit takes from the plot's."""
    return 24 * -(-entries // _legend_columns(entries))


def _rules(x: float | None = None, y: float | None = None) -> list[alt.Chart]:
    """Returns dashed lines at the given places."""
    data = [(axis, alt.Data(values=[{"at": at}])) for axis, at in (("x", x), ("y", y)) if at is not None]
    return [alt.Chart(values).mark_rule(strokeDash=[6, 4], color=_GREY).encode(**{axis: "at:Q"}) for axis, values in data]


def timeline(rows: Sequence[Mapping[str, Any]], colours: Mapping[ModelFile, str]) -> alt.Chart:
    """Returns each file's score over the time of a video; rows are of `timeline.chart_rows`."""
    scale = alt.Scale(domain=[file.label for file in colours], range=list(colours.values()))
    low = min((row["score"] for row in rows if row["score"] is not None), default=0.0)
    base = alt.Chart(alt.Data(values=list(rows))).mark_line(strokeWidth=1.8)
    return base.encode(
        x=alt.X("time s:Q", title="seconds"),
        y=alt.Y("score:Q", title="confidence", scale=alt.Scale(domain=[min(low - 0.01, 0.96), 1], nice=False)),
        color=alt.Color("file:N", title=None, scale=scale, legend=_legend(len(colours))),
        tooltip=[alt.Tooltip("file:N"), alt.Tooltip("time s:Q", format=".2f"), alt.Tooltip("score:Q", format=".3f")],
    ).properties(height=_PLOT_PX + _legend_px(len(colours)), description=f"confidence of {len(colours)} files over the video")
