"""What is no fault and yet told: personal data, strange characters, likeness, labels, lengths, overlap."""

import json
import time

import pytest

from afinador.data import validation
from afinador.data.blanks import count_words
from afinador.data.checks import row_blocks
from afinador.data.checks.characters import strange_characters
from afinador.data.checks.near_duplicates import NearDuplicates, signatures_of
from afinador.data.checks.personal_data import personal_data
from afinador.data.checks.repetitions import overlap_of_sketches
from afinador.data.comparison import compare_files, overlap_of
from afinador.data.extraction import Document, Extraction
from afinador.data.preparation import Pipeline
from afinador.data.records import Record
from afinador.data.validation import validate_dataset
from afinador.schemas.datasets import DatasetReading

WORDS = [
    "la",
    "casa",
    "del",
    "pueblo",
    "tiene",
    "un",
    "huerto",
    "con",
    "naranjos",
    "que",
    "florecen",
    "en",
    "abril",
    "si",
    "llueve",
]


@pytest.fixture
def verdict(tmp_path):
    def judge(records, name="a.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return validate_dataset(path, name)

    return judge


def pairs(count, *further):
    return [{"prompt": f"q{at}", "completion": f"a{at}"} for at in range(count)] + list(further)


def kinds_in(text):
    return {problem.code for problem in personal_data(Record(1, {}), [("text", text)])}


@pytest.mark.parametrize(
    "code, text",
    [
        ("personal_email", "write to Ana.Lopez+x@correo.gob.mx, please"),
        ("personal_phone", "call +34 912 34 56 78 now"),
        ("personal_phone", "call (415) 555-0132"),
        ("personal_phone", "móvil 612 345 678"),
        ("personal_iban", "IBAN ES91 2100 0418 4502 0005 1332"),
        ("personal_iban", "GB82WEST12345698765432"),
        ("personal_card", "paid with 4111 1111 1111 1111"),
        ("personal_card", "5500-0055-5555-5559."),
        ("secret_private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        ("secret_token", "export KEY=sk-proj-abcdefghijklmnopqrstuvwx"),
        ("secret_token", "AKIAIOSFODNN7EXAMPLE"),
        ("secret_token", "ghp_" + "a1" * 18),
        ("secret_token", "sk-ant-" + "api03-" + "aB3_-" * 10),
        ("secret_token", "sk_" + "test_" + "4eC39HqLyjWDarjtT1zdp7dc"),
        ("secret_token", "ya29." + "a0AfH6SMBx1y2z3w4v5u6t7s8"),
        ("secret_token", "SG." + "ngeVfQFYQlKU0ufo8x5d1A" + "." + "TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"),
        ("secret_token", "post to https://hooks.slack.com/" + "services/T0123ABCD/B0123ABCD/abcdEFGH1234ijklMNOP5678"),
        ("secret_token", "sid: SK" + "0a1b2c3d" * 4),
        ("secret_token", "123456789:AA" + "Hk3f9_" * 5 + "abc"),
        ("secret_token", "Authorization: Bearer 9f86d081884c7d659a2feaa0c55ad015"),
        ("secret_token", 'headers["Authorization"] = "Basic YWRtaW46aHVudGVyMiF4"'),
        ("secret_token", "api_key=9f86d081884c7d659a2feaa0c55ad015"),
        ("secret_token", 'config["apiKey"] = "abcdef1234567890ABCD"'),
        ("secret_token", '{\\"client_secret\\": \\"q8Q~3kL9_mN2pR5tV7xZ1bD4fG6hJ\\"}'),
        ("secret_token", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        (
            "secret_token",
            "AccountName=a;AccountKey="
            + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        ("secret_token", "my API key: 9f86d081884c7d659a2feaa0c55ad015."),
        ("secret_password", "password=Sunshine42"),
        ("secret_password", "DB_PASSWORD: 's3cr3t!pass'"),
        ("secret_password", "contraseña: Girasol99"),
        ("secret_password", "La contraseña del wifi es Girasol#rojo"),
        ("secret_password", "The password is hunter2!x"),
        ("secret_password", "user: ana, pass: Girasol99"),
        ("secret_password", '{"user": "ana", "secret": "tr0ub4dor&3"}'),
        ("secret_password", "postgres://ana:hunter@db.internal:5432/prod"),
        ("personal_national_id", "DNI 12345678Z"),
        ("personal_national_id", "con NIE X1234567L."),
        ("personal_national_id", "SSN: 536-90-4399"),
        ("personal_national_id", "es HEGG560427MVZRRL04"),
        ("personal_national_id", "CURP: HEGG560427MVZRRL05"),
        ("personal_national_id", "su RFC es GODE561231GR8"),
        ("personal_national_id", "su RFC es GODE-561231-GR8"),
        ("personal_national_id", "su RFC es GOPÑ561231GR8"),
        ("personal_passport", "Passport: 123456"),
        ("personal_passport", "pasaporte número AAB123456"),
        ("personal_passport", "Passport No. 123456789"),
        ("personal_ip_address", "from the IP address 83.45.127.201 at noon"),
    ],
)
def test_personal_data_and_secrets_are_told_and_never_shown(verdict, code, text):
    assert code in kinds_in(text)
    report = verdict(pairs(11, {"prompt": "p", "completion": text}))
    (warning,) = [warning for warning in report.warnings if warning.code == code]
    assert report.is_valid and (warning.line, warning.field) == (12, "completion")
    assert [found for found in report.counts if found.startswith(("personal_", "secret_"))] == [code]
    told = json.dumps(report.to_json(), ensure_ascii=False)
    assert not any(word in told for word in text.split() if sum(map(str.isdigit, word)) > 2 or "@" in word)


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
    "text",
    [
        "a@b", "user@example.com", "@name and 3@4", "2026-11-22 10:15:30.123456", "1,234,567,890 people", "3.14159265358979",
        "ES91 2100 0418 4502 0005 1333", "4111 1111 1111 1112", "0000 0000 0000 0000", "192.168.100.200:8080", "sk-learn is fine",
        "ISBN 978-3-16-148410-0", "1234567890123456", "100 200 300 400", "begin PRIVATE KEYS", "12 345 678 euros",
        "password=<your password>", "password=$PASSWORD", "password: ${DB_PASSWORD1}", "password = ********", "pwd=xxxxxxx1", "password=changeme1",
        "password: password123", "password = get_password1(user)", "password=form['a1b2c3']", "pwd: /home/user1", "the password is base64-encoded",
        "password: string", '"password": "Contraseña"', "The password is required!", "passed: 12/15a tests", "bypass: route66x", "passwords: at least 8 characters", "password: self.password2",
        "api_key=your-api-key-0123456789", 'api_key=os.environ["OPENAI_API_KEY_2"]', "secret: db-credentials-v2", "token: tokenizers/mistral-v3-small",
        "token=0xdAC17F958D2ee523a2206206994597C13D831ec7", "the bearer of the news", "Bearer <token>", "secret_key: models/2024/checkpoints/best",
        "postgres://user:pass@host/db", "postgres://user:${PASSWORD}@host/db", "https://example.com:8080/@scope", "12345678A", "X1234567A",
        "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "HEGG560427MVZRRL05", "XAXX010101000", "ABCD123456EFG", "passport 42",
        "IP 192.168.100.200", "IP ranges: 83.45.127.0/24", "IP 203.0.113.195", "version 10.20.30.401", "chapter IP: 2020.10.300.1", "ACCESS TASK", "SG.1", "K9 V8",
    ],
)  # fmt: skip
def test_what_only_looks_a_little_like_it_is_left_alone(text):
    assert kinds_in(text) == set()


@pytest.mark.parametrize("text", ["a" * 10**6, "1 " * 500_000, "a@" * 300_000, "+1" * 400_000, "ES" + "21" * 400_000,
    "password: " * 100_000, "password=" + "a1" * 500_000, "secret " * 140_000, "token=" + "a1b2" * 250_000, "a" * 10 + "://" + "a:" * 400_000 + "@",
    "IP " + "a" * 10**6 + "1.1.1.1", "ip 1." * 200_000, "passport " * 100_000 + "123456", "12345678" * 100_000, "AAAA000101" * 100_000,
    "password a b c d " * 60_000, "api_key " * 125_000, "x" * 60 + "://a" * 250_000, "bearer " * 140_000, "AC" * 10 + "0a" * 500_000])  # fmt: skip
def test_search_takes_no_longer_than_the_text(text):
    kinds_in(text)  # the time limit of the tests is the test: anything quadratic takes hours


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


def test_personal_data_are_told_of_each_field(verdict):
    report = verdict(
        [
            {"prompt": "ana@correo.gob.mx and b@correo.gob.mx", "completion": "ana@correo.gob.mx, password=Sunshine42"},
            {"prompt": "p", "completion": "password=Sunshine42 pwd: Girasol99#"},
        ]
    )
    told = [(each.line, each.field) for each in report.warnings if each.code == "personal_email"]
    assert told == [(1, "prompt"), (1, "completion")]
    assert [(each.line, each.field) for each in report.warnings if each.code == "secret_password"] == [
        (1, "completion"),
        (2, "completion"),
    ]


def test_a_record_of_very_many_doubts_counts_so_many_of_them(verdict):
    report = verdict([{"document": "d", "metadata": {"notes": ["a@correo.gob.mx \x00"] * 3000}}])
    assert report.counts["control_character"] + report.counts.get("personal_email", 0) == 1000


@pytest.mark.parametrize("word", ["NaN", "None", "NULL", "#N/A", "#REF!"])
def test_words_for_missing_values_are_told(verdict, word):
    assert verdict(pairs(20, {"prompt": "p", "completion": word})).counts == {"missing_value": 1}
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": word}]
    chats = [{"messages": [{"role": "user", "content": f"q{n}"}, chat[1]]} for n in range(12)]
    assert verdict(chats).counts == {"missing_value": 12}
    labelled = [{"text": f"t{n}", "label": ["a", "b", word][n % 3]} for n in range(12)]
    assert verdict(labelled).counts == {"missing_value": 1}
    assert verdict([{"text": f"t{n}", "label": [word, "NA"][n % 2]} for n in range(12)]).is_valid
    asked = [chat[1] | {"content": "a"}, {"role": "user", "content": word}, chat[1] | {"content": "a"}]
    told = verdict([{"messages": [{"role": "user", "content": f"q{n}"}, *asked]} for n in range(12)])
    assert told.counts["missing_value"] == 12 and told.warnings[0].field == "messages[2].content"
    assert verdict([*({"text": f"text {n}"} for n in range(12)), {"text": word}]).counts["missing_value"] == 1


@pytest.mark.parametrize("rows", [6, 3000])
@pytest.mark.parametrize("with_arrays", [True, False])
def test_words_for_missing_values_of_a_table_are_told_of_texts_and_labels(tmp_path, monkeypatch, rows, with_arrays):
    if not with_arrays:
        monkeypatch.setattr(row_blocks, "_row_arrays", lambda: None)
    monkeypatch.setattr(validation, "LARGE_FILE_BYTES", 0)
    monkeypatch.setattr(row_blocks, "is_searched", lambda _: False)
    words = ["null", "#NV", "#\u00bfNOMBRE?", "NaN"]
    path = tmp_path / "nan.csv"
    for columns, codes in (("text,label", 5), ("prompt,completion", 4)):
        table = [columns, *(f"text {at},label {at}" for at in range(rows)), *(f"{word},a" for word in words)]
        table += ["text x,NaN", "text y,None"] if codes == 5 else []
        path.write_text("\n".join(table) + "\n", encoding="utf-8")
        report = validate_dataset(path, path.name)
        told = [each for each in report.warnings if each.code == "missing_value"]
        assert len(told) == report.counts["missing_value"] == codes
        first = columns.partition(",")[0]
        assert [(each.line, each.field) for each in told if each.line] == [(rows + 2 + at, first) for at in range(4)]
        assert codes == 4 or "'NaN', 'None', in 2 records" in str(told)


def test_what_a_tool_answers_may_be_nothing(verdict):
    assert (
        "missing_value"
        not in verdict([{"messages": [ASKED, called("a"), {**replied("a"), "content": "null"}, ANSWERED]}]).counts
    )


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


def test_nearly_equal_records_are_told_with_the_earlier_one(verdict):
    long = [f"{word}{at}" for at in range(4) for word in WORDS]
    changed = [*long[:20], "otra", *long[21:]]
    other = long[::-1]
    records = [{"prompt": "r", "completion": " ".join(text)} for text in (long, other, changed)]
    report = verdict([*pairs(20), *records, {**records[2], "prompt": "Another question"}])
    assert report.counts == {"different_answers": 1, "near_duplicate": 1}
    assert "Line 23 is nearly the same as line 21" in report.summary()


def in_shape(shape, asked, answer):
    if shape == "messages":
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
    if shape == "calls":
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": answer})}}
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "tool_calls": [call]}]}
    names = {
        "prompt_completion": ("prompt", "completion"),
        "text_label": ("text", "label"),
        "alpaca": ("instruction", "output"),
    }
    return dict(zip(names[shape], (asked, answer), strict=True))


