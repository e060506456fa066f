"""Texts that are told though they can be used: strange characters, wrong encodings, words for what is missing."""

import json
import time

import pytest

from afinador.data import validation
from afinador.data.blanks import count_words
from afinador.data.checks import row_blocks
from afinador.data.checks.characters import strange_characters
from afinador.data.extraction import Document, Extraction
from afinador.data.records import Record
from afinador.data.validation import validate_dataset
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.judged_records import in_shape, pairs

MARKED = "mail juan.perez@gmail.com \x00 end"


@pytest.mark.parametrize(
    "record, place",
    [
        ({"text": MARKED, "label": "x"}, "text"),
        ({"instruction": "i", "input": MARKED, "output": "o"}, "input"),
        ({"source": "s", "target": MARKED}, "target"),
        ({"prompt": "p", "chosen": "c", "rejected": MARKED}, "rejected"),
        ({"document": "d", "metadata": {"title": "t", "authors": ["a", MARKED]}}, "metadata.authors[1]"),
        ({"document": "d", "metadata": json.dumps({"title": MARKED})}, "metadata.title"),
        ({"question": "q", "oracle": "o", "distractors": ["d", MARKED], "answer": "a"}, "distractors[1]"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": MARKED}]}, "conversations[1].value"),
        ({"system": MARKED, "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "system"),
        ({"messages": [{"role": "user", "content": MARKED}, {"role": "assistant", "content": "a"}]}, "messages[0].content"),
    ],
)  # fmt: skip
def test_a_doubt_names_the_place_in_the_record_as_it_was_written(verdict, record, place):
    report = verdict([{**record, "id": MARKED}])
    told = {warning.code: warning for warning in report.warnings}
    assert {"control_character", "personal_email"} <= told.keys() and report.is_valid
    assert {told["control_character"].field, told["personal_email"].field} == {place}
    assert f"{place} holds a NUL character (U+0000), at position 27" in told["control_character"].message


def test_latin_1_that_is_windows_1252_is_told_to_be_declared_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n“uno” – 5 €,sí\n", encoding="cp1252")
    report = validate_dataset(path, path.name, DatasetReading(encoding="latin-1"))
    told = [each for each in report.warnings if each.code == "control_character"]
    assert report.counts["control_character"] == 4 and {each.field for each in told} == {"text"}
    for warning, (number, meant) in zip(
        told, (("U+0093", "“"), ("U+0094", "”"), ("U+0096", "–"), ("U+0080", "€")), strict=True
    ):
        assert number in warning.message and f"is '{meant}'" in warning.message and "Remove" not in warning.message
        assert "declare encoding windows-1252 instead of latin-1" in warning.message
    right = validate_dataset(path, path.name, DatasetReading(encoding="windows-1252"))
    assert right.is_valid and "control_character" not in right.counts


def test_an_answer_that_is_missing_is_named_as_it_was_written_and_so_is_a_secret_of_metadata(verdict):
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "nan"}]
    for record, place in (
        ({"instruction": "i", "output": "NaN"}, "output"),
        ({"conversations": turns}, "conversations[1].value"),
        ({"prompt": "p", "chosen": "c", "rejected": "N/A"}, "rejected"),
    ):
        (warning,) = [each for each in verdict([record]).warnings if each.code == "missing_value"]
        assert warning.field == place and warning.message.startswith(f"Line 1: {place} is ")
    report = verdict([{"document": "d", "metadata": {"password": "hunter2!x"}}])
    assert [each.field for each in report.warnings if each.code == "secret_password"] == ["metadata.password"]


@pytest.mark.parametrize(
    "code, character", [("control_character", "\x1b"), ("control_character", "\u202e"), ("control_character", "\x9c"),
                        ("invalid_character", "\ufffd"), ("invalid_character", "\ufeff"), ("invalid_character", "\uffff")],
)  # fmt: skip
def test_strange_characters_are_told_with_their_place(verdict, code, character):
    report = verdict(pairs(11, {"prompt": "p", "completion": f"ab{character}c"}))
    assert report.counts == {code: 1} and "position 3" in report.warnings[0].message
    assert report.warnings[0].line == 12 and character not in report.warnings[0].message


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("text", ["caf\u00e9", "\u00bfqu\u00e9?", "it\u2019s"])
def test_utf_8_that_was_read_otherwise_is_told(tmp_path, text, escaped):
    misread = text.encode().decode("cp1252")
    for name, rows in (
        ("a.jsonl", [json.dumps({"prompt": f"p{n}", "completion": misread}, ensure_ascii=escaped) for n in range(12)]),
        ("a.csv", ["prompt,completion", *(f"p{n},{misread}" for n in range(12))]),
    ):
        path = tmp_path / name
        path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        report = validate_dataset(path, name)
        assert report.counts == {"misread_encoding": 12} and report.warnings[0].field == "completion"


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize(
    "text",
    ["a\u00f1o", "A\u00d1O", "\u00c5", "it\u2019s", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u3042", "\U0001f600"],
)
def test_utf_8_that_was_read_as_latin_1_is_no_control_character(tmp_path, text, escaped):
    misread = text.encode().decode("latin-1")
    line = json.dumps({"prompt": "p", "completion": misread}, ensure_ascii=escaped)
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    report = validate_dataset(path, path.name)
    (warning,) = [each for each in report.warnings if each.code != "few_records"]
    assert (warning.code, warning.field) == ("misread_encoding", "completion")
    assert "was meant" in warning.message and warning.message.endswith("Export it again, as UTF-8.")
    assert any(repr(each) in warning.message for each in text)


def test_utf_8_that_is_declared_to_be_latin_1_is_told_to_be_declared_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nAÑO,sí\n", encoding="utf-8")
    report = validate_dataset(path, path.name, DatasetReading(encoding="latin-1"))
    assert "control_character" not in report.counts and report.counts["misread_encoding"] == 2
    assert "Declare encoding utf-8 instead of latin-1" in report.warnings[0].message


def test_quotation_marks_behind_a_letter_with_an_accent_are_not_taken_for_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n“CAFÉ”,a\n", encoding="cp1252")
    report = validate_dataset(path, path.name, DatasetReading(encoding="latin-1"))
    assert report.counts["control_character"] == 2 and "misread_encoding" not in report.counts


def test_a_control_character_of_latin_1_gives_no_advice_on_what_nobody_declared(verdict):
    (warning, _) = verdict(pairs(11, {"prompt": "p", "completion": "a\x93b\x91\x91"})).warnings
    assert "its byte is '“'" in warning.message and "declare" not in warning.message.lower()


def test_each_strange_character_of_each_field_is_told_once(verdict):
    many = "".join(map(chr, range(1, 9))) * 3 + "\x0e\x0f\x10\x11"
    report = verdict(
        [
            {"prompt": "a\x00b\x1b\x00\ufffd", "completion": "\ufffd\x00 CAF\u00c3\u0089 \x00\u00e2\u20ac\ufffd"},
            {"prompt": "caf\u00c3\u00a9 caf\u00c3\u00a9", "completion": many},
        ]
    )
    assert report.counts["control_character"] == 3 + 10 and report.counts["invalid_character"] == 2
    told = [(each.line, each.field, each.message.partition(" holds ")[2].partition(".")[0]) for each in report.warnings]
    assert [each for each in told if each[:2] == (1, "prompt")] == [
        (1, "prompt", "a NUL character (U+0000), at position 2"),
        (1, "prompt", "a terminal escape (U+001B), at position 4"),
        (1, "prompt", "the replacement character (U+FFFD), which stands where a conversion failed, at position 6"),
    ]
    assert (1, "completion", "a NUL character (U+0000), at position 2") in told
    assert report.counts["misread_encoding"] == 2
    assert [each.field for each in report.warnings if each.code == "misread_encoding"] == ["completion", "prompt"]


@pytest.mark.parametrize("text", ["\x00" * 10**6, "\x00\x01\x02" * 300_000, "\u00c3\u0091" * 10**6, "\u00c3\u0091\x00" * 500_000,
                                  "\u00e2" * 10**6 + "\x00", "\u00f0\u0090\u0090" * 300_000 + "\x00"])  # fmt: skip
def test_strange_characters_are_found_in_the_time_of_the_text(text):
    def seconds(times):
        record = Record(1, {})
        started = time.process_time()
        assert list(strange_characters(record, [("text", text * times)]))
        return time.process_time() - started

    assert seconds(4) < 6 * seconds(1) + 0.2


def test_a_record_of_very_many_doubts_counts_so_many_of_each_kind_and_hides_no_personal_data(verdict):
    notes = [*["a@correo.gob.mx \x00"] * 3000, "password: hunter2x9Q!zz"]
    report = verdict([{"document": "d", "metadata": {"notes": notes}}])
    assert (report.counts["control_character"], report.counts["personal_email"]) == (1000, 1000)
    assert report.counts["secret_password"] == 1


@pytest.mark.parametrize("word", ["NaN", "None", "NULL", "#N/A", "#REF!"])
def test_words_for_missing_values_are_told(verdict, word):
    assert verdict(pairs(20, {"prompt": "p", "completion": word})).counts == {"missing_value": 1}
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": word}]
    chats = [{"messages": [{"role": "user", "content": f"q{n}"}, chat[1]]} for n in range(12)]
    assert verdict(chats).counts == {"missing_value": 12}
    labelled = [{"text": f"t{n}", "label": ["a", "b", word][n % 3]} for n in range(12)]
    assert verdict(labelled).counts == {"missing_value": 1}
    assert verdict([{"text": f"t{n}", "label": [word, "NA"][n % 2]} for n in range(12)]).is_valid
    asked = [chat[1], {"role": "user", "content": word}, chat[1] | {"content": "a"}]
    told = verdict([{"messages": [{"role": "user", "content": f"q{n}"}, *asked]} for n in range(12)])
    assert told.counts["missing_value"] == 12 and told.warnings[0].field == "messages[1].content", (
        "what is asked may be any word"
    )
    masked = [{**asked[0], "weight": 0}, *asked[1:]]
    told = verdict([{"messages": [{"role": "user", "content": f"q{n}"}, *masked]} for n in range(12)])
    assert told.counts == {}, "nor is what is not learnt an answer"
    assert verdict([*({"text": f"text {n}"} for n in range(12)), {"text": word}]).counts["missing_value"] == 1


@pytest.mark.parametrize("rows", [6, 3000])
@pytest.mark.parametrize("with_arrays", [True, False])
def test_words_for_missing_values_of_a_table_are_told_of_answers_and_labels(tmp_path, monkeypatch, rows, with_arrays):
    if not with_arrays:
        monkeypatch.setattr(row_blocks, "_row_arrays", lambda: None)
    monkeypatch.setattr(validation, "LARGE_FILE_BYTES", 0)
    monkeypatch.setattr(row_blocks, "is_searched", lambda _: False)
    words = ["null", "#NV", "#\u00bfNOMBRE?", "NaN"]
    path = tmp_path / "nan.csv"
    lines = [*(f"text {at},label {at}" for at in range(rows)), *(f"null,{word}" for word in words)]
    for columns in ("text,label", "prompt,completion"):
        path.write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
        report = validate_dataset(path, path.name)
        told = [each for each in report.warnings if each.code == "missing_value"]
        places = [(each.line, each.field) for each in told]
        if columns == "text,label":
            assert places == [(None, "label")]
            assert "'null', '#NV', '#\u00bfNOMBRE?', 'NaN', in 4 records" in told[0].message
        else:
            assert places == [(rows + 2 + at, "completion") for at in range(4)]


@pytest.mark.parametrize(
    "blank", ["\u00a0\u200b", "\u200b", " \u2060 \ufeff", "\u2800\u3164", "\u200e\ufe0f", "\U000e0041"]
)
def test_what_nobody_sees_is_empty(verdict, blank):
    assert verdict(pairs(20, {"prompt": "p", "completion": blank})).counts == {"empty_field": 1}
    assert count_words(f"a {blank} b\u200b") == 2 and count_words(blank) == 0
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": blank}]
    assert "empty_content" in verdict([{"messages": chat}] * 2).counts


def test_a_text_of_many_lines_in_one_record_is_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one line\n" * 1000)
    report = validate_dataset(path, path.name)
    assert report.counts["long_documents"] == 1 and "--text-unit lines" in report.summary()
    assert "long_documents" not in validate_dataset(path, path.name, DatasetReading(text_unit="lines")).counts


@pytest.mark.parametrize("shape", ["messages", "prompt_completion", "text_label", "alpaca", "documents"])
def test_braces_in_a_record_are_text(verdict, shape):
    text = "In Python f'{name}' and {{twice}} are filled, {document} and {text} here are not, nor is a lone } or {"
    if shape == "documents":
        records = [{"document": f"{text} {at}", "metadata": {"title": text, "n": at}} for at in range(12)]
    else:
        records = [in_shape(shape, f"{text} {at}", f"{text} {at}") for at in range(12)]
    assert set(verdict(records).counts) <= {"rare_label", "near_duplicate"}
    asked, answer = Extraction(prompts={"default": "Which title? {document}"}).request(Document(text, {"title": text}))
    assert asked == f"Which title? {text}" and text in answer


def test_text_of_any_language_holds_no_strange_characters(verdict):
    text = "á ñ ¿ « “ ” — … \u200b\u200d \u0085 \u2028 \u2029 \t\r\n 👩🏽‍🚀 مرحبا"
    assert verdict(pairs(11, {"prompt": "p", "completion": text})).counts == {}
