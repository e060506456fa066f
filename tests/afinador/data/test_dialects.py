"""How a CSV is written, found by its first lines; what is told where it cannot be found."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from afinador.data.files.delimited import dialect_of, read_csv
from afinador.data.files.dialects import Dialect
from afinador.data.records import Problem
from afinador.data.validation import validate_dataset
from afinador.errors import InvalidRequestError
from afinador.schemas.datasets import DatasetReading, parse_reading


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "a.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def values(path: Path, reading: DatasetReading | None = None) -> list[list[str]]:
    return [
        [found.message] if isinstance(found, Problem) else [*found.fields.values()] for found in read_csv(path, reading)
    ]


@pytest.mark.parametrize(
    ("text", "columns", "wanted"),
    [
        ('"a b c\nd",x\n"e f\ng",y\n', ["text", "label"], [["a b c\nd", "x"], ["e f\ng", "y"]]),
        ('"a, b;\nd";x\n"e f\ng";y\n', ["text", "label"], [["a, b;\nd", "x"], ["e f\ng", "y"]]),
        ('"the\ntext";"label"\n"a;\nb";x\nc;y\n', None, [["a;\nb", "x"], ["c", "y"]]),
        ('"one, two,\nthree"\n"b"\n', ["text"], [["one, two,\nthree"], ["b"]]),
    ],
)
def test_a_first_row_may_go_on_over_several_lines(written, text, columns, wanted) -> None:
    assert values(written(text), DatasetReading(columns=columns) if columns else None) == wanted


@pytest.mark.parametrize(
    "text, wanted",
    [
        ('"text", "label"\n"a, b", "c"\n"d", "e"\n', [["a, b", "c"], ["d", "e"]]),
        ('text, label\n"a", "b, c"\n" d ", e\n', [["a", "b, c"], [" d ", "e"]]),
        ('text;label\n  "a";  "b;c"\n', [["a", "b;c"]]),
        ("text,label\n'a, b','it''s'\n'c','d'\n", [["a, b", "it's"], ["c", "d"]]),
        ("text,label\n'a, b', 'c'\n", [["a, b", "c"]]),
        ("text,label\n'a',1\nb,2\n", [["a", "1"], ["b", "2"]]),
    ],
)
def test_blanks_before_quotes_and_single_quotes_below_a_bare_header_are_no_part_of_values(written, text, wanted):
    path = written(text)
    assert values(path) == wanted
    report = validate_dataset(path, path.name)
    assert report.is_valid and report.records == len(wanted) and "quotes_in_value" not in report.counts


@pytest.mark.parametrize(
    "text",
    [
        "text,label\n a , b\n",  # blanks alone are values
        "text,label\n'tis the season,pos\nno,neg\n",
        "text,label\n'so' he said,pos\n'no',neg\n",
        "text,label\n'quoted',pos\n" + "plain,neg\n" * 5,  # one among many, perhaps on purpose
        'text,label\n"a, ""b"" c",d\n',
        "text,label\n'a',\"b\"\n",
    ],
)
def test_what_may_be_meant_stays_as_it_is(written, text):
    assert dialect_of(written(text)) == Dialect(",", '"')


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('text,label\n"he said \\"hi\\", twice",pos\nplain,neg\n', [['he said "hi", twice', "pos"], ["plain", "neg"]]),
        ('text,label\n"\\"hi\\"",pos\n"C:\\\\dir\\new","a\nb"\n', [['"hi"', "pos"], ["C:\\dir\\new", "a\nb"]]),
        ("text,label\n" + "a,b\n" * 5000 + '"say \\"x\\"",c\n', [["a", "b"]] * 5000 + [['say "x"', "c"]]),
        ('text\tlabel\n"Yes" he said\tpos\n5" disk\tneg\n', [['"Yes" he said', "pos"], ['5" disk', "neg"]]),
        ('text\tlabel\n"So he\tpos\nwent\tneg\nhome"\tpos\n', [['"So he', "pos"], ["went", "neg"], ['home"', "pos"]]),
        ("text\tlabel\n" + "a\tb\n" * 5000 + '"Yes" he\tc\n', [["a", "b"]] * 5000 + [['"Yes" he', "c"]]),
    ],
)
def test_escaped_quotes_and_quotes_that_are_characters_are_found_where_that_is_certain(written, text, wanted):
    path = written(text)
    assert values(path) == wanted
    report = validate_dataset(path, path.name)
    assert report.is_valid and report.records == len(wanted)
    found = "bare_quotes" if "\t" in text else "escaped_quotes"
    assert report.counts[found] == 1


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ('text,label\n"C:\\","b"\n', Dialect(",", '"')),  # a backslash at the end of a value
        ('text,label\n"a \\"" b",c\n', Dialect(",", '"')),  # doubled, behind a backslash
        ('text,label\nhe \\"said\\",c\n', Dialect(",", '"')),  # outside of quotes
        ('text,label\n"a \\"b\\"",\\\\server\n', Dialect(",", '"')),  # two backslashes outside of quotes
        ('text,label\n"a \\"b\\"",c\n"C:\\","b"\n', Dialect(",", '"')),  # both
        ('text\tlabel\n"a b"\tc\n"Yes" he\tpos\n', Dialect("\t", '"')),  # whole values in quotes, too
        ('text\tlabel\n"one\nline"\tpos\n', Dialect("\t", '"')),  # a line break in quotes
        ('text,label\n"Yes" he,pos\n', Dialect(",", '"')),  # no tabs
    ],
)
def test_what_is_not_certain_stays_as_most_write_it(written, text, dialect):
    assert dialect_of(written(text)) == dialect


@pytest.mark.parametrize(
    ("text", "declared", "wanted"),
    [
        ('text,label\n"a \\"b\\"",\\\\s\n', {"escape_character": "\\"}, [['a "b"', "\\\\s"]]),
        ('text,label\n"a ^"b^" ^^ ^c",d\n', {"escape_character": "^"}, [['a "b" ^ ^c', "d"]]),
        ('text,label\n"Yes" he,"\n', {"quote_character": "none"}, [['"Yes" he', '"']]),
        ('text\tlabel\n"So"\tpos\n', {"quote_character": "none"}, [['"So"', "pos"]]),
        ("text;label\n|a;b|;'c\n", {"quote_character": "|", "delimiter": ";"}, [["a;b", "'c"]]),
        ("text,label\n'a',b\n", {"quote_character": '"'}, [["'a'", "b"]]),
    ],
)
def test_quotes_and_what_marks_them_may_be_declared(written, text, declared, wanted):
    path, reading = written(text), DatasetReading(**declared)
    assert values(path, reading) == wanted
    report = validate_dataset(path, path.name, reading)
    assert (
        report.is_valid
        and report.records == len(wanted)
        and not {"bare_quotes", "escaped_quotes"} & report.counts.keys()
    )


MARKED = 'text,label\n"say \\"hi\\", you",a\n'


@pytest.mark.parametrize("declared", [None, {"escape_character": "\\"}], ids=["found", "declared"])
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (r"row 3 \ \hline,b", [r"row 3 \ \hline", "b"]),
        (r"\\server\share,b", [r"\\server\share", "b"]),
        (r"\\a,\\b", [r"\\a", r"\\b"]),
        (r'"\\a",\\b', [r"\a", r"\\b"]),
        (r'\\a,"\\b\n"', [r"\\a", r"\b\n"]),
        ('"\\\\one\n\\\\two\n"",\\\\three",\\\\b', ['\\one\n\\two\n",\\three', "\\\\b"]),  # over several lines
    ],
)
def test_what_is_outside_of_quoted_values_stays_as_it_is(written, line, wanted, declared):
    path, reading = written(f"{MARKED}{line}\n"), DatasetReading(**declared) if declared else None
    assert values(path, reading) == [['say "hi", you', "a"], wanted]


@pytest.mark.parametrize("broken", ['"a"b",c', '"a" "b'])
def test_what_follows_a_broken_line_is_outside_of_quoted_values_again(written, broken):
    first, (fault,), last = values(written(f"{MARKED}{broken}\n\\\\a,\\\\b\n"))
    assert first == ['say "hi", you', "a"] and fault.startswith("Line 3 is no CSV") and last == ["\\\\a", "\\\\b"]


@pytest.mark.parametrize(
    ("text", "declared", "wanted"),
    [
        ('text; label\n"a ^"b;^""; ^^c\n ^^d; "^^e"\n', {"escape_character": "^"}, [['a "b;"', "^^c"], ["^^d", "^e"]]),
        ("text,label\n'it^'s ^^',^^b\n", {"escape_character": "^", "quote_character": "'"}, [["it's ^", "^^b"]]),
        ('text,label\n"a ""b""",c\n', {"escape_character": '"'}, [['a "b"', "c"]]),
        ('text,label\n5\\" or \\\\ so,b\n', {"escape_character": "\\"}, [['5\\" or \\\\ so', "b"]]),
        ('text,label\n"a ""\\\\"" b",\\\\b\n', {"escape_character": "\\"}, [['a "\\" b', "\\\\b"]]),
    ],
)
def test_other_signs_mark_quotes_inside_of_quoted_values_alone(written, text, declared, wanted):
    assert values(written(text), DatasetReading(**declared)) == wanted


