"""Texts that are told though they can be used: strange characters, wrong encodings, words for what is missing."""

import json

import pytest

from afinador.data.blanks import count_words
from afinador.data.extraction import Document, Extraction
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
    (warning,) = [
        each
        for each in validate_dataset(path, path.name, DatasetReading(encoding="latin-1")).warnings
        if each.code == "control_character"
    ]
    assert warning.field == "text" and "U+0093" in warning.message and "Remove" not in warning.message
    assert "is '“'" in warning.message and "declare encoding windows-1252 instead of latin-1" in warning.message
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


@pytest.mark.parametrize("word", ["NaN", "None", "NULL", "#N/A", "#REF!"])
def test_words_for_missing_values_are_told(verdict, word):
    assert verdict(pairs(20, {"prompt": "p", "completion": word})).counts == {"missing_value": 1}
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": word}]
    chats = [{"messages": [{"role": "user", "content": f"q{n}"}, chat[1]]} for n in range(12)]
    assert verdict(chats).counts == {"missing_value": 12}
    labelled = [{"text": f"t{n}", "label": ["a", "b", word][n % 3]} for n in range(12)]
    assert verdict(labelled).counts == {"missing_value": 1}
    assert verdict([{"text": f"t{n}", "label": [word, "NA"][n % 2]} for n in range(12)]).is_valid


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