@pytest.mark.parametrize("shape", ["messages", "calls", "prompt_completion", "text_label", "alpaca"])
def test_what_is_nearly_the_same_has_nearly_the_same_answer(verdict, tmp_path, shape):
    context = " ".join(f"{word}{at}" for at in range(8) for word in WORDS)
    asked = [
        (f"{context} Who won?", "Denver"),
        (f"{context} Where was it?", "Lima"),
        (f"{context} Why?", "Since it rained"),
    ]
    records = [in_shape(shape, *each) for each in [*asked, (f"{context} Where then?", "Lima"), (f"{context}", "Quito")]]
    report = verdict(records, "train.jsonl")
    near = [problem.line for problem in report.warnings if problem.code == "near_duplicate"]
    assert near == [4] and "Line 4 is nearly the same as line 2" in report.summary()
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    steps = Pipeline([{"type": "deduplicate", "near": 0.8}])
    assert [row.record.line for row in steps.run(iter(rows), "train.jsonl")] == [1, 2, 3, 5]
    validation = verdict(
        [in_shape(shape, f"{context} Whom?", answer) for answer in ("Denver", "Bogot\u00e1")], "valid.jsonl"
    )
    compare_files(report, validation, "train.jsonl", "causal_lm")
    assert [problem.line for problem in validation.warnings if problem.code == "near_overlap"] == [1]


