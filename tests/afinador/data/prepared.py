"""Records taken through the steps of a preparation: what is left of them, and what each step tallied."""

from __future__ import annotations

from typing import Any

from afinador.data.preparation import Pipeline, Tally, prepare
from afinador.data.records import Record

ROWS = [
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
    {"text": "Hm", "label": "No"},
    {"text": "  The Cat\nsleeps ", "label": "Yes"},
]


def run(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> list[dict[str, Any]]:
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    return [record.fields for record in prepare(found, "rows", steps)]


NUMBERED = [{"text": f"text {n}", "label": "yes" if n % 4 else "no", "customer": n // 3} for n in range(200)]


def parts_of(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> dict[str | None, list[dict[str, Any]]]:
    found = (Record(number, row) for number, row in enumerate(rows, start=1))
    parts: dict[str | None, list[dict[str, Any]]] = {}
    for row in Pipeline(list(steps)).run(found, "rows"):
        parts.setdefault(row.part, []).append(row.record.fields)
    return parts


def tallied(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Tally]]:
    pipeline = Pipeline(list(steps))
    found = (Record(number, row, "Record") for number, row in enumerate(rows, start=1))
    return [row.record.fields for row in pipeline.run(found, "rows")], pipeline.tallies
