"""Figures are the cards' own, a budget is kept to and explained, error curves are shown where cards have them in any form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import compare, figures, wording
from demo.compare import ModelFile
from demo.figures import Budget

FILES = compare.model_files()
CARDS = figures.cards_of(FILES)
SOURCE = figures.sources(CARDS)[0]


def no_times(file):
    return []


def test_published_figures_are_the_cards():
    rows = figures.figures(FILES, CARDS, no_times, SOURCE)
    assert [row["file"] for row in rows] == [file.label for file in FILES]
    for file, row in zip(FILES, rows, strict=True):
        found = [
            r for r in CARDS[file.name]["accuracy"] if (r["model"], r["source"], r["five points"]) == (file.precision, SOURCE, "noisy")
        ]
        assert row["NME %"] == (found[0]["nme %"] if found else None)
        assert row["AUC@0.08"] == (found[0]["AUC@0.08"] if found else None)
        assert row["MB"] == pytest.approx(CARDS[file.name]["files"][file.path.name]["bytes"] / 2**20)
        assert row["p50 ms here"] is None and row["p90 ms here"] is None
    int8 = next(row for row in rows if row["precision"] == "int8")
    parent = next(row for row in rows if row["weights"] == int8["weights"] and row["precision"] == "float32")
    assert int8["float NME %"] == parent["NME %"], "float stands beside int8"


def test_a_card_that_knows_little_is_no_error():
    file = ModelFile(FILES[0].name, "int8")
    for card in ({}, {"accuracy": []}, {"accuracy": [{"model": "int8", "source": SOURCE}]}, {"latency": {}}):
        (row,) = figures.figures([file], {file.name: card}, lambda file: [1.0] * 9, SOURCE)
        assert row["NME %"] is None and row["published ms"] is None and row["p50 ms here"] == 1.0
    assert figures.sources({"a": {}}) == []
    assert figures.shown_first([file], {file.name: {}}) == [file]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "file": st.uuids().map(str),
            "tag": st.sampled_from(["open", "research"]),
            "NME %": st.none() | st.floats(1, 9),
            "p50 ms here": st.none() | st.floats(0.1, 20),
            "MB": st.floats(0.1, 9),
        }
    ),
    max_size=8,
)
LIMIT = st.none() | st.floats(0.5, 10)


@given(rows=ROWS, max_ms=LIMIT, max_mb=LIMIT, max_nme=LIMIT, commercial=st.booleans())
def test_the_best_choice_keeps_to_the_budget_and_is_the_quickest_of_the_most_exact(rows, max_ms, max_mb, max_nme, commercial):
    verdict = figures.best_choice(rows, Budget(max_ms, max_mb, max_nme, commercial))

    def fits(row):
        pairs = ((row["p50 ms here"], max_ms), (row["MB"], max_mb), (row["NME %"], max_nme))
        kept = all(limit is None or (value is not None and value <= limit) for value, limit in pairs)
        return kept and row["NME %"] is not None and not (commercial and row["tag"] == "research")

    fitting = [row for row in rows if fits(row)]
    assert verdict.fitting == len(fitting)
    if fitting:
        alike = [row for row in fitting if row["NME %"] <= figures.ERRORS_ALIKE * min(row["NME %"] for row in fitting)]
        assert verdict.row in alike
        timed = [row["p50 ms here"] for row in alike if row["p50 ms here"] is not None]
        assert not timed or verdict.row["p50 ms here"] == min(timed)
    else:
        assert verdict.row is None and verdict.reason
    assert wording.verdict(verdict)


def test_a_budget_that_leaves_nothing_says_what_would_let_a_file_in():
    rows = [{"file": "a.open int8", "tag": "open", "NME %": 4.0, "p50 ms here": 2.0, "MB": 0.8}]
    assert "2.00 or more would let a.open int8 in" in figures.best_choice(rows, Budget(max_ms=1.0)).reason
    assert "loosen two" in figures.best_choice(rows, Budget(max_ms=1.0, max_mb=0.1)).reason
    assert "no file has a published error" in figures.best_choice([], Budget()).reason.lower()


@pytest.mark.parametrize(
    "card",
    [
        {"accuracy": [{"source": "s", "model": "int8", "five points": "noisy", "ced": [0.02, 0.01, 0.04, None]}]},
        {"accuracy": [{"source": "s", "model": "int8", "ced": [2.0, 1.0, 4.0, None]}]},
        {"ced": {"s": {"int8": [2.0, 1.0, 4.0, None]}}},
        {"ced": [{"source": "s", "model": "int8", "five points": "noisy", "errors": [2.0, 1.0, 4.0, None]}]},
    ],
)
def test_error_curves_are_found_wherever_a_card_has_them(card):
    curves = figures.error_curves(card, "s")
    assert list(curves) == ["int8"]
    np.testing.assert_allclose(curves["int8"], [1, 2, 4, np.inf])
    rows = figures.curve_rows(curves["int8"], "a", up_to=5, steps=6)
    assert [row["share of faces %"] for row in rows] == [0, 25, 50, 50, 75, 75], "a miss is never reached"


@pytest.mark.parametrize("junk", [None, "many", [], ["x"], {"s": "y"}, {"s": {"int8": 3}}, [{"source": "s"}], 7])
def test_error_curves_that_are_none_are_left_out(junk):
    assert figures.error_curves({"ced": junk, "accuracy": [{"source": "s", "model": "int8", "ced": junk}]}, "s") == {}


def test_what_a_file_is_best_at_is_said_only_where_there_is_a_difference():
    rows = [
        {"file": "a", "NME %": 4.0, "p50 ms here": 1.0, "MB": 1.0},
        {"file": "b", "NME %": 3.0, "p50 ms here": 1.05, "MB": 1.0},
        {"file": "c", "NME %": None, "p50 ms here": 3.0, "MB": 1.0},
    ]
    assert figures.distinctions(rows) == {"a": ["quickest here"], "b": ["most exact", "quickest here"], "c": []}
    assert figures.distinctions(rows[:1]) == {"a": []}


def test_a_busy_machine_is_noticed():
    calm, busy = {"p50 ms here": 1.0, "p90 ms here": 1.2}, {"p50 ms here": 1.0, "p90 ms here": 9.0}
    assert figures.unsteady([busy, busy, calm]) and not figures.unsteady([busy, calm, calm])
    assert not figures.unsteady([]) and not figures.unsteady([{"p50 ms here": None, "p90 ms here": None}])


def test_charts_can_be_drawn_of_all_files():
    from demo import charts

    rows = figures.figures(FILES, CARDS, lambda file: [1.0, 2.0, 3.0, 4.0, 5.0], SOURCE)
    for metric in charts.METRICS:
        chart = charts.accuracy_against_time(rows, metric, [FILES[0].label], FILES[0].label, 3.0, 4.0).to_dict()
        values = chart["layer"][1]["data"]["values"] if "data" in chart["layer"][1] else chart["data"]["values"]
        assert {row["file"] for row in values} == {row["file"] for row in rows if row[metric] is not None}
    assert charts.accuracy_against_time([], "NME %").to_dict()
    curves = figures.curves_of(FILES[:1], {FILES[0].name: {"ced": {"s": {"int8": [1.0, 2.0, 9.0], "float32": [1.0, 3.0]}}}}, "s", "noisy")
    assert {row["file"] for row in curves} == {f"{FILES[0].name} int8", f"{FILES[0].name} float32"}
    assert charts.error_curves(curves, [FILES[0].name]).to_dict()
    assert figures.curves_of(FILES, CARDS, "no such set", "noisy") == []