def instructed(shape, instruction, asked, answer):
    if shape == "alpaca":
        return {"instruction": instruction, "input": asked, "output": answer}
    if shape == "system":
        turns = in_shape("messages", asked, answer)["messages"]
        return {"messages": [{"role": "system", "content": instruction}, *turns]}
    if shape == "sharegpt":
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
        return {"conversations": turns, "system": instruction}
    if shape == "document":
        return {"document": asked, "metadata": {"label": answer}}
    if shape == "template":
        return in_shape("prompt_completion", f"{instruction}\n\n### Input:\n{asked}\n\n### Response:\n", answer)
    if shape == "lines":
        return in_shape("messages", f"{instruction}\nText: {asked}\nLabel:", answer)
    return in_shape(shape, f"{instruction}\n\n{asked}", answer)


@pytest.mark.parametrize(
    "shape", ["alpaca", "system", "sharegpt", "prompt_completion", "messages", "template", "lines", "document"]
)
def test_an_instruction_that_all_share_makes_no_questions_alike(verdict, shape):
    instruction = " ".join(f"{word}{at}" for at in range(4) for word in WORDS)
    asked = [f"short input number {at}" for at in range(8)]
    long = [f"{word} {at}" for at in range(8) for word in WORDS]
    asked += [" ".join(long), "Short  INPUT number 3", " ".join([*long[:9], "otra", *long[10:]])]
    records = [
        instructed(shape, instruction, each, "negativo" if at in (4, 5) else "positivo")
        for at, each in enumerate(asked)
    ]
    report = verdict(records)
    near = [problem.line for problem in report.warnings if problem.code == "near_duplicate"]
    assert near == [10, 11] and "Line 11 is nearly the same as line 9" in report.summary() + str(report.warnings)
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    kept = Pipeline([{"type": "deduplicate", "near": 0.8}]).run(iter(rows), "train.jsonl")
    # What a deduplication has too few words to compare is taken as it is written.
    assert [row.record.line for row in kept] == ([*range(1, 11)] if shape == "document" else [*range(1, 10)])


