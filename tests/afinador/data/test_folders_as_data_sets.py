"""What is told of a folder or an archive as a whole: what of it is not read, and where its repeats stand."""

import json
import zipfile

import datasets

from afinador.data.comparison import compare_files
from afinador.data.files import unread
from afinador.data.validation import load_examples, validate_dataset
from afinador.schemas.datasets import DatasetReading
from tests.afinador.data.judged_records import labelled_lines


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_each_file_that_is_left_out_is_looked_at_once(tmp_path, monkeypatch):
    looked, is_data = [], unread._is_data
    monkeypatch.setattr(unread, "_is_data", lambda name: looked.append(name) or is_data(name))
    names = [f"test-{number}.jsonl" for number in range(20)]
    archive = zipped(tmp_path / "a.zip", {"train.jsonl": labelled_lines(3), **dict.fromkeys(names, labelled_lines(3))})
    report = validate_dataset(archive, "a.zip").to_json()
    assert report["counts"]["other_splits"] == 1 and sorted(looked) == sorted(names), "an archive may hold 100,000"


def test_what_a_folder_or_an_archive_holds_besides_what_is_read_is_told(tmp_path):
    files = {
        "train.jsonl": labelled_lines(12),
        "test-0.jsonl": labelled_lines(3),
        "README.md": "# Notes",
        "licence.txt": "MIT",
    }
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
    (folder / "dev-0.jsonl").write_text(labelled_lines(2))
    training, validation = (
        validate_dataset(folder, "folder", DatasetReading(split=name)) for name in ("train", "test")
    )
    compare_files(training, validation, "folder", are_of_one=True)
    for half in (training, validation):
        assert "1 of 3 data files are not read" in str(half.notes) and "configs: 'dev-0.jsonl'. To" in str(half.notes)
        assert "README.md" in str(half.notes)
    whole = validate_dataset(zipped(tmp_path / "b.zip", {"a.jsonl": labelled_lines(12)}), "b.zip")
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
    path = zipped(tmp_path / "a.zip", {"train.jsonl": labelled_lines(12), "test.jsonl": labelled_lines(3)})
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
    files = {"a.jsonl": labelled_lines(12, line_3=row), "b.jsonl": "\n" + row + "\n"}
    files["b.jsonl"] += json.dumps({"text": "the same", "label": "label 2"})
    path = zipped(tmp_path / "a.zip", files)
    told = {each.code: each.message for each in validate_dataset(path, path.name).warnings}
    assert told["duplicate"].startswith("Record 13 (b.jsonl, line 2) repeats record 3 (a.jsonl, line 3).")
    assert "(records 3 (a.jsonl, line 3) and 14 (b.jsonl, line 3))" in told["different_answers"]
    held_out = tmp_path / "valid.jsonl"
    held_out.write_text(row + "\n")
    compare_files(validate_dataset(path, "a.zip"), found := validate_dataset(held_out, "valid.jsonl"), "a.zip")
    assert "Line 1 is also record 3 (a.jsonl, line 3) of a.zip:" in found.summary()
