"""What is told of a data set as a whole: its labels, its lengths, and notes."""

import pytest

from tests.afinador.data.judged_records import pairs


@pytest.mark.parametrize(
    "labels, codes",
    [
        (["a"] * 6 + ["b"] * 6, set()),
        (["a"] * 6 + ["b"] * 6 + ["c"], {"rare_label"}),
        (["a"] * 40 + ["b"] * 4, {"imbalanced_labels"}),
        (["pos"] * 6 + ["Pos "] * 6, {"similar_labels"}),
        (["caf\u00e9"] * 6 + ["cafe\u0301"] * 6, {"similar_labels"}),
        ([f"free text {at}" for at in range(20)], set()),
    ],
)
def test_labels_that_are_rare_uneven_or_alike_are_told(verdict, labels, codes):
    report = verdict([{"text": f"t{at}", "label": label} for at, label in enumerate(labels)])
    assert report.is_valid and set(report.counts) == codes


def test_notes_are_no_doubts(verdict):
    report = verdict(pairs(20))
    assert [note.code for note in report.notes] == ["small_data_set"] and report.counts == {}
    assert report.to_json()["notes"][0]["message"].endswith(".")
    assert verdict(pairs(100)).notes == []


@pytest.mark.parametrize(
    ("records", "warnings", "notes"),
    [(9, ["few_records"], []), (10, [], ["small_data_set"]), (99, [], ["small_data_set"]), (100, [], [])],
)
def test_few_records_are_a_warning_and_not_many_a_note(verdict, records, warnings, notes):
    report = verdict(pairs(records))
    assert [told.code for told in report.warnings] == warnings and [told.code for told in report.notes] == notes


def test_lengths_are_those_of_the_records(verdict):
    report = verdict([{"prompt": "p", "completion": "c" * length} for length in range(1, 101)])
    told = report.to_json()["lengths"]
    assert (told["minimum"], told["median"], told["p90"], told["p99"], told["maximum"]) == (2, 51.5, 91, 100, 101)
    assert told["mean"] == 51.5 and sum(bar["records"] for bar in told["histogram"]) == 100
    assert [bar["from"] for bar in told["histogram"]] == [2 + 5 * bar for bar in range(20)]
