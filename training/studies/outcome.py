"""What a study leaves behind: a table, a plot, three sentences made from the numbers, and everything as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation import plots
from zoo.cards import markdown_table
from zoo.files import write_json, write_whole
from zoo.metrics import Difference

STUDIES = Path(__file__).parent
FILES = ("README.md", "table.csv", "results.json", "plot.png")


@dataclass(frozen=True)
class Outcome:
    """A finished study.

    Attributes:
      name: of the study and of its folder.
      question: what it asks, one sentence.
      finding: three sentences made from the numbers.
      tables: rows by title.
      conditions: what the numbers hold for, by name: sets, faces, models, steps, seed.
      notes: what a reader must know to read the tables.
      figure: the plot.
    """

    name: str
    question: str
    finding: tuple[str, str, str]
    tables: dict[str, list[dict[str, Any]]]
    conditions: dict[str, Any]
    notes: str
    figure: Any


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """Writes `FILES` into a folder; returns their paths."""
    results = {"study": outcome.name, "question": outcome.question, "finding": list(outcome.finding), "conditions": outcome.conditions}
    return [
        write_whole(folder / "README.md", markdown(outcome)),
        write_whole(folder / "table.csv", csv_text(outcome.tables)),
        write_json(folder / "results.json", results | {"tables": outcome.tables}),
        plots.save(outcome.figure, folder / "plot.png"),
    ]


def markdown(outcome: Outcome) -> str:
    """Returns the study as a page."""
    tables = "\n\n".join(f"## {title}\n{markdown_table(_uniform(rows))}" for title, rows in outcome.tables.items())
    conditions = "\n".join(f"- {name}: {_text(value)}" for name, value in outcome.conditions.items())
    return f"""# Study: {outcome.name}
{outcome.question}

{" ".join(outcome.finding)}

![{outcome.question}](plot.png)

{tables}

## What this holds for
{conditions}

{outcome.notes}

Every number and sentence here was written by `python -m training study {outcome.name}`.
"""


def csv_text(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Returns all tables as one CSV: the table's title, then a column for each key that any row has."""
    rows, text = _uniform([{"table": title, **row} for title, rows in tables.items() for row in rows]), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _uniform(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# ---- words for numbers ----------------------------------------------------------------------------------------------------------------


def change_columns(difference: Difference | None, name: str = "core12") -> dict[str, Any]:
    """Returns a paired difference as columns of a table, in points of per cent."""
    if difference is None:
        return {f"{name} change": None, "change 95 %": None}
    return {
        f"{name} change": round(100 * difference.mean, 3) + 0.0,
        "change 95 %": f"{signed(difference.low, 3)}..{signed(difference.high, 3)}",
    }


def signed(share: float, places: int = 2) -> str:
    """Returns a share in per cent with its sign, as in `+0.12`; what rounds to nothing is `+0.00`."""
    return f"{round(100 * share, places) + 0.0:+.{places}f}"


def says(difference: Difference) -> str:
    """Returns a paired difference in words, as in `+0.12 points (95 % +0.03..+0.21)`."""
    return f"{signed(difference.mean)} points (95 % {signed(difference.low)}..{signed(difference.high)})"


def compared(value: float, reference: float, less: str = "fewer") -> str:
    """Returns how a cost compares with another, as in `12 % fewer` or `3 % more`."""
    change = round(100 * (value / reference - 1))
    return f"{abs(change)} % {'more' if change > 0 else less}"


def listed(words: Sequence[str]) -> str:
    """Returns words as an English list: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