@given(
    st.lists(st.tuples(*[st.tuples(st.text('a\\", \n', min_size=1, max_size=9), st.booleans())] * 2), max_size=9),
    st.sampled_from(["", " "]),
)
def test_what_a_program_marks_in_quoted_values_is_read_as_it_was(rows, blank):
    def as_written(value: str, is_quoted: bool) -> str:
        if is_quoted or value != value.strip() or re.search(r'^"|[,\n]', value):
            return '"' + re.sub(r'([\\"])', r"\\\1", value) + '"'
        return value

    lines = [f",{blank}".join(as_written(*each) for each in row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text("\n".join([f'"text",{blank}"label"', *lines, ""]), newline="")
        dialect = dialect_of(path, DatasetReading(escape_character="\\"))
        # Blanks before quotes are told by the first lines; where they are in doubt these rows are others.
        assume(dialect == Dialect(",", '"', bool(blank), "\\"))
        assert values(path, DatasetReading(escape_character="\\")) == [[value for value, _ in row] for row in rows]


def test_what_is_escaped_stays_text_unless_that_is_found(written):
    (error,) = values(written('text,label\n"a \\"b\\"",c\n'), DatasetReading(escape_character="none"))
    assert "text follows a closing quote" in error[0]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"quote_character": "''"}, "it must be one character, no space or line break, or none"),
        ({"escape_character": "\n"}, "it must be one character"),
        ({"escape_character": "\\", "quote_character": "none"}, "escape_character is for quoted values"),
        ({"escape_character": '"', "quote_character": '"'}, "must be different characters"),
        ({"quote_character": "none", "format": "jsonl"}, "quote_character is for CSV, and format is jsonl"),
    ],
)
def test_signs_that_cannot_be_are_refused(declared, said):
    with pytest.raises(InvalidRequestError, match=said):
        parse_reading(declared)