def test_tools_make_no_conversations_alike(verdict):
    function = {"name": "f", "description": " ".join(WORDS * 3), "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    records = [{**in_shape("messages", f"ask {at}", "Done."), "tools": tools} for at in range(12)]
    assert verdict(records).counts == {}
    rows = [Record(line, record) for line, record in enumerate(records, 1)]
    assert len(list(Pipeline([{"type": "deduplicate", "near": 0.8}]).run(iter(rows), "a.jsonl"))) == 12


def test_equal_records_are_not_told_twice(verdict):
    record = {"prompt": "p", "completion": " ".join(WORDS)}
    assert verdict(pairs(20, record, record)).counts == {"duplicate": 1}


def test_records_that_differ_in_capitals_and_spaces_alone_are_told(verdict):
    rows = [{"prompt": f"how about {at}", "completion": f"a{at}"} for at in range(20)]
    report = verdict(
        [*rows, {"prompt": "How  about 3", "completion": "a3"}, rows[3], {"prompt": "OK", "completion": "x"}]
    )
    assert report.counts == {"near_duplicate": 1, "duplicate": 1}
    assert "Line 21 is line 4 with other capitals or spaces" in report.summary()
    other = verdict(
        [{"prompt": " how about 5", "completion": "A5"}, {"prompt": "ok", "completion": "x"}], "valid.jsonl"
    )
    compare_files(report, other, "train.jsonl")
    assert other.counts == {"few_records": 1, "near_overlap": 1}


def test_a_message_and_its_answer_are_a_prompt_and_its_completion(verdict):
    chats = [
        {"messages": [{"role": "user", "content": f"q{at}"}, {"role": "assistant", "content": f"a{at}", **further}]}
        for at, further in enumerate([{}, {}, {"weight": 1}])
    ]
    validation = verdict(chats, "valid.jsonl")
    compare_files(verdict(pairs(20), "train.jsonl"), validation, "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 2}


def test_prompts_with_different_answers_are_told(verdict):
    further = [{"prompt": "q3", "completion": at} for at in ("x", "y", "y")] + [{"prompt": "q5", "completion": "x"}]
    report = verdict(pairs(20, *further), "train.jsonl")
    assert report.counts == {"different_answers": 1, "duplicate": 1}
    assert "2 prompts have different answers (lines 4 and 21, lines 6 and 24)" in report.summary()
    validation = verdict([{"prompt": "q1", "completion": "z"}, {"prompt": "q3", "completion": "y"}], "valid.jsonl")
    compare_files(report, validation, "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 1, "answered_otherwise": 1}
    assert "1 prompt has another answer in train.jsonl (line 1 here, line 2 there)" in validation.summary()
    assert verdict([{"prompt": " ", "completion": f"a{at}"} for at in range(12)]).counts == {"empty_prompt": 12}


def called(*ids):
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def replied(call_id):
    return {"role": "tool", "tool_call_id": call_id, "content": "ok"}


ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([ASKED, called("a", "b"), replied("b"), replied("a"), ANSWERED], None),
        ([ASKED, called("a"), replied("a"), ANSWERED, ASKED, called("a", "b")], None),
        ([ASKED, called("a"), ANSWERED], "messages[1] calls a tool ('a')"),
        ([ASKED, called("a", "b"), replied("a"), ANSWERED], "messages[1] calls a tool ('b')"),
        ([ASKED, called("a"), ASKED, replied("a"), ANSWERED], "messages[1] calls a tool ('a')"),
    ],
)
def test_calls_that_nobody_replies_to_are_told(verdict, messages, told):
    report = verdict([{"messages": messages}])
    assert report.is_valid and report.counts.get("unreplied_call", 0) == (told is not None)
    assert told is None or any(told in warning.message for warning in report.warnings)


def test_all_calls_without_a_reply_are_told_and_all_types_that_are_none(verdict):
    parameters = {"type": "objet", "properties": {"a": {"type": "strng"}}}
    tool = {"type": "function", "function": {"name": "g", "parameters": parameters}}
    report = verdict(
        [{"messages": [ASKED, called("a", "b"), ASKED, called("c"), ANSWERED], "tools": [TOOL, tool, TOOL]}]
    )
    told = [each.message.partition(" calls a tool ")[::2] for each in report.warnings if each.code == "unreplied_call"]
    assert [(place, rest[:5]) for place, rest in told] == [
        ("Line 1: messages[1]", "('a')"),
        ("Line 1: messages[1]", "('b')"),
        ("Line 1: messages[3]", "('c')"),
    ]
    types = [each.message for each in report.warnings if each.code == "unknown_schema_type"]
    assert [message.partition("' is ")[0] for message in types] == [
        "Line 1: 'tools[0].function.parameters.type",
        "Line 1: 'tools[1].function.parameters.type",
        "Line 1: 'tools[1].function.parameters.properties.a.type",
        "Line 1: 'tools[2].function.parameters.type",
    ]


def test_turns_without_a_reply_are_told_by_their_own_place(verdict):
    turns = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f"}'},
        {"from": "gpt", "value": "a"},
    ]
    report = verdict([{"conversations": turns, "system": "Help."}])
    assert report.is_valid and "Line 1: conversations[1] calls a tool" in report.summary()


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "objet"}}}


