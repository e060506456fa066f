"""What keeps a data set from being prepared is told at once, and left out only where somebody says so, and told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from afinador.data.preparation import Prepared, faults, passage, prepare_file
from afinador.data.validation import validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading

DROP: dict[str, Any] = {"type": "drop_invalid"}
LOWER = {"type": "transform", "operation": "lowercase", "field": "text"}


def lines(*records: Any) -> str:
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records)


def good(number: int) -> dict[str, Any]:
    return {"text": f"Text {number}", "label": "odd" if number % 2 else "even"}


BAD = lines(good(1), "no json", good(2), {"text": "", "label": "odd"}, [], {"text": "no label"}, "{", good(3))


def prepared(folder: Path, content: str | bytes, *steps: dict[str, Any], name: str = "rows.jsonl") -> Prepared:
    source = folder / name
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    return prepare_file(source, list(steps), target=folder / "made.jsonl", overwrite=True)


def made(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "made.jsonl").read_text().splitlines()]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, BAD, LOWER, {"type": "filter", "condition": "label == 'odd'"})
    said = refused.value.message
    assert said.startswith("rows.jsonl: 4 of 8 records cannot be prepared: Line 2 is no JSON: ")
    assert "And 1 more like it. Line 5 is a list" in said and "Line 6 has no field 'label'" in said
    assert "`afinador validate dataset rows.jsonl --html report.html`" in said and "{type: drop_invalid}" in said
    assert [problem.split(" is ")[0].split(" has ")[0] for problem in refused.value.problems] == [
        "Line 2", "Line 5", "Line 6", "Line 7",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_record_that_lacks_two_columns_of_a_mapping_is_one_record(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(lines({"q": "a", "a": "b"}, {"x": 1}, {"q": "c", "a": "d"}))
    reading = DatasetReading(mapping={"prompt": "q", "completion": "a"})
    with pytest.raises(DataError) as refused:
        prepare_file(source, [{"type": "shuffle"}], target=tmp_path / "made.jsonl", reading=reading)
    assert "1 of 3 records cannot be prepared" in refused.value.message and len(refused.value.problems) == 2
    steps = [DROP, {"type": "shuffle"}]
    done = prepare_file(source, steps, target=tmp_path / "made.jsonl", reading=reading)
    told = done.steps[0]
    assert (told.rows_in, told.rows_out, told.counts) == (3, 2, {"unmapped_column": 2})


def test_the_first_ten_of_each_kind_are_told(tmp_path: Path) -> None:
    content = lines(*(each for number in range(25) for each in (good(number), "no json", {"label": "odd"})))
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, content, LOWER)
    assert "50 of 75 records cannot be prepared" in refused.value.message
    assert refused.value.message.count("And 24 more like it.") == 2 and len(refused.value.problems) == 20


def test_one_fault_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^rows\.jsonl: Line 2 is no JSON: ") as refused:
        prepared(tmp_path, lines(good(1), "no json", good(2)))
    assert "records cannot be prepared" not in refused.value.message


def test_several_processes_tell_the_same_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = lines(*(good(number) for number in range(50))) + BAD * 3
    told = []
    for processes in (1, 2):
        monkeypatch.setattr(passage, "PART_BYTES", 400)
        (tmp_path / "rows.jsonl").write_text(content)
        with pytest.raises(DataError) as refused:
            prepare_file(tmp_path / "rows.jsonl", [LOWER], target=tmp_path / "made.jsonl", processes=processes)
        told.append((refused.value.message, refused.value.problems))
    assert told[0] == told[1] and "9 of 74 records cannot be prepared" in told[0][0]


def test_nobody_waits_long_for_more_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(100))
    monkeypatch.setattr(faults.time, "monotonic", lambda: 10.0 * next(moments))
    with pytest.raises(DataError, match="3 of the first 6 records cannot be prepared"):
        prepared(tmp_path, BAD, LOWER, {"type": "filter", "condition": "label == 'odd'"})


def test_what_cannot_be_used_is_left_out_where_it_is_said_and_told(tmp_path: Path) -> None:
    done = prepared(tmp_path, BAD, DROP, LOWER)
    assert made(tmp_path) == [{**good(number), "text": f"text {number}"} for number in (1, 2, 3)]
    [tally, _] = done.steps
    assert (done.read, tally.rows_in, tally.rows_out) == (8, 8, 3)
    assert tally.counts == {"json_syntax": 2, "not_an_object": 1, "empty_field": 1, "missing_field": 1}
    told = {(problem["code"], problem["line"]) for problem in tally.dropped}
    assert told == {
        ("json_syntax", 2),
        ("empty_field", 4),
        ("not_an_object", 5),
        ("missing_field", 6),
        ("json_syntax", 7),
    }
    lineage = json.loads((tmp_path / "made.jsonl.lineage.json").read_text())
    assert lineage["steps"][0]["counts"] == tally.counts and lineage["steps"][0]["dropped"] == tally.dropped
    assert validate_dataset(tmp_path / "made.jsonl", "made.jsonl").is_valid


def test_of_each_fault_ten_are_kept_and_all_counted(tmp_path: Path) -> None:
    done = prepared(tmp_path, lines(*(good(number) for number in range(250)), *[{"text": "a"}] * 250), DROP)
    assert done.steps[0].counts == {"missing_field": 250} and len(made(tmp_path)) == 250
    assert [problem["line"] for problem in done.steps[0].dropped] == [*range(251, 261)]


def test_rows_of_another_width_are_left_out(tmp_path: Path) -> None:
    done = prepared(tmp_path, "text,label\na,b\nc\nd,e,f\ng,h\n", DROP, name="rows.csv")
    assert [row["text"] for row in made(tmp_path)] == ["a", "g"]
    assert done.steps[0].counts == {"column_count": 2} and done.steps[0].rows_in == 4


def test_metadata_that_do_not_fit_their_schema_are_left_out(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    records = [
        {"document": f"d {n}", "metadata": {"year": n if n % 3 else "old"}, "schema": schema} for n in range(1, 8)
    ]
    done = prepared(tmp_path, lines(*records), DROP)
    assert [row["metadata"]["year"] for row in made(tmp_path)] == [1, 2, 4, 5, 7]
    assert sum(done.steps[0].counts.values()) == 2 and {problem["line"] for problem in done.steps[0].dropped} == {3, 6}


def test_fields_are_renamed_before_records_are_held_against_a_shape(tmp_path: Path) -> None:
    content = lines({"body": "a", "kind": "b"}, {"body": "", "kind": "b"})
    rename = {"type": "rename", "fields": {"body": "text", "kind": "label"}}
    prepared(tmp_path, content, rename, DROP)
    assert made(tmp_path) == [{"text": "a", "label": "b"}]
    with pytest.raises(
        DataError, match=r"Step 1 \(drop_invalid\): Line 1 has the fields 'body', 'kind', which are of no known"
    ):
        prepared(tmp_path, content, DROP, rename)


def test_the_shape_may_be_said(tmp_path: Path) -> None:
    content = lines({"text": "a", "label": "b"}, {"text": "a"})
    prepared(tmp_path, content, {**DROP, "shape": "text"})
    assert len(made(tmp_path)) == 2
    prepared(tmp_path, content, DROP)
    assert len(made(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.json", json.dumps([good(1), good(2)])[:-20], "is no JSON"),
        ("rows.json", json.dumps([good(1)]) + json.dumps([good(2)]), "something follows the end"),
        ("rows.csv", 'text,label\na,b\n"c,d\ne,f\n', "a quote opens and is never closed"),
        ("rows.jsonl", lines(good(1)).encode() + b'{"text": "\xe9", "label": "a"}\n', "is not UTF-8"),
        ("rows.jsonl.gz", gzip.compress(lines(*map(good, range(5000))).encode())[:-200], "damaged or cut off"),
    ],
)
def test_what_stands_for_more_than_a_record_is_never_left_out(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        prepared(tmp_path, content, DROP, name=name)
    assert not (tmp_path / "made.jsonl").exists()


def test_all_are_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, "no json\n[]\n{\n", DROP)
    said = refused.value.message
    assert said.startswith(
        "rows.jsonl: No record is left for made.jsonl: step 1 (drop_invalid) has left out all that came to it, 3 records. "
        "Line 1 is no JSON: "
    )
    assert "And 1 more like it. Line 2 is a list" in said and "Loosen" not in said
    assert len(refused.value.problems) == 3
    assert refused.value.steps[0]["rows_in"] == 3 and len(refused.value.steps[0]["dropped"]) == 3


def test_the_step_that_leaves_nothing_is_named_with_what_each_has_done(tmp_path: Path) -> None:
    even, odd = ({"type": "filter", "condition": f"label == '{label}'"} for label in ("even", "odd"))
    rows = "no json\n" + lines(*map(good, range(6)))
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, rows, DROP, even, {"type": "shuffle", "seed": 1}, odd, {"type": "split", "validation": 0.5})
    assert refused.value.message == (
        "rows.jsonl: No record is left for made.jsonl: step 4 (filter) has left out all that came to it, 3 records. Loosen "
        "it, or check the data set."
    )
    done = [(step["type"], step["rows_in"], step["rows_out"]) for step in refused.value.steps]
    assert done == [("drop_invalid", 7, 6), ("filter", 6, 3), ("shuffle", 3, 3), ("filter", 3, 0), ("split", 0, 0)]
    with pytest.raises(DataError, match=r"No record is left for made.jsonl: there were none\. Check the data set"):
        prepared(tmp_path, "[]", even, name="rows.json")


def test_each_kind_of_what_a_step_refuses_is_told(tmp_path: Path) -> None:
    weighted = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}]
    rows = [
        {"messages": weighted},
        {"messages": []},
        {"prompt": "p", "completion": " "},
        {"body": "b"},
        *[{"source": 1, "target": "t"}] * 2,
    ]
    convert = {"type": "convert", "to": "text_label"}
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, lines(*rows), convert)
    said = refused.value.message
    assert "6 of 6 records cannot be prepared" in said and "And 2 other kinds of fault." in said
    assert "like it" not in said, "of each of the three that are told there is one"
    assert len(refused.value.problems) == 6
    assert "A first step {type: drop_invalid} leaves out" in said
    rename = {"type": "rename", "fields": {"body": "text"}}
    with pytest.raises(DataError, match=r"A step \{type: drop_invalid\} before step 2 leaves out"):
        prepared(tmp_path, lines(*[{"body": "", "label": "a"}] * 2), rename, {**convert, "to": "messages"})
    with pytest.raises(DataError) as refused:  # what it has no place for, drop_invalid would keep
        prepared(tmp_path, lines(*[{"messages": weighted}] * 2), convert)
    assert "no place for" in refused.value.message and "drop_invalid" not in refused.value.message


def test_a_page_on_the_data_is_proposed_where_it_would_show_a_fault(tmp_path: Path) -> None:
    page = "`afinador validate dataset rows.jsonl --html report.html`"
    to_alpaca = {"type": "convert", "to": "alpaca"}
    turns = [{"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant")]
    cases: list[tuple[list[dict[str, Any]], dict[str, Any], str, bool]] = [
        ([good(1), good(2)], {"type": "filter", "condition": "size > 3"}, "has no field 'size'", False),
        ([{"messages": turns}] * 2, to_alpaca, "no place for", False),
        ([{"messages": []}] * 2, to_alpaca, "'messages' is empty", True),
    ]
    for rows, step, said, is_proposed in cases:
        with pytest.raises(DataError) as refused:
            prepared(tmp_path, lines(*rows), step)
        assert said in refused.value.message and (page in refused.value.message) is is_proposed
        faulty = validate_dataset(tmp_path / "rows.jsonl", "rows.jsonl").errors
        assert bool(faulty) is is_proposed


def test_faults_behind_drop_invalid_are_searched_for(tmp_path: Path) -> None:
    lower = {"type": "transform", "operation": "lowercase", "field": "n"}
    rows = [{**good(number), **({} if number % 20 == 1 else {"n": "N"})} for number in range(100)]
    content = lines("no json", {"text": "", "label": "odd"}, *rows, {"text": "no label"})
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, content, DROP, lower)
    assert "5 of 103 records cannot be prepared: Line 4 has no field 'n'" in refused.value.message
    assert len(refused.value.problems) == 5 and "drop_invalid" not in refused.value.message
    with pytest.raises(DataError) as refused:  # it finds no shape among what the step before has let through
        prepared(tmp_path, lines(*[{"a": "b"}] * 2, {"n": "N"}), lower, DROP)
    assert "2 of the first 3 records cannot be prepared" in refused.value.message


def test_names_of_fields_are_shown_masked_and_the_first_few(tmp_path: Path) -> None:
    fields = {"ana.perez@empresa.mx": 1, **{f"field {number}": 1 for number in range(3000)}}
    for step in (DROP, {"type": "convert", "to": "messages"}):
        with pytest.raises(DataError) as refused:
            prepared(tmp_path, lines(fields), step)
        said = refused.value.message
        assert "ana.perez" not in said and "'field 0'" in said and "and 2993 more" in said and len(said) < 2000
        assert "behind it" not in said
    with pytest.raises(DataError, match="nor are those of 1 record behind it"):
        prepared(tmp_path, lines({"a": 1}, {"b": 1}), DROP)
