import json
import subprocess
import sys
import zipfile

import datasets
import pytest

from afinador.data.comparison import compare_files
from afinador.data.files import unread
from afinador.data.shapes import Example
from afinador.data.validation import load_examples, require_valid, validate_dataset
from afinador.errors import DataError
from afinador.schemas.datasets import DatasetReading


@pytest.fixture
def verdict(tmp_path):
    def judge(name, content):
        path = tmp_path / "bytes"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return validate_dataset(path, name)

    return judge


def lines(count, **changed):
    """So many good records as JSON Lines; ``line_3="..."`` puts something else on that line."""
    rows = [json.dumps({"text": f"text {at}", "label": f"label {at % 3}"}) for at in range(count)]
    for name, row in changed.items():
        rows[int(name.removeprefix("line_")) - 1] = row
    return "\n".join(rows) + "\n"


def test_good_file_has_no_problems(verdict):
    report = verdict("a.jsonl", lines(12))
    assert (report.format, report.shape, report.records) == ("jsonl", "text_label", 12)
    assert report.is_valid and report.warnings == [] and report.counts == {}
    assert report.bytes == len(lines(12))
    require_valid(report, "a.jsonl")


def test_lines_without_label_are_counted_and_the_first_is_named(verdict):
    report = verdict("a.jsonl", lines(120, line_17='{"text": "t"}', line_20='{"text": "t"}', line_90='{"text": "t"}'))
    assert report.counts == {"missing_field": 3}
    said = report.summary()
    assert said.startswith("3 of 120 records cannot be used: Line 17 has no 'label'") and "And 2 more" in said
    with pytest.raises(DataError) as caught:
        require_valid(report, "a.jsonl")
    assert len(caught.value.problems) == 3 and caught.value.message == f"a.jsonl: {said}"


def test_first_record_without_label_does_not_decide_the_shape(verdict):
    report = verdict("a.jsonl", lines(20, line_1='{"text": "t"}'))
    assert report.shape == "text_label" and [error.line for error in report.errors] == [1]


def test_all_faults_are_counted_and_ten_of_each_kept(verdict):
    report = verdict("a.jsonl", lines(60) + '{"text": "t"}\n' * 25 + "{broken\n" * 15)
    assert report.counts == {"missing_field": 25, "json_syntax": 15}
    assert len(report.errors) == 20 and report.records == 100
    assert "40 of 100" in report.summary()


def test_csv_with_other_columns_names_those_found_and_those_allowed(verdict):
    report = verdict("a.csv", "question,answer\n" + "a,b\n" * 20)
    (problem,) = report.errors
    assert problem.line == 1 and report.shape is None
    for name in ("question", "answer", "text", "label", "prompt", "completion"):
        assert f"'{name}'" in problem.message


@pytest.mark.parametrize(
    ("columns", "mapping"),
    [
        ("id,text,category", """'{"text": "text", "label": "category"}'"""),
        ("question,answer", """'{"prompt": "question", "completion": "answer"}'"""),
        ("only", None),
        ("it's,text", None),
    ],
)
def test_columns_of_other_names_can_be_mapped(verdict, columns, mapping):
    (problem,) = verdict("a.csv", f"{columns}\n" + "a,b,c\n" * 20).errors
    assert "--mapping" in problem.message and "reading.mapping" in problem.message
    assert (mapping in problem.message) if mapping else ("such as" not in problem.message)


def test_csv_of_text_alone_is_whole_texts(verdict):
    report = verdict("a.csv", "text\na\nb\n")
    assert report.is_valid and (report.shape, report.records) == ("text", 2)


@pytest.mark.parametrize("fields", ["text,id", "messages,id"])
def test_csv_of_text_beside_others_or_conversations_is_refused(verdict, fields):
    assert verdict("a.csv", f"{fields}\na,b\n").errors[0].code == "unknown_columns"


def test_csv_with_further_columns_warns_that_they_are_not_used(verdict):
    report = verdict("a.csv", "id,text,label\n" + "".join(f"{at},t{at},{at % 2}\n" for at in range(12)))
    assert report.is_valid and report.counts == {"ignored_fields": 1} and "'id'" in report.summary()


