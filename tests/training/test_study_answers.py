"""What the README says of a study follows from the tables that the study left behind."""

from __future__ import annotations

import copy

import pytest

from training.studies import outcome
from training.studies.answers import answer
from zoo.files import read_json

PUBLISHED = {path.parent.name: read_json(path) for path in sorted(outcome.STUDIES.glob("*/results.json"))}
MOST_WORDS = 90


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_study_has_a_short_answer(name):
    said = answer(PUBLISHED[name])
    assert said != " ".join(PUBLISHED[name]["finding"]) and len(said.split()) <= MOST_WORDS
    assert "None" not in said and "nan" not in said and "+-" not in said


def changed(name: str, title: str, row: dict[str, str], **columns) -> str:
    """Returns the answer where one row of a published table, found by what it holds, reads otherwise."""
    results = copy.deepcopy(PUBLISHED[name])
    found = next(r for r in results["tables"][title] if row.items() <= r.items())
    found.update(columns)
    return answer(results)


@pytest.mark.parametrize(
    ("interval", "verdict"), [("+0.010..+0.200", "less exact"), ("-0.200..-0.010", "more exact"), ("-0.1..+0.1", "as exact as")]
)
def test_the_verdict_on_the_mixture_follows_the_interval(interval, verdict):
    mixture = next(row["weights"] for row in PUBLISHED["heads"]["tables"]["Cost"] if row["stages"].startswith("deconv 128, shuffle"))
    said = changed("heads", "Accuracy", {"weights": mixture}, **{"against the first: change 95 %": interval})
    assert verdict in said and interval in said


def test_what_int8_loses_is_named_by_head():
    heads = PUBLISHED["heads"]["tables"]["Accuracy"]
    said = changed("heads", "Accuracy", {"weights": heads[0]["weights"]}, **{"int8 less float: change 95 %": "+0.100..+0.200"})
    assert said.endswith("int8 loses accuracy with deconvolution.")


@pytest.mark.parametrize(
    ("interval", "verdict"), [("+0.01..+0.02", "Yes:"), ("-0.01..+0.02", "The faces cannot tell:"), ("-0.02..-0.01", "No")]
)
def test_position_against_orientation_follows_the_interval(interval, verdict):
    apart = {"disturbed by": "displacement less rotation"}
    said = changed("sensitivity", "Spots carried by 15 %", apart, **{"change 95 %": interval})
    assert said.startswith(verdict)


def test_a_trick_that_helps_is_named_before_those_that_do_not():
    title = next(title for title in PUBLISHED["tricks"]["tables"] if title.startswith("Trainings"))
    said = changed("tricks", title, {"arm": "no mirror"}, **{"core12 change": 99.0, "change 95 %": "+98.0..+100.0"})
    assert "suffers most from no mirror (+99.00 points)" in said and "no mirror" not in said.partition("Not to be told")[2]


def test_tables_without_what_an_answer_needs_leave_the_finding():
    results = {"study": "heads", "finding": ["One.", "Two.", "Three."], "tables": {"Cost": [], "Accuracy": []}}
    assert answer(results) == "One. Two. Three."
    assert answer(results | {"study": "new"}) == "One. Two. Three."