@pytest.mark.parametrize("rows", [0, 40])
def test_quotes_that_stay_in_values_are_told_by_line(written, rows):
    """Far below the first lines, or where they make no sense as quotes."""
    text = 'text,label\nx, "a" b "c"\n' if not rows else "text,label\n" + "a,b\n" * rows + '"c", "d"\n'
    report = validate_dataset(written(text), "a.csv")
    (warning,) = [each for each in report.warnings if each.code == "quotes_in_value"]
    assert (warning.line, warning.field) == (rows + 2, "label")
    assert warning.message.startswith(f"Line {rows + 2}: label begins with a blank and a quote")


def test_columns_that_are_too_few_are_refused_by_line(written):
    path = written("hello,greeting\nbye,farewell\nwhy,question\n")
    for names in (["text"], ["text", "label", "more"]):
        report = validate_dataset(path, path.name, DatasetReading(columns=names))
        assert report.counts.get("column_count") == 3
        assert f"Line 1 has 2 values, but columns names {len(names)} column" in report.errors[0].message
    few = validate_dataset(path, path.name, DatasetReading(columns=["text"])).errors[0].message
    assert "Name all columns (--columns, or reading.columns), or declare another delimiter" in few
    three = written("a|b;x,greeting,1\nbye,farewell,2\n")
    report = validate_dataset(three, three.name, DatasetReading(columns=["prompt", "completion"]))
    assert report.counts.get("column_count") == 2, "the one bar of the first line parts nothing"
    prose = written("Well, well.\nA line without.\nOne, two, three.\n")
    assert validate_dataset(prose, prose.name, DatasetReading(columns=["text"])).records == 3
    declared = DatasetReading(columns=["text"], delimiter="\t")
    assert validate_dataset(written("a,b\nc,d\n"), "a.csv", declared).is_valid


def test_a_file_without_a_header_is_told_of_columns_and_delimiter(written):
    path = written("hello,greeting\nbye,farewell\n")
    (error,) = validate_dataset(path, path.name).errors
    assert "If this line is a record already, name the columns in their order: option --columns" in error.message
    assert "--delimiter" not in error.message
    (error,) = validate_dataset(written("text~label\na~b\n"), "a.csv").errors
    assert "parted by another character, declare it: option --delimiter" in error.message


def test_a_row_with_too_few_values_is_not_told_to_use_quotes(written):
    (error,) = validate_dataset(written("text,label\na,b\nc\n" + "d,e\n" * 10), "a.csv").errors
    assert "Line 3 has 1 value, but the header has 2 columns" in error.message
    assert "Write what is missing" in error.message and "quotes" not in error.message
    (error,) = validate_dataset(written("text,label\na,b\nc,d,e\n" + "d,e\n" * 10), "a.csv").errors
    assert "Put quotes around values" in error.message


def test_a_short_file_in_latin_1_is_told_to_be_declared_or_saved_as_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\nñáéíóú,sí\n".encode("latin-1"))
    (error,) = validate_dataset(tmp_path / "a.csv", "a.csv").errors
    assert error.message.startswith("Line 2 is not UTF-8 (byte 0xF1 at position 1). Save the file as UTF-8")
    assert "--encoding latin-1 or windows-1252, or reading.encoding" in error.message
    declared = DatasetReading(encoding="latin-1")
    assert validate_dataset(tmp_path / "a.csv", "a.csv", declared).records == 1


def test_json_lines_that_end_with_carriage_returns_alone_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "label": "b"}\r{"text": "c", "label": "d"}\r')
    (error,) = validate_dataset(tmp_path / "a.jsonl", "a.jsonl").errors
    assert error.code == "json_structure" and "a carriage return alone" in error.message
    assert "Write the file again with such line ends" in error.message