def test_what_is_used_is_told_with_the_fields_that_records_need_not_have(verdict):
    pairs = [{"prompt": f"p{at}", "chosen": f"a{at}", "rejected": "b", "score_chosen": at} for at in range(12)]
    assert "Used: 'chosen', 'rejected', 'prompt'." in verdict("a.json", json.dumps(pairs)).summary()
    text = "".join(json.dumps({**each, "tools": None}) + "\n" for each in pairs)
    assert "Used: 'chosen', 'rejected', 'prompt'." in verdict("a.jsonl", text).summary()
    alpaca = "".join(json.dumps({"instruction": f"i{at}", "output": f"o{at}", "id": at}) + "\n" for at in range(12))
    assert "Used: 'instruction', 'output'." in verdict("b.jsonl", alpaca).summary()


@pytest.mark.parametrize(
    ("field", "role", "text", "told"),
    [("messages", "role", "content", ["train"]), ("conversations", "from", "value", ["train", "reasoning_content"])],
)
def test_keys_of_messages_that_nothing_reads_are_told_by_name(verdict, field, role, text, told):
    known = {"weight": 1, "reasoning_content": "so", "refusal": None, "annotations": []}
    records = [
        {field: [{role: "user", text: f"q{at}"}, {role: "assistant", text: f"a{at}", "train": at != 11, **known}]}
        for at in range(12)
    ]
    report = verdict("a.json", json.dumps(records))
    assert report.is_valid and report.counts == {"ignored_fields": 1}
    names = ", ".join(f"'{field}[].{key}'" for key in told)
    assert f"not used: {names}. Used" in report.summary() and 'has "weight": 0' in report.summary()


def test_csv_header_without_records_is_refused(verdict):
    assert verdict("a.csv", "text,label\n").counts == {"no_records": 1}


@pytest.mark.parametrize(
    "name, content",
    [("a.jsonl", b""), ("a.csv", b"%PDF-1.4"), ("a.json", b"PK\x03\x04"), ("a.docx", b"text"), ("a.json", b"[]")],
)
def test_unreadable_file_is_one_error_and_never_an_exception(verdict, name, content):
    report = verdict(name, content)
    assert len(report.errors) == 1 and name in report.summary() and report.records == 0


def test_missing_file_is_an_error(tmp_path):
    assert "'gone.csv'" in validate_dataset(tmp_path / "gone.csv", "gone.csv").summary()


def test_broken_lines_before_them_do_not_make_records_bad(verdict):
    report = verdict("a.jsonl", "{bad\n" * 101 + lines(12))
    assert (report.shape, report.counts) == ("text_label", {"json_syntax": 101})


def test_other_fields_are_told_once_with_a_mapping_that_fits(verdict):
    rows = [json.dumps({"question": f"q{at}", "answer": f"a{at}"}) for at in range(1100)]
    report = verdict("a.jsonl", "\n".join(rows))
    (error,) = report.errors
    assert (error.line, report.counts) == (1, {"unknown_fields": 1100})
    assert '--mapping, or reading.mapping) such as \'{"prompt": "question", "completion": "answer"}\'' in error.message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{\n  "text": "a"\n}\n{\n  "text": "b"\n}\n', "JSON Lines has one object a line"),
        ("a.jsonl", lines(2).replace("}\n", "},\n"), "has a comma behind its JSON object. Remove it"),
        ("a.jsonl", lines(2) + '{"text": "cut', "a text opens and is never closed: it is cut off"),
        (
            "a.csv",
            'text,label\n"he said \\"hi\\" to",a\n"C:\\","b"\n',
            "or declare what they are marked by (--escape-character",
        ),
        ("a.csv", 'text,label\n"he" said,a\n', "declare --quote-character none (reading.quote_character)"),
        ("a.csv", "How do I cancel my order?,billing\nAnd when?,billing\n", "option --columns, or reading.columns"),
        ("a.xlsx", b"PK\x03\x04 and more", "is a spreadsheet. Save it as CSV"),
    ],
)
def test_the_remedy_is_told(verdict, name, content, said):
    report = verdict(name, content)
    assert said in report.errors[0].message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"data": {"train": [{"text": "a"}]}}', "holds one object, of which 'data' is no array"),
        ("a.jsonl", '{"text": "a"}\n\ufeff{"text": "b"}\n', "Remove the byte order mark."),
        ("a.jsonl", '{"text": "a", "metadata": {"x": 1}}\n', """'{"document": "text", "metadata": "metadata"}'"""),
        ("a.jsonl", '{"conversations": [{"role": "user", "content": "a"}]}\n', """'{"messages": "conversations"}'"""),
        ("a.csv", "table_id,ask,reply\n1-2,a,b\n", """'{"prompt": "ask", "completion": "reply"}'"""),
    ],
)
def test_the_remedy_is_the_one_that_is_meant(verdict, name, content, said):
    report = verdict(name, content)
    assert said in report.summary()


