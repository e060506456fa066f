"""Samples, orders and parts: decided by their seeds, and nothing alike in two parts."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.data.preparation import Pipeline
from afinador.data.records import Record
from afinador.errors import DataError
from tests.afinador.data.prepared import NUMBERED, ROWS, parts_of, run


def test_samples_and_orders_are_decided_by_their_seeds() -> None:
    drawn = run(NUMBERED, {"type": "sample", "records": 20, "seed": 1})
    assert len(drawn) == 20 and drawn == [row for row in NUMBERED if row in drawn]
    assert drawn == run(NUMBERED, {"type": "sample", "records": 20, "seed": 1})
    assert drawn != run(NUMBERED, {"type": "sample", "records": 20, "seed": 2})
    assert 60 < len(run(NUMBERED, {"type": "sample", "share": 0.5})) < 140
    mixed = run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert mixed != NUMBERED and mixed == run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert sorted(mixed, key=NUMBERED.index) == NUMBERED


def test_what_does_not_fit_into_memory_is_shuffled_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afinador.data.preparation.shuffle.BYTES_IN_MEMORY", 1000)
    mixed = run(NUMBERED, {"type": "shuffle", "seed": 1})
    assert mixed != NUMBERED and sorted(mixed, key=NUMBERED.index) == NUMBERED


def test_parts_have_their_shares_and_their_share_of_each_label() -> None:
    split = {"type": "split", "validation": 0.1, "test": 0.2, "stratify": "label", "seed": 3}
    parts = parts_of(NUMBERED, split)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 140, "validation": 20, "test": 40}
    for rows in parts.values():
        assert sum(row["label"] == "no" for row in rows) == len(rows) / 4
    assert parts == parts_of(NUMBERED, split)
    assert sorted((row for rows in parts.values() for row in rows), key=NUMBERED.index) == NUMBERED


@pytest.mark.parametrize("seed", range(5))
def test_what_is_held_out_has_no_label_that_training_lacks(seed: int) -> None:
    """A label that occurs once would make the held-out file one that a classifier is refused for."""
    rows = [{"text": f"text {number}", "label": "often"} for number in range(41)]
    rows += [
        {"text": f"other {number}", "label": label} for number, label in enumerate(("few", "few", "once", "twice"))
    ]
    parts = parts_of(rows, {"type": "split", "validation": 0.2, "stratify": "label", "seed": seed})
    assert {row["label"] for row in parts["train"]} == {"often", "few", "once", "twice"}
    assert len(parts["validation"]) == 9
    with pytest.raises(DataError, match="or group or stratify by another field"):
        parts_of(rows, {"type": "split", "validation": 0.2, "stratify": "text"})


def test_groups_and_equal_records_stay_together() -> None:
    parts = parts_of(NUMBERED, {"type": "split", "validation": 0.3, "group": "customer"})
    customers = {part: {row["customer"] for row in rows} for part, rows in parts.items()}
    assert not customers["train"] & customers["validation"]
    assert 0.2 < len(parts["validation"]) / len(NUMBERED) < 0.4
    parts = parts_of(NUMBERED * 3, {"type": "split", "validation": 0.2})
    assert not [row for row in parts["validation"] if row in parts["train"]] and len(parts["validation"]) == 120


@pytest.mark.parametrize(
    "texts",
    [
        lambda number: {"text": f"text {number}", "label": "yes"},
        lambda number: {"prompt": f"q {number}", "completion": "a"},
        lambda number: {"messages": [{"role": "user", "content": f"{number}"}, {"role": "assistant", "content": "a"}]},
    ],
)
def test_records_that_differ_in_an_id_alone_stay_together_and_it_is_told(texts: Any) -> None:
    rows = [{"id": 100 * copy + number, **texts(number), "date": copy} for copy in range(3) for number in range(20)]
    found = [Record(number, row) for number, row in enumerate(rows, start=1)]
    pipeline = Pipeline([{"type": "split", "validation": 0.3}])
    parts: dict[str, set[int]] = {"train": set(), "validation": set()}
    for row in pipeline.run(found, "rows"):
        parts[str(row.part)].add(row.record.fields["id"] % 100)
    assert not parts["train"] & parts["validation"]
    assert pipeline.tallies[0].counts == {"kept_together": 60}
    assert pipeline.tallies[0].parts == {"train": 42, "validation": 18}
    alone = Pipeline([{"type": "split", "validation": 0.3}])
    assert len(list(alone.run(found[:20], "rows"))) == 20 and alone.tallies[0].counts == {}
    kept = Pipeline([{"type": "split", "validation": 0.3, "group": "date"}])
    by_date = {row.record.fields["date"]: row.part for row in kept.run(found, "rows")}
    assert set(by_date.values()) == {"train", "validation"} and kept.tallies[0].counts == {"kept_together": 60}


def test_a_part_that_gets_nothing_is_said() -> None:
    with pytest.raises(DataError, match=r"the part validation gets none of 3 records in 1 group\."):
        parts_of([ROWS[0]] * 3, {"type": "split"})
