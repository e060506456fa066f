"""Records that cannot be used: counted, searched for personal data all the same, and told what to rename."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.cli.dataset_reports import show_report
from afinador.data.dataset_reports import dataset_report
from afinador.data.records import Problem, Record
from afinador.data.shapes import Example, Shape, examined, to_example
from afinador.data.shapes.table import MOST_FAULTS
from afinador.data.validation import Report, validate_dataset


def verdict(path: Path, *records: Any) -> Report:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return validate_dataset(path, path.name)


def test_faults_are_counted_and_so_are_the_records_that_have_them(tmp_path: Path) -> None:
    good = [{"prompt": f"p{number}", "completion": f"c{number}"} for number in range(20)]
    report = verdict(tmp_path / "a.jsonl", *good, {"prompt": 1, "completion": ""}, {"prompt": 1, "completion": 2})
    assert report.counts == {"wrong_type": 3, "empty_field": 1}
    assert (report.records, report.refused, report.to_json()["unusable_records"]) == (22, 2, 2)
    assert report.summary().startswith("2 of 22 records cannot be used: Line 21: 'prompt' is 1")
    assert [(each.line, each.field) for each in report.errors] == [
        (21, "prompt"), (21, "completion"), (22, "prompt"), (22, "completion"),
    ]  # fmt: skip


def test_the_terminal_tells_how_many_records_the_faults_are_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for faulty, said in (
        ([{"prompt": 1, "completion": ""}], "2 errors in 1 record, 1"),
        ([{"prompt": 1, "completion": "c"}], "1 error, 1"),
    ):
        report = verdict(tmp_path / "a.jsonl", {"prompt": "p", "completion": "c"}, *faulty)
        show_report(dataset_report("a.jsonl", report.to_json()))
        assert f": {said}" in capsys.readouterr().out


REFUSED: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("completion", lambda text: {"prompt": 1, "completion": text}),
    ("completion", lambda text: {"prompt": "", "completion": [text]}),
    ("compltion", lambda text: {"prompt": "p", "compltion": text}),
]


@pytest.mark.parametrize(("field", "made"), REFUSED)
def test_a_record_that_cannot_be_used_is_searched_too_and_nothing_of_it_is_printed(
    tmp_path: Path, field: str, made: Callable[[str], dict[str, Any]]
) -> None:
    text = "write to ana.perez@empresa.mx, api_key=Zx81kQpL0w9TrYv7 \x07 caf\u00c3\u00a9"
    good = [{"prompt": f"p{number}", "completion": f"c{number}"} for number in range(120)]
    report = verdict(tmp_path / "a.jsonl", *good, made(text))
    warned = {each.code: each for each in report.warnings}
    assert {"personal_email", "secret_api_key", "control_character", "misread_encoding"} <= {
        "secret_api_key" if code.startswith("secret_") else code for code in warned
    }
    assert all(each.line == 121 and str(each.field).startswith(field) for each in warned.values())
    assert "perez" not in str(report.to_json()) and "Zx81" not in str(report.to_json())


def test_a_conversation_that_cannot_be_used_is_searched_to_its_last_turn(tmp_path: Path) -> None:
    good = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]} for n in range(120)
    ]
    turns = [{"role": "bot", "content": "q"}, {"role": "assistant", "content": "ana.perez@empresa.mx"}]
    report = verdict(tmp_path / "a.jsonl", *good, {"messages": turns, "tools": 5})
    assert [(each.code, each.field) for each in report.errors] == [
        ("bad_role", "messages[0].role"),
        ("bad_tools", "tools"),
    ]
    assert ("personal_email", "messages[1].content") in [(each.code, each.field) for each in report.warnings]


def test_metadata_are_held_against_their_schema_also_where_the_record_has_another_fault(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    good = {"document": "d", "metadata": {"year": 1}, "schema": schema}
    odd = {"document": 5, "metadata": '{"year": "old"}', "schema": json.dumps(schema)}
    report = verdict(tmp_path / "a.jsonl", good, odd, {**odd, "metadata": []}, {**good, "type": 1})
    assert [(each.line, each.code, each.field) for each in report.errors] == [
        (2, "wrong_type", "document"), (2, "schema_mismatch", "metadata.year"), (3, "wrong_type", "document"),
        (3, "wrong_type", "metadata"), (4, "wrong_type", "type"),
    ]  # fmt: skip
    assert report.refused == 3


def test_a_record_of_a_hundred_thousand_faults_is_told_soon_and_in_short(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    faulty = {"messages": [{"role": "bot", "content": f"ana{number}@empresa.mx"} for number in range(100_000)]}
    peak, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    report = verdict(tmp_path / "a.jsonl", good, faulty, {"messages": [5] * 100_000})
    assert time.thread_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300 * 1024
    assert {code: report.counts[code] for code in ("bad_role", "bad_message")} == {
        "bad_role": MOST_FAULTS, "bad_message": MOST_FAULTS,
    }  # fmt: skip
    assert report.refused == 2 and len(report.errors) == 20 and len(json.dumps(report.to_json())) < 20_000


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "text", "value": "t"}, "has its text under 'value', which is called 'text'"),
        ({"type": "text", "content": "t"}, "has its text under 'content', which is called 'text'"),
        ({"value": "t"}, "has its text under 'value', which is called 'text'"),
        ({"text": "t"}, "has no 'type'"),
        ({"type": "input_text", "text": "t"}, "has the type 'input_text'"),
        ({"type": "text", "text": 5}, "is an object of 2 fields; only"),
        ({"type": "image_url", "value": "t"}, "is of type 'image_url'; only"),
    ],
)
def test_a_part_of_a_content_that_is_nearly_right_is_told_what_to_rename(part: dict[str, Any], said: str) -> None:
    def made(part: dict[str, Any]) -> Example | list[Problem]:
        messages = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "a"}]
        return examined(Record(1, {"messages": messages}), "messages")

    found = made(part)
    assert isinstance(found, list) and [each.code for each in found] == ["bad_content_part"]
    assert f"messages[0].content[0] {said}" in found[0].message
    if said.startswith("has"):  # what it says can be done, and helps
        text = next(value for key, value in part.items() if key != "type")
        repaired = made({"type": "text", "text": text})
        assert isinstance(repaired, Example) and repaired.messages and repaired.messages[0]["content"] == "t"


@pytest.mark.parametrize(
    ("shape", "fields", "said"),
    [
        ("messages", {"messages": [{"role": "user", "value": "q"}, {"role": "assistant", "content": "a"}]},
         "messages[0].content is missing; it must be text. Rename 'value' to 'content', or"),
        ("sharegpt", {"conversations": [{"from": "human", "content": "q"}, {"from": "gpt", "value": "a"}]},
         "conversations[0].value is missing; it must be text. Rename 'content' to 'value', or"),
    ],
)  # fmt: skip
def test_a_message_whose_text_has_another_key_is_told_what_to_rename(
    shape: Shape, fields: dict[str, Any], said: str
) -> None:
    found = to_example(Record(1, fields), shape)
    assert isinstance(found, Problem) and said in found.message