def test_numbers_of_records_are_not_proposed_as_something_to_learn(verdict):
    said = verdict("a.jsonl", '{"table_id": "1-2", "ask": "a", "sql": {"a": 1}}\n').summary()
    assert "--mapping, or reading.mapping)." in said


def test_folder_is_an_error(tmp_path):
    assert not validate_dataset(tmp_path, "folder.csv").is_valid


def test_few_records_and_duplicates_are_warnings(verdict):
    few = verdict("a.jsonl", lines(3))
    assert few.is_valid and few.counts == {"few_records": 1}
    assert verdict("a.txt", "A short text.").counts == {"few_records": 1}
    for name, content in (("a.txt", "One long text. " * 2000), ("a.jsonl", '{"text": "' + "long " * 9000 + '"}\n')):
        long = verdict(name, content)
        assert long.counts == {"few_records": 1} and "--text-unit" not in long.summary()
    articles = verdict("a.txt", f"{'An article on a line. ' * 40}\n" * 1000)
    assert articles.counts == {"few_records": 1, "long_documents": 1}
    assert (
        verdict("a.txt", "\n\n".join([f"{'An article on a line. ' * 40}\n" * 999]))
        .summary()
        .endswith(
            "Documents are parted by blank lines; if each line is a record, declare it: --text-unit lines, or reading.text_unit."
        )
    )
    repeated = verdict("a.jsonl", lines(12, line_9=json.dumps({"text": "text 1", "label": "label 1"})))
    assert repeated.is_valid and repeated.counts == {"duplicate": 1}
    assert "Line 9 repeats line 2" in repeated.warnings[0].message
    listed = [{"prompt": str(number % 11), "completion": "b"} for number in range(12)]
    assert "Record 12 repeats record 1." in verdict("a.json", json.dumps(listed)).warnings[0].message


def test_repeated_paragraphs_of_a_text_are_told_unless_they_are_short(verdict):
    assert verdict("a.txt", "Chapter\n\n* * *\n\n" * 12).counts == {}
    stories = [f"On day {at} " + " ".join(f"word{at}_{each}" for each in range(20)) for at in range(20)]
    copied = verdict("a.txt", "\n\n* * *\n\n".join([*stories, *stories, f"{stories[4]} again"]))
    assert copied.counts == {"duplicate": 20, "near_duplicate": 1}
    assert "Line 81 repeats line 1." in copied.warnings[0].message
    compared = copied.to_json()["compared"]
    assert compared == {"records": 41, "near": 41, "searched": 81}
    assert [note.code for note in copied.notes] == ["small_data_set"]  # and none that says "compared in part"
    held_out = verdict("b.jsonl", "".join(json.dumps({"text": each}) + "\n" for each in stories))
    compare_files(copied, held_out, "a.txt")
    assert held_out.counts == {"overlap": 20}


@pytest.mark.parametrize(
    "records, code",
    [
        ([{"text": f"t{at}", "label": "same"} for at in range(12)], "one_label"),
        ([{"text": f"t{at}", "label": at / 2} for at in range(12)], "label_types"),
        ([{"text": f"t{at}", "label": "a" if at % 2 else 1} for at in range(12)], "label_types"),
        ([{"prompt": " " * at, "completion": f"c{at}"} for at in range(12)], "empty_prompt"),
        ([{"prompt": f"{at}" * 100_001, "completion": "c"} for at in range(5, 17)], "long_record"),
        ([{"text": f"t{at}", "url": "u"} for at in range(12)], "ignored_fields"),
    ],
)
def test_doubtful_data_is_usable_with_a_warning(verdict, records, code):
    report = verdict("a.json", json.dumps(records))
    assert report.is_valid and set(report.counts) == {code}


def test_mixed_shapes_are_refused(verdict):
    report = verdict("a.jsonl", lines(12, line_7='{"prompt": "p", "completion": "c"}'))
    assert [error.line for error in report.errors] == [7]