@pytest.mark.parametrize(
    ("record", "call"),
    [
        ({"prompt": [ASKED, called("a")], "chosen": [ANSWERED]}, "prompt[1]"),
        ({"prompt": [ASKED], "chosen": [called("a"), ANSWERED]}, "chosen[0]"),
        ({"prompt": "q", "chosen": [called("a"), ANSWERED]}, "chosen[0]"),
        ({"chosen": [ASKED, called("a"), ANSWERED]}, "chosen[1]"),
        ({"prompt": "q", "chosen": [ASKED, called("a"), ANSWERED]}, "chosen[1]"),
    ],
)
def test_doubts_about_tools_of_pairs_are_told_by_their_own_place(verdict, record, call):
    worse = [{"role": "assistant", "content": "b"}]
    rejected = worse if "prompt" in record and record["chosen"][0] is not ASKED else [ASKED, *worse]
    report = verdict([{**record, "rejected": rejected, "tools": [TOOL]}])
    assert report.is_valid, report.summary()
    assert f"Line 1: {call} calls a tool" in report.summary()
    assert "'tools[0].function.parameters.type' is 'objet'" in report.summary()


@pytest.mark.parametrize(
    ("asked", "answer", "call"),
    [
        ([ASKED, called("a")], [ANSWERED], "input.messages[1]"),
        ([ASKED], [called("a"), ANSWERED], "preferred_output[0]"),
    ],
)
def test_doubts_about_tools_of_openai_pairs_are_told_by_their_own_place(verdict, asked, answer, call):
    worse = [{"role": "assistant", "content": "b"}]
    given = {"messages": asked, "tools": [TOOL]}
    report = verdict([{"input": given, "preferred_output": answer, "non_preferred_output": worse}])
    assert f"Line 1: {call} calls a tool" in report.summary()
    assert "'input.tools[0].function.parameters.type' is 'objet'" in report.summary()


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"type": {"type": ["string", "null"], "enum": ["objet"]}}}, None),
        ({"type": "objet"}, "'tools[0].function.parameters.type' is 'objet', but must be one of: string, "),
        (
            {"properties": {"a": {"items": {"type": ["null", "strng"]}}}},
            "parameters.properties.a.items.type' is 'strng'",
        ),
        ({"anyOf": [{}, {"additionalProperties": {"type": "interger"}}]}, "Did you mean 'integer'?"),
    ],
)
def test_types_of_a_schema_that_there_are_none_of_are_told(verdict, schema, told):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    report = verdict([{"messages": [ASKED, ANSWERED], "tools": [tool]}])
    assert report.is_valid and report.counts.get("unknown_schema_type", 0) == (told is not None)
    assert told is None or told in report.summary()


