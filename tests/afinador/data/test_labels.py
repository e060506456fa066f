"""Labels as classes, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.labels import MAX_CLASSES, LabelCounts, LabelledFile, classes_of, in_order
from afinador.data.task_fit import fitted
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from afinador.schemas.jobs import Task


def labelled(name: str, labels: list[str]) -> LabelledFile:
    counts = LabelCounts()
    for label in labels:
        counts.add(label)
    return LabelledFile(name, "text_label", counts)


def test_numbers_stand_in_the_order_of_their_values_before_words() -> None:
    assert in_order(["b", "10", "a", "-1", "2.5", "9", "B", "1e3"]) == ["-1", "2.5", "9", "10", "1e3", "B", "a", "b"]


def test_labels_are_counted_by_the_check_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,yes\ny, yes \nz,no\n")
    report = validate_dataset(path, path.name)
    assert report.labels is not None and dict(report.labels.counts) == {"yes": 2, "no": 1}
    kept = LabelledFile.from_report(path.name, report.to_json())
    assert kept.can_be_judged and classes_of(kept) == ["no", "yes"]


@pytest.mark.parametrize("record", ['{"prompt": "a", "completion": "b"}', '{"text": "a"}'])
def test_records_without_labels_are_no_classes(record: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{record}\n{record}\n")
    kept = LabelledFile.from_report(path.name, validate_dataset(path, path.name).to_json())
    assert kept.can_be_judged
    with pytest.raises(DataError, match="learns from the fields 'text' and 'label'"):
        classes_of(kept)


def test_many_long_labels_are_not_kept_with_the_verdict_and_cannot_be_judged_by_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"x,{'long ' * 100}{n}\n" for n in range(60)))
    report = validate_dataset(path, path.name)
    assert not LabelledFile.from_report(path.name, report.to_json()).can_be_judged
    with pytest.raises(DataError, match="60 different labels in 60 records"):
        classes_of(LabelledFile(path.name, report.shape, report.labels))


def test_few_records_of_two_classes_and_two_a_class_are_enough() -> None:
    assert classes_of(labelled("a", ["x", "y"])) == ["x", "y"]
    assert classes_of(labelled("a", ["x", "y", "z"] * 2)) == ["x", "y", "z"]
    with pytest.raises(DataError, match="3 different labels in 4 records"):
        classes_of(labelled("a", ["x", "y", "z", "x"]))


def test_there_is_a_highest_number_of_classes() -> None:
    names = [f"class {n}" for n in range(MAX_CLASSES)] * 3
    assert len(classes_of(labelled("a", names))) == MAX_CLASSES
    with pytest.raises(DataError, match=f"more than {MAX_CLASSES:,} different labels"):
        classes_of(labelled("a", [*names, "one more", "and more", "one more"]))


def test_unknown_labels_of_a_validation_file_are_named_and_counted() -> None:
    training = labelled("train", ["x", "y"] * 3)
    assert classes_of(training, labelled("valid", ["y", " x"])) == ["x", "y"]
    with pytest.raises(
        DataError, match="valid has 2 labels that the training file does not have: 'u', 'v', in 3 records"
    ):
        classes_of(training, labelled("valid", ["x", "u", "v", "u"]))


@pytest.mark.parametrize(
    ("labels", "task", "code"),
    [
        (["card"] * 4, "sequence_classification", "one_label"),
        (["card"] * 4, None, "one_label"),
        (["card"] * 4, "causal_lm", None),
        (["card", "cash"] * 2, "sequence_classification", None),
        (["why", "how", "who", "when"], "sequence_classification", "no_classes"),
        (["why", "how", "who", "when"], None, None),
        (None, "sequence_classification", "no_classes"),
        (None, None, None),
    ],
)
def test_a_verdict_for_a_task_refuses_what_its_job_would(
    labels: list[str] | None, task: Task | None, code: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    fields = [{}] * 4 if labels is None else [{"label": label} for label in labels]
    path.write_text("".join(json.dumps({"text": f"x {n}", **each}) + "\n" for n, each in enumerate(fields)))
    read = validate_dataset(path, path.name).to_json()
    (report,) = fitted([(path.name, read)], task)
    assert [fault["code"] for fault in report["errors"]] == ([code] if code else [])
    if code:
        assert code not in {fault["code"] for fault in report["warnings"]} and report["counts"][code] == 1
        assert report["summary"] == report["errors"][0]["message"]
    else:
        assert report == read


def test_a_file_that_is_held_out_may_have_one_label_but_must_have_labels(tmp_path: Path) -> None:
    def verdict(name: str, text: str) -> tuple[str, dict[str, Any]]:
        (tmp_path / name).write_text(text)
        return name, validate_dataset(tmp_path / name, name).to_json()

    training = verdict("train.csv", "text,label\na,x\nb,y\n")
    for name, held_out, codes in (("a.csv", "text,label\nc,x\nd,x\n", []), ("a.txt", "c\n\nd\n", ["no_classes"])):
        fit, judged = fitted([training, verdict(name, held_out)], "sequence_classification")
        assert not fit["errors"] and [fault["code"] for fault in judged["errors"]] == codes


def test_labels_are_judged_beside_other_faults(tmp_path: Path) -> None:
    def verdict(name: str, *labels: str | float | None) -> tuple[str, dict[str, Any]]:
        records = [{"text": f"{name} {number}", "label": label} for number, label in enumerate(labels)]
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        return name, validate_dataset(tmp_path / name, name).to_json()

    def codes(*found: tuple[str, dict[str, Any]]) -> list[list[str]]:
        fit = fitted(found, "sequence_classification")
        assert all(
            report["errors"][-1]["message"] in report["summary"] for report in fit if "no_classes" in report["counts"]
        )
        return [list(dict.fromkeys(fault["code"] for fault in report["errors"])) for report in fit]

    assert codes(verdict("a.jsonl", "why", "how", "who", "when", "")) == [["empty_field", "no_classes"]]
    assert codes(verdict("a.jsonl", "x", "x", "x", None)) == [["null_field", "one_label"]]
    assert codes(verdict("a.jsonl", "x", None, None, None)) == [["null_field"]], "too few labels to judge"
    training = verdict("a.jsonl", "x", "y", "x", "y", "")
    assert codes(training, verdict("b.jsonl", "x", "z", "")) == [["empty_field"], ["empty_field", "no_classes"]]
    assert codes(training, verdict("b.jsonl", "x", None, None)) == [["empty_field"], ["null_field"]]


def test_an_infinite_label_is_refused_by_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 1e999}\n{"text": "c", "label": -1e999}\n')
    first, second = validate_dataset(path, path.name).errors
    assert (first.code, first.line, first.field, second.line) == ("wrong_type", 2, "label", 3)
    assert "'label' is infinite" in first.message and "Write it as text" in first.message