def test_report_is_json_and_its_messages_are_sentences(verdict):
    report = verdict("a.jsonl", lines(12, line_2='{"text": null, "label": "\u00f1"}', line_3="[]"))
    told = json.loads(json.dumps(report.to_json()))
    assert told["records"] == 12 and told["counts"] == {"null_field": 1, "not_an_object": 1}
    assert all(error["message"].endswith(".") for error in told["errors"])
    assert told["errors"][0]["field"] == "text" and told["summary"] == report.summary()


def test_load_examples_returns_what_was_validated(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines(12))
    examples = list(load_examples(path, "jsonl"))
    assert len(examples) == 12 and examples[3] == Example(4, prompt="text 3", completion="label 0")


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.jsonl", lines(12, line_5="{}"), "Line 5"),
        ("a.csv", "a,b\n1,2\n", "'a'"),
        ("b.csv", "text,label\n", "no rec"),
    ],
)
def test_load_examples_refuses_what_is_not_usable(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        list(load_examples(path, "csv" if name.endswith("csv") else "jsonl"))


def test_validation_needs_no_torch_and_no_transformers():
    code = (
        "import sys, afinador.data, afinador.data.validation\n"
        "print(*{'torch', 'transformers', 'numpy', 'datasets', 'pandas'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_shape_that_is_none_names_the_nearest(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n')
    report = validate_dataset(path, path.name, DatasetReading(shape="mesages"))
    (error,) = report.errors
    assert error.code == "unknown_shape"
    assert "'mesages'" in error.message and "Did you mean 'messages'" in error.message and "text_label" in error.message


def test_more_than_a_gigabyte_is_worth_a_note(verdict, monkeypatch):
    content = lines(120)
    monkeypatch.setattr("afinador.data.checks.conclusions.LARGE_BYTES", len(content))
    assert verdict("a.jsonl", content).notes == []
    monkeypatch.setattr("afinador.data.checks.conclusions.LARGE_BYTES", len(content) - 1)
    (note,) = verdict("a.jsonl", content).notes
    assert note.code == "large_file" and "takes minutes before training begins" in note.message


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_each_file_that_is_left_out_is_looked_at_once(tmp_path, monkeypatch):
    looked, is_data = [], unread._is_data
    monkeypatch.setattr(unread, "_is_data", lambda name: looked.append(name) or is_data(name))
    names = [f"test-{number}.jsonl" for number in range(20)]
    archive = zipped(tmp_path / "a.zip", {"train.jsonl": lines(3), **dict.fromkeys(names, lines(3))})
    report = validate_dataset(archive, "a.zip").to_json()
    assert report["counts"]["other_splits"] == 1 and sorted(looked) == sorted(names), "an archive may hold 100,000"


def test_what_a_folder_or_an_archive_holds_besides_what_is_read_is_told(tmp_path):
    files = {"train.jsonl": lines(12), "test-0.jsonl": lines(3), "README.md": "# Notes", "licence.txt": "MIT"}
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    for path in (zipped(tmp_path / "a.zip", files), folder):
        report = validate_dataset(path, path.name)
        assert report.is_valid and report.records == 12 and report.counts["other_splits"] == 1
        (warning,) = [each for each in report.warnings if each.code == "other_splits"]
        said = "1 of 2 data files are not read, for they belong to other splits or configs: 'test-0.jsonl'. To read all"
        assert warning.message.startswith(said) and said in report.summary()
        assert "declare --split all (reading.split)" in warning.message
        (note,) = [each for each in report.notes if each.code in ("other_splits", "files_not_read")]
        assert (
            "programs: 'README.md', 'licence.txt'. If 'README.md' holds records, give it another name." in note.message
        )
        for chosen in ("train", "all"):
            declared = validate_dataset(path, path.name, DatasetReading(split=chosen))
            assert declared.records == (12 if chosen == "train" else 15) and "other_splits" not in declared.counts
            assert ("other_splits" in {each.code for each in declared.notes}) is (chosen == "train")
    report = validate_dataset(folder, "folder", DatasetReading(split="test"))
    assert "configs: 'train.jsonl'." in next(each.message for each in report.notes if each.code == "other_splits")
    training = validate_dataset(folder, "folder")
    compare_files(training, report, "folder", are_of_one=True)
    for half in (training, report):
        assert not [each for each in [*half.notes, *half.warnings] if each.code == "other_splits"]
    (folder / "dev-0.jsonl").write_text(lines(2))
    training, validation = (
        validate_dataset(folder, "folder", DatasetReading(split=name)) for name in ("train", "test")
    )
    compare_files(training, validation, "folder", are_of_one=True)
    for half in (training, validation):
        assert "1 of 3 data files are not read" in str(half.notes) and "configs: 'dev-0.jsonl'. To" in str(half.notes)
        assert "README.md" in str(half.notes)
    whole = validate_dataset(zipped(tmp_path / "b.zip", {"a.jsonl": lines(12)}), "b.zip")
    assert not {"other_splits", "files_not_read"} & {each.code for each in [*whole.notes, *whole.warnings]}


def test_documents_whose_names_look_like_splits_are_told_with_their_folder_and_read_on_demand(tmp_path):
    record = json.dumps({"document": "d", "metadata": {"title": "t"}})
    names = [f"letters/{kind}-{at}.json" for kind in ("training-manual", "test-report") for at in range(6)]
    path = zipped(tmp_path / "y2.zip", dict.fromkeys(names, record))
    report = validate_dataset(path, path.name)
    assert report.records == 6
    assert "6 of 12 data files are not read" in report.summary() and "'letters/test-report-0.json'" in report.summary()
    assert "Record 2 (letters/training-manual-1.json, record 1)" in str(report.warnings)
    assert validate_dataset(path, path.name, DatasetReading(split="all")).records == 12
    mixed = zipped(tmp_path / "y1.zip", dict.fromkeys(["0.json", "1.json", "test-0.json"], record))
    assert "--split all (reading.split)" in validate_dataset(mixed, mixed.name).summary()
    assert validate_dataset(mixed, mixed.name, DatasetReading(split="all")).records == 3


def test_a_split_that_is_held_out_of_all_splits_is_told_as_overlap(tmp_path):
    path = zipped(tmp_path / "a.zip", {"train.jsonl": lines(12), "test.jsonl": lines(3)})
    training, held_out = (validate_dataset(path, path.name, DatasetReading(split=name)) for name in ("all", "test"))
    compare_files(training, held_out, "a.zip", are_of_one=True)
    assert held_out.counts["overlap"] == 3


def test_what_datasets_has_saved_beside_the_split_that_is_read_is_told(tmp_path):
    rows = datasets.Dataset.from_dict({"text": [f"a {n}" for n in range(12)], "label": ["x", "y"] * 6})
    other = datasets.Dataset.from_dict({"text": [f"b {n}" for n in range(4)], "label": ["x", "y"] * 2})
    datasets.DatasetDict(train=rows, test=other).save_to_disk(tmp_path / "saved")
    path = tmp_path / "saved"
    (warning,) = [each for each in validate_dataset(path, "saved").warnings if each.code == "other_splits"]
    assert "1 of 2 data files are not read" in warning.message
    assert "configs: 'test/data-00000-of-00001.arrow'. To read" in warning.message
    every = list(load_examples(path, "folder", DatasetReading(split="all")))
    assert [every[0].prompt, every[4].prompt, len(every)] == ["b 0", "a 0", 16]
    datasets.DatasetDict(train=rows, all=other).save_to_disk(tmp_path / "named")
    assert validate_dataset(tmp_path / "named", "named", DatasetReading(split="all")).records == 4


def test_repeats_in_a_folder_or_an_archive_are_told_by_file_and_line(tmp_path):
    row = json.dumps({"text": "the same", "label": "label 1"})
    files = {"a.jsonl": lines(12, line_3=row), "b.jsonl": "\n" + row + "\n"}
    files["b.jsonl"] += json.dumps({"text": "the same", "label": "label 2"})
    path = zipped(tmp_path / "a.zip", files)
    told = {each.code: each.message for each in validate_dataset(path, path.name).warnings}
    assert told["duplicate"].startswith("Record 13 (b.jsonl, line 2) repeats record 3 (a.jsonl, line 3).")
    assert "(records 3 (a.jsonl, line 3) and 14 (b.jsonl, line 3))" in told["different_answers"]
    held_out = tmp_path / "valid.jsonl"
    held_out.write_text(row + "\n")
    compare_files(validate_dataset(path, "a.zip"), found := validate_dataset(held_out, "valid.jsonl"), "a.zip")
    assert "Line 1 is also record 3 (a.jsonl, line 3) of a.zip:" in found.summary()