def test_a_schema_of_metadata_with_a_misspelt_type_is_told(verdict):
    schema = {"type": "objet", "properties": {"year": {"type": "integer"}}}
    report = verdict([{"document": "d", "metadata": {"year": 1}, "schema": schema}])
    assert report.is_valid and "schema.type is 'objet', which no JSON Schema has" in report.summary()
    inner = {"type": "object", "properties": {"year": {"type": "interger"}}}
    report = verdict([{"document": "d", "metadata": {"year": 1}, "schema": inner}])
    assert not report.is_valid and "'schema.properties.year.type' is 'interger'" in report.summary()
    assert "Did you mean 'integer'?" in report.summary()
    wanted = {"type": "", "properties": {"rooms": ""}}
    assert "unknown_schema_type" not in verdict([{"document": "d", "metadata": {"type": "a"}, "schema": wanted}]).counts


def test_a_million_like_records_take_a_step_each():
    near = NearDuplicates()
    [signature] = signatures_of([[[], [" ".join(WORDS)]]])
    assert near.add(1, signature) is None
    assert all(near.add(line, signature) == 1 for line in range(2, 3000))


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


def test_lengths_are_those_of_the_records(verdict):
    report = verdict([{"prompt": "p", "completion": "c" * length} for length in range(1, 101)])
    told = report.to_json()["lengths"]
    assert (told["minimum"], told["median"], told["p90"], told["p99"], told["maximum"]) == (2, 51.5, 91, 100, 101)
    assert told["mean"] == 51.5 and sum(bar["records"] for bar in told["histogram"]) == 100
    assert [bar["from"] for bar in told["histogram"]] == [2 + 5 * bar for bar in range(20)]


