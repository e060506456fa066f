"""What is declared of a data set decides how it is read, and what cannot be declared is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afinador.data.files import documents, loaders
from afinador.data.files.readers import detect_format
from afinador.data.records import Problem, Record
from afinador.data.validation import validate_dataset
from afinador.errors import DataError, InvalidRequestError
from afinador.schemas.datasets import DatasetReading, parse_reading, read_otherwise
from tests.afinador.data.written_formats import CONTENTS, ROWS, TEXT_ROWS, problem, read, rows


@pytest.mark.parametrize("encoding, codec", [
    ("latin-1", "latin-1"), ("windows-1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16", "utf-16-le"), ("utf-8", "utf-8")
])  # fmt: skip
@pytest.mark.parametrize("extension", [".jsonl", ".json", ".csv", ".txt"])
def test_declared_encoding_is_obeyed(tmp_path: Path, encoding: Any, codec: str, extension: str) -> None:
    path = tmp_path / f"data{extension}"
    path.write_bytes(CONTENTS[extension].decode().encode(codec))
    wanted = TEXT_ROWS if extension == ".txt" else ROWS
    assert rows(path, DatasetReading(encoding=encoding)) == wanted


def test_encoding_that_a_byte_order_mark_denies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("text,label\na,b\n".encode("utf-8-sig"))
    with pytest.raises(DataError, match=r"declared as latin-1, but .* byte order mark of utf-8"):
        detect_format(path, path.name, DatasetReading(encoding="latin-1"))


def test_declared_format_columns_and_delimiter_win(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("¿Cuánto, es?\t5\nOtra\t1,000\n")
    reading = DatasetReading(format="csv", columns=["prompt", "completion"])
    assert rows(path, reading)[1] == {"prompt": "Otra", "completion": "1,000"}
    path.write_text("a-b;c\n1;2-3;4\n")
    assert rows(path, DatasetReading(format="csv", delimiter="-")) == [{"a": "1;2", "b;c": "3;4"}]


def test_tsv_is_parted_by_tabs_also_where_its_header_holds_commas(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text, in short, of a\tlabel\nx,y\tz\n")
    assert rows(path) == [{"text, in short, of a": "x,y", "label": "z"}]


def test_what_is_declared_holds_for_each_csv_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"ñ {name};yes\n", encoding="latin-1")
    declared = DatasetReading(columns=["text", "label"], delimiter=";", encoding="latin-1")
    assert rows(tmp_path, declared) == [{"text": f"ñ {name}", "label": "yes"} for name in ("a.csv", "b.csv")]


def test_mapping_takes_fields_from_columns_paths_and_templates(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"q": "2+2?", "a.b": 1, "n": {"x": [{"out": "4"}, true]}, "z": "no"}\n{"q": "?"}\n')
    mapping = {"prompt": "{{{q}}} {n.x.1}", "completion": "n.x.0.out", "label": "a.b"}
    first, *problems = read(path, DatasetReading(mapping=mapping))
    assert isinstance(first, Record) and first.fields == {"prompt": "{2+2?} true", "completion": "4", "label": 1}
    assert [(each.code, each.line, each.field) for each in problems if isinstance(each, Problem)] == [
        ("unmapped_column", 2, field) for field in mapping
    ]
    assert "no column 'n.x.1', from which the mapping takes 'prompt'; it has: 'q'." in problems[0].message


def test_mapping_makes_conversations_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("question,answer,tone\n2+2?,4,kind\nwhy?,,\n")
    mapping = {"messages": [{"role": "system", "content": "Be {tone}."}, {"role": "user", "content": "{question}"},
                            {"role": "assistant", "content": "{answer}", "weight": 1}]}  # fmt: skip
    first, _ = read(path, DatasetReading(mapping=mapping))
    assert isinstance(first, Record) and [each["content"] for each in first.fields["messages"]] == [
        "Be kind.",
        "2+2?",
        "4",
    ]
    assert first.fields["messages"][2] == {"role": "assistant", "content": "4", "weight": 1}
    report = validate_dataset(path, path.name, DatasetReading(mapping=mapping))
    assert report.shape == "messages" and report.refused == 1
    assert [(each.line, each.field) for each in report.errors] == [
        (3, "messages[0].content"), (3, "messages[2].content"),
    ]  # fmt: skip
    gap = read(path, DatasetReading(mapping={"messages": [{"role": "user", "content": "{asked}"}]}))[0]
    assert isinstance(gap, Problem) and "has a column 'asked', from which the mapping takes 'messages'" in gap.message
    for wrong in ({"a": [[[[[[[[[["x"]]]]]]]]]]}, {"a": ["x"] * 300}, {"a": ["x" * 10_001]}):
        with pytest.raises(InvalidRequestError, match="mapping"):
            parse_reading({"mapping": wrong})


def test_each_line_of_a_text_is_a_record_where_that_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verse.txt"
    path.write_text("one\ntwo\n\n three\n")
    texts = [each.fields["text"] for each in read(path, DatasetReading(text_unit="lines")) if isinstance(each, Record)]
    assert texts == ["one", "two", " three"]
    assert [each.fields for each in read(path, None) if isinstance(each, Record)] == [
        {"text": "one\ntwo"},
        {"text": " three"},
    ]
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT_CHARACTERS", 6)
    assert "The document at line 1 has more than" in problem(path, None).message
    with pytest.raises(InvalidRequestError, match="text_unit is for TEXT"):
        parse_reading({"text_unit": "lines", "format": "csv"})


@pytest.mark.parametrize(
    ("name", "reading", "said"),
    [
        ("a.csv", DatasetReading(text_unit="lines"), "text_unit is for TEXT, and 'a.csv' is read as CSV"),
        ("a.jsonl", DatasetReading(delimiter=";"), "delimiter is for CSV, and 'a.jsonl' is read as JSON Lines"),
        ("a.txt", DatasetReading(columns=["text"]), "columns is for CSV, and 'a.txt' is read as TEXT"),
    ],
)
def test_what_is_declared_and_means_nothing_for_the_format_is_refused(
    tmp_path: Path, name: str, reading: DatasetReading, said: str
) -> None:
    (tmp_path / name).write_text("text,label\na,b\n" if name == "a.csv" else '{"text": "a"}\n')
    (error,) = validate_dataset(tmp_path / name, name, reading).errors
    assert error.code == "unreadable_file" and said in error.message


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"prompt": 5}, "mapping.prompt is 5; it must be a string or an array or an object."),
        ({"str": 5}, "mapping.str is 5; it must be a string or an array or an object."),
        ({"prompt": ""}, "mapping.prompt is ''; it must not be shorter than 1."),
    ],
)
def test_a_wrong_value_of_a_mapping_is_named_by_its_field_alone(mapping: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_reading({"mapping": mapping})
    assert caught.value.message == said and caught.value.param == "mapping"


def test_loader_of_the_operator_is_run_and_its_failure_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_readers.py").write_text(
        "from pathlib import Path\n"
        "def pairs(path):\n"
        "    for line in path.read_text().split():\n"
        "        yield dict(zip(('text', 'label'), line.split('='), strict=True))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "data.weird"
    path.write_text("a=b c=d e")
    *good, bad = read(path, DatasetReading(loader="acme_readers:pairs"))
    assert [each.fields for each in good if isinstance(each, Record)] == [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]  # fmt: skip
    assert isinstance(bad, Problem) and bad.code == "loader_failed" and "after record 2: ValueError" in bad.message
    for loader in ("acme_readers:Path", "acme_readers:missing", "acme_readers:_hidden"):
        assert "defines no function" in problem(path, DatasetReading(loader=loader)).message
    assert "cannot be imported" in problem(path, DatasetReading(loader="acme_nothing:read")).message


def test_what_a_loader_failed_with_is_for_a_log_and_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme_failing.py").write_text("def rows(path):\n    raise ValueError('what a record holds')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data.weird").write_text("a")
    reading = DatasetReading(loader="acme_failing:rows")
    assert (
        "ValueError in line 2 of acme_failing.py; the log has more."
        in problem(tmp_path / "data.weird", reading).message
    )
    assert "what a record holds" in caplog.text
    capfd.readouterr()  # the log may go there
    monkeypatch.setattr(loaders.logger, "propagate", False)  # as where nobody has set up a log
    told = problem(tmp_path / "data.weird", reading).message
    assert "ValueError in line 2 of acme_failing.py; call it by itself to see more." in told
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("reading", "declared", "expected"),
    [
        ({"encoding": "latin-1"}, None, {"encoding": "latin-1"}),
        ({"encoding": "latin-1"}, {}, {"encoding": "latin-1"}),
        ({"mapping": {"text": "a"}, "split": "train"}, {"split": "test"}, {"mapping": {"text": "a"}, "split": "test"}),
        ({"mapping": {"text": "a"}, "delimiter": ";"}, {"mapping": None, "delimiter": ""}, None),
        ({"delimiter": ";", "shape": "text"}, {"format": "jsonl"}, {"format": "jsonl", "shape": "text"}),
        ({"loader": "a:b", "shape": "text"}, {"split": "test"}, {"split": "test", "shape": "text"}),
        ({"encoding": "latin-1", "shape": "text"}, {"loader": "a:b"}, {"loader": "a:b", "shape": "text"}),
        (None, {"columns": "a, b"}, {"columns": ["a", "b"]}),
    ],
)
def test_what_is_declared_of_one_data_set_alone_comes_before_what_holds_for_both(
    reading: dict[str, Any] | None, declared: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    assert read_otherwise(parse_reading(reading or {}), declared) == parse_reading(expected or {})


@pytest.mark.parametrize(
    ("declared", "param", "said"),
    [
        ({"splt": "test"}, "validation_reading.splt", "Did you mean 'split'"),
        ({"delimiter": ";;"}, "validation_reading.delimiter", "one character"),
        (["split"], "validation_reading", "no object"),
        ({"format": "jsonl", "delimiter": ";"}, "validation_reading", "delimiter is for CSV"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_by_its_name(declared: Any, param: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as refused:
        read_otherwise(DatasetReading(shape="text"), declared)
    assert refused.value.param == param
