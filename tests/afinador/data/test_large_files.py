"""Files in parts: the same verdict whoever judges them, and no blow-up of time or memory."""

import csv
import json
import random
import signal
import subprocess
from io import BytesIO, StringIO

import psutil
import pytest

from afinador.data import processes, validation
from afinador.data.checks import line_blocks, row_blocks
from afinador.data.checks.judging import Judge
from afinador.data.checks.line_blocks import Block, JsonLines, blocks_of
from afinador.data.checks.plain_rows import row_pattern
from afinador.data.files.dialects import Dialect
from afinador.data.shapes import SHAPES
from afinador.data.validation import validate_dataset

ODD_LINES = [
    b"", b"  \t", b"\r", b"null", b"[]", b"{}", b"{", b'"text"', b"\xff", b"\xef\xbb\xbf{}",
    b'{"text": "a", "text": "b"}', b'{"text": "a", "text" : "b"}', b'{"text" :"a","text":"b"}', b'{"text"\t:"a", "te\\u0078t":"b"}',
    b'{"text": "a", "x": 1, "x": 2}', b'{"text": "a", "x\\\\": 1, "x\\\\": 2}', b'{"text": "a \\":", "x": 1}',
    b'{"text": "say \\"yes\\": ok", "x": 1, "x": 2}', b'{"text": "say \\"yes\\" : ok"}', b'{"text": "a", "x": {"y": 1, "y": 2}}',
    b'{"text": "a", "x": NaN}', b'{"text": "a", "x": 1e999}', b'{"text": "a", "x": ' + b"1" * 5000 + b"}", b'{"text": "a", "x": 1.5}',
    b'{"text": "\\ud800"}', b'{"text": "\\ud83d\\ude00"}', b'{"text": "\\u0000"}', b'{"text": "\\u001b[0m"}', b'{"text": "\\b"}',
    b'{"text": "a\x7f"}', b'{"text": "a\\u007f"}', b'{"text": "\xc2\x85"}', b'{"text": "\xc2\x9b"}', b'{"text": "\\u202E"}',
    b'{"text": "\xe2\x80\xae"}', b'{"text": "\xef\xbf\xbd"}', b'{"text": "\\uFFFD"}', b'{"text": "\xef\xb7\x90"}', b'{"text": "\\ufeff"}',
    b'{"text": ""}', b'{"text": " \\n"}', b'{"text": null}', b'{"text": 1}', b'{"text": "a"} x', b'{"text": "a"}\x00', b'{"text": "a"}\r',
    b'{"text": "a", "label": "b"}', b'{"text": "a", "label": 1}', b'{"text": "a", "label": 1.0}', b'{"text": "a", "label": true}',
    b'{"text": "a", "label": ' + b"9" * 30 + b"}", b'{"text": "a", "label": "b", "label": "c"}', b'{"label": "b", "text": "a", "id": 7}',
    b'{"prompt": "a", "completion": "b"}', b'{"prompt": "", "completion": "b"}', b'{"prompt": "a", "completion": "b", "text": "c"}',
    b'{"prompt": "a", "completion": "b", "messages": []}', b'{"prompt": "a", "completion": ["b"]}', b'{"completion": "b", "prompt": "a"}',
    b'{"messages": []}', b'{"messages": "a"}', b'{"messages": ["a"]}', b'{"messages": [{"role": []}]}', b'{"messages": null}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    b'{"messages": [{"content": "a", "role": "user"}, {"content": "b", "role": "assistant"}], "id": "x"}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "content": "c"}]}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": []}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "functions": []}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "prompt": "x", "completion": "y"}',
    b'{"messages": [{"role": "assistant", "content": "b"}]}', b'{"messages": [{"role": "user", "content": "b"}]}',
    b'{"messages": [{"role": "bot", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    b'{"messages": [{"role": "developer", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": " "}]}',
    b'{"text": "write to ana@correo.org, she answers"}', b'{"text": "write to ana\\u0040correo.org", "label": "b"}',
    b'{"prompt": "call \\u002b34 612 345 678", "completion": "b"}', b'{"prompt": "a", "completion": "call +34 612 345 678"}',
    b'{"text": "one two three four five six seven eight nine ten eleven twelve thirteen", "label": "b"}',
    b'{"text": "' + b"long " * 30_000 + b'"}',
]  # fmt: skip


def unproven(raw, shape):
    """Every line, for a look at each."""
    return ((line, None) for line in BytesIO(raw))


def findings_of(path, judge, *, closely=False):
    """What is found in a file, as plain values."""
    block = Block(0, path.stat().st_size, 1, closely=closely)
    found = dict(vars(JsonLines(path, judge).findings(block)))
    found["labels"] = found["labels"].to_json()
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_proven_good_is_good_when_looked_at(tmp_path, monkeypatch, shape):
    path = tmp_path / "a.jsonl"
    draw = random.Random(0)
    judge = Judge(shape)
    for lines in ([line] for line in ODD_LINES):
        path.write_bytes(b"\n".join(lines))
        quick = findings_of(path, judge)
        with monkeypatch.context() as patched:
            patched.setattr(line_blocks, "prove", unproven)
            assert quick == findings_of(path, judge), lines
    for _ in range(15):
        path.write_bytes(b"\n".join(draw.choices(ODD_LINES[:-1], k=40)) + draw.choice([b"", b"\n"]))
        quick = findings_of(path, judge)
        with monkeypatch.context() as patched:
            patched.setattr(line_blocks, "prove", unproven)
            assert quick == findings_of(path, judge)
            alone = findings_of(path, judge, closely=True)
        assert findings_of(path, judge, closely=True) == alone


@pytest.mark.shared_data
def test_hostile_lines_are_never_proven_good(shared_data, tmp_path, monkeypatch):
    for path in sorted((shared_data / "pathological" / "derived").glob("*.jsonl")):
        shape = {"chat": "messages", "json": "messages", "cls": "text_label"}.get(
            path.name[:4].rstrip("_"), "prompt_completion"
        )
        judge = Judge(shape)
        quick = findings_of(path, judge)
        with monkeypatch.context() as patched:
            patched.setattr(line_blocks, "prove", unproven)
            assert quick == findings_of(path, judge), (path.name, shape)


ODD_ROWS = [
    "a,b", '"a, ""b""",c', '"two\nlines",b', '"two\r\nlines\n\n",b', "", "  ", "a", "a,b,c", ",b", '"",b', " ,b", "a,\x1b[0m", "a,\ufffd",
    "á,ñ", "a,b", "1,2", '"a""",b',
]  # fmt: skip
ROWS_THAT_BREAK_PARTS = ['a"b,c', '"a"b,c', "a\x00,b", "a\rb,c", '"never closed,b']


def test_verdict_on_a_csv_is_that_of_reading_it_from_end_to_end(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    draw = random.Random(0)
    parts, judged_in_parts = [], 0
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 60)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 60)
    monkeypatch.setattr(row_blocks, "is_searched", lambda number: False)
    monkeypatch.setattr(validation, "is_searched", lambda number: False)
    for at in range(60):
        rows = draw.choices(ODD_ROWS, k=60) + (draw.choices(ROWS_THAT_BREAK_PARTS, k=at % 3))
        draw.shuffle(rows)
        header = draw.choice(
            ["prompt,completion", '"text",label', "text;label", "id,text,label", " label ,text", "sep=,\ntext,label"]
        )
        path.write_text(
            "\ufeff" * (at % 2) + header + "\n" + "\n".join(rows) + "\n" * (at % 4 > 0), encoding="utf-8", newline=""
        )
        parts.clear()
        told = validate_dataset(path, "a.csv", processes=1, progress=lambda *at: parts.append(at)).to_json()
        judged_in_parts += len(parts) > 3 and parts[-1][0] == parts[-1][1]
        with monkeypatch.context() as patched:
            patched.setattr(validation, "_divisible", lambda *_: None)
            alone = validate_dataset(path, "a.csv").to_json()
        for report in (told, alone):
            # Parts begin elsewhere when the whole is read, and the first is always looked at closely then.
            del report["compared"]["searched"], report["compared"]["near"]
            report["notes"] = [note for note in report["notes"] if note["code"] != "searched_in_part"]
        assert told == alone, path.read_text()
    assert 5 < judged_in_parts < 55


@pytest.mark.parametrize("dialect", [Dialect(",", '"'), Dialect("\t", "'"), Dialect("|", '"')])
def test_rows_are_those_that_the_csv_module_reads(dialect):
    draw = random.Random(2)
    pieces = [
        "a",
        "á b",
        " ",
        dialect.quote,
        2 * dialect.quote,
        dialect.delimiter,
        "\n",
        "\r\n",
        "\u2028",
        "\x85",
        "^",
        "]",
    ]
    quoted_pieces = [piece for piece in pieces if piece != dialect.quote]
    read_by_pattern = 0
    for _ in range(3000):
        columns = draw.randint(1, 3)
        values = [
            "".join(draw.choices(pieces[:2] + pieces[8:], k=draw.randint(0, 2)))
            if draw.random() < 0.5
            else dialect.quote + "".join(draw.choices(quoted_pieces, k=draw.randint(0, 4))) + dialect.quote
            for _ in range(columns * 4)
        ]
        values[draw.randrange(len(values))] += draw.choice(["", "", *pieces])
        lines = [dialect.delimiter.join(values[at : at + columns]) for at in range(0, len(values), columns)]
        text = draw.choice(["\n", "\r\n"]).join(lines) + draw.choice(["", "\n"])
        options = {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "strict": True}
        reader = csv.reader(StringIO(text, newline="\n"), **options)
        expected, found, said = [], [], ["", ""]
        try:
            expected += ((row, reader.line_num) for row in reader)
        except csv.Error as error:
            said[0] = str(error)
        try:
            line = 0
            for row, lines_of_row in row_blocks._rows_of(text.encode(), dialect, columns):
                found.append((row, line := line + lines_of_row))
        except csv.Error as error:
            said[1] = str(error)
        assert (found, said[1]) == (expected, said[0]), text
        match = row_pattern(dialect, columns).match(text.encode())
        read_by_pattern += columns > 1 and match is not None
    assert read_by_pattern > 1000


@pytest.mark.shared_data
def test_hostile_tables_are_judged_alike_in_parts_and_from_end_to_end(shared_data, monkeypatch):
    for path in sorted((shared_data / "pathological" / "derived").glob("csv_*.csv")):
        told = validate_dataset(path, path.name).to_json()
        with monkeypatch.context() as patched:
            patched.setattr(validation, "_divisible", lambda *_: None)
            assert validate_dataset(path, path.name).to_json() == told, path.name


def conversations(count):
    """Lines of JSON with a fault or a doubt now and then."""
    draw = random.Random(1)
    for at in range(count):
        words = " ".join(str(draw.randrange(10**6)) for _ in range(40))
        messages = [{"role": "user", "content": f"{at} {words}"}, {"role": "assistant", "content": "yes"}]
        if at % 500 == 17:
            messages[0]["role"] = "bot"
        elif at % 400 == 3:
            messages[0]["content"] = "the same"
        elif at % 700 == 5:
            messages[1]["content"] = "\x1b[0m"
        yield json.dumps({"messages": messages}) if at % 600 != 11 else "{broken"


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A hundred blocks, for they are small."""
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 20_000)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(conversations(4000)))
    return path


@pytest.mark.usefixtures("others_do_the_work")
def test_verdict_is_the_same_to_the_byte_with_any_number_of_processes(large):
    told = []
    alone = json.dumps(validate_dataset(large, "a.jsonl", processes=1, progress=lambda *at: told.append(at)).to_json())
    assert json.dumps(validate_dataset(large, "a.jsonl", processes=2).to_json()) == alone
    report = json.loads(alone)
    assert report["counts"] == {"bad_role": 8, "duplicate": 9, "control_character": 6, "json_syntax": 7}
    assert [error["line"] for error in report["errors"]][:2] == [12, 18]
    assert report["records"] == 4000 and report["compared"]["searched"] < 1500
    assert [note["code"] for note in report["notes"]] == ["searched_in_part"]
    size = large.stat().st_size
    assert told[-1] == (size, size) and told == sorted(told) and len(told) > 10


@pytest.mark.usefixtures("others_do_the_work")
@pytest.mark.parametrize("is_forked", [False, True])
def test_work_of_a_process_that_is_killed_is_done_all_the_same(is_forked, large, monkeypatch):
    alone = validate_dataset(large, "a.jsonl", processes=1).to_json()
    started = []
    really_start = subprocess.Popen

    def start(*args, **options):
        started.append(really_start(*args, **options))
        return started[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", start)

    killed = []

    def kill_one(done, total):
        family = psutil.Process(started[0].pid)
        if done > total / 3 and not killed and (forked := family.children()):
            killed.append(forked[0] if is_forked else family)
            killed[0].kill()

    assert validate_dataset(large, "a.jsonl", processes=2, progress=kill_one).to_json() == alone
    (process,) = started
    assert killed and process.wait() == (0 if is_forked else -signal.SIGKILL)
    psutil.wait_procs(killed, timeout=10)
    assert not killed[0].is_running()


def test_blocks_are_whole_lines_and_cover_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 10)
    path = tmp_path / "a.jsonl"
    for content in (
        b"a\n" * 30,
        b"a" * 35 + b"\nb\n" + b"c" * 9 + b"\n" + b"d" * 10 + b"\n\n\ne",
        b"\n" * 25,
        b"a" * 50,
    ):
        path.write_bytes(content)
        blocks = list(blocks_of(path))
        assert [block.offset for block in blocks] == [sum(b.size for b in blocks[:at]) for at in range(len(blocks))]
        assert sum(block.size for block in blocks) == len(content)
        for block in blocks:
            assert block.offset == 0 or content[block.offset - 1 : block.offset] == b"\n"
            assert block.first_line == content[: block.offset].count(b"\n") + 1