def test_records_of_the_training_file_are_told_in_the_validation_file(verdict):
    text = " ".join(WORDS)
    training = verdict(pairs(20, {"prompt": "p", "completion": text}), "train.jsonl")
    like = {"prompt": "o", "completion": f"{text} {text}".replace("abril", "mayo", 1)}
    validation = verdict(
        [{"completion": "a3", "prompt": "q3"}, {"prompt": "new", "completion": "one"}, like], "valid.jsonl"
    )
    said = overlap_of(training, validation, "train.jsonl")
    assert len(said) == 1 and "Line 1 is also line 4 of train.jsonl" in said[0]
    validation = verdict([{"prompt": "o", "completion": text}], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.counts == {"few_records": 1}
    training = verdict(pairs(20, {"prompt": "p", "completion": f"{text} {text[::-1]} {text.upper()}"}), "train.jsonl")
    validation = verdict([{"prompt": "P ", "completion": f"{text} {text[::-1]} {text.upper()} fin"}], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.is_valid and validation.counts["near_overlap"] == 1


@pytest.mark.parametrize(("task", "codes"), [("causal_lm", []), ("sequence_classification", ["unknown_label"])])
def test_labels_are_judged_by_the_task(verdict, task, codes):
    training = verdict([{"text": f"t{at}", "label": "ab"[at % 2]} for at in range(20)], "train.jsonl")
    validation = verdict([{"text": f"v{at}", "label": "abc"[at % 3]} for at in range(12)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl", task)
    assert [error.code for error in validation.errors] == codes


def test_labels_that_training_never_sees_are_an_error(verdict):
    training = verdict([{"text": f"t{at}", "label": "ab"[at % 2]} for at in range(20)], "train.jsonl")
    validation = verdict([{"text": f"v{at}", "label": "abc"[at % 3]} for at in range(12)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert [error.code for error in validation.errors] == ["unknown_label"]
    assert "'c' occurs 4 times and never in train.jsonl" in validation.errors[0].message
    assert "task causal_lm" in validation.errors[0].message


@pytest.mark.parametrize(
    "training, validation, found",
    [(range(20), range(15, 25), (5, 10)), (range(20), range(20, 25), (0, 5)), (range(2000), range(0, 4000, 2), None)],
)
def test_sketches_tell_what_two_files_share(verdict, training, validation, found):
    sketches = [
        verdict([{"prompt": f"q{at}", "completion": "a"} for at in numbers]).to_json()["fingerprints"]
        for numbers in (training, validation)
    ]
    shared, asked = overlap_of_sketches(*sketches)
    assert (shared, asked) == found if found else 0.4 < shared / asked < 0.6 and asked > 200


def long_pair(at):
    return {"prompt": " ".join(f"{word}{at}" for word in WORDS * 3), "completion": f"a{at}"}


def test_how_many_records_were_compared_is_told_where_not_all_were(verdict, monkeypatch):
    monkeypatch.setattr("afinador.data.checks.near_duplicates.RECORDS_COMPARED", 1000)
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCK_BYTES", 2**15)
    training = verdict([long_pair(at % 2000) for at in range(2001)] + [long_pair("x")], "train.jsonl")
    told = training.to_json()
    assert told["counts"] == {"duplicate": 1}
    nearly = told["compared"]["near"]
    assert 1000 <= nearly < told["compared"]["searched"] < told["compared"]["records"] == 2002
    notes = {note["code"]: note["message"] for note in told["notes"]}
    assert f"Near duplicates were looked for in {nearly} of 2002" in notes["compared_in_part"]
    searched = told["compared"]["searched"]
    assert f"Personal data were looked for in {searched} of 2002" in notes["searched_in_part"]
    again = [{**pair, "prompt": pair["prompt"].upper()} for pair in map(long_pair, (*range(12), "x"))]
    validation = verdict(again, "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    assert validation.counts == {"near_overlap": 12}
    assert f"looked for in 13 of 13 usable records here, among {nearly} of 2002 there" in validation.notes[-1].message
    compare_files(small := verdict([long_pair(1)] * 100, "train.jsonl"), validation := verdict(again), "train.jsonl")
    assert [note.code for note in small.notes + validation.notes] == ["small_data_set"]


def talk(*texts, system=None):
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + turns}


def test_a_record_that_is_a_turn_of_a_conversation_in_the_other_file_overlaps(verdict):
    training = verdict([talk(f"q{at}", f"a{at}", f"why {at} so?", f"because {at}") for at in range(12)], "train.jsonl")
    held_out = [{"prompt": "q3", "completion": "a3"}, {"prompt": "Why  5 so?", "completion": "because 5"}]
    held_out += [{"prompt": "q4", "completion": "a5"}, {"prompt": "a3", "completion": "why 3 so?"}]
    compare_files(training, validation := verdict(held_out, "valid.jsonl"), "train.jsonl")
    assert validation.counts == {"few_records": 1, "overlap": 1, "near_overlap": 1}
    first, second = [each for each in validation.warnings if "overlap" in each.code]
    assert first.message.startswith("Line 1 is also a turn of the conversation at line 4 of train.jsonl: what was")
    assert (second.line, "line 6 of train.jsonl with other capitals or spaces" in second.message) == (2, True)


def test_a_conversation_with_a_turn_that_is_a_record_of_the_other_file_overlaps(verdict):
    training = verdict(pairs(20), "train.jsonl")
    held_out = [talk("x", "y", "q7", "a7"), talk("q8", "a8", system="Be kind."), talk("q9", "a8", "a9", "q9")]
    held_out[2]["messages"][1]["name"] = "b"  # not of the plain kind
    held_out.append({**talk("q2", "a2", "x", "y"), "id": {"not": "plain"}})
    compare_files(training, validation := verdict(held_out, "valid.jsonl"), "train.jsonl")
    assert [(each.line, each.code) for each in validation.warnings if each.line] == [
        (1, "overlap"),
        (2, "overlap"),
        (4, "overlap"),
    ]
    assert "Line 1 holds a turn that is line 8 of train.jsonl" in validation.summary()
    assert not validation.notes


def test_turns_that_were_not_looked_at_are_a_note(verdict, monkeypatch):
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCK_BYTES", 1000)
    monkeypatch.setattr("afinador.data.checks.line_blocks.BLOCKS_ALL_SEARCHED", 2)
    training = verdict([talk(f"q{at}", f"a{at}", f"why {at} so?", f"because {at}") for at in range(100)], "train.jsonl")
    validation = verdict([{"prompt": f"q{at}", "completion": f"a{at}"} for at in range(100)], "valid.jsonl")
    compare_files(training, validation, "train.jsonl")
    (note,) = [each for each in validation.notes if "turns of conversations" in each.message]
    assert note.code == "overlap_in_part" and f"among {training.searched} of 100 of train.jsonl" in note.message
    assert 0 < validation.counts["overlap"] <= training.searched < 100
