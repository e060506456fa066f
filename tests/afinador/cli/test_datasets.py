"""``validate dataset`` and ``preview dataset``, here and by the service: the same answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afinador.cli.dataset_text import counts_text
from afinador.cli.reading import reading_of
from afinador.data.tokens import process as token_process
from afinador.errors import InvalidRequestError, NotFoundError
from afinador.schemas.datasets import DatasetReading, parse_reading

Run = Callable[..., Any]


def test_a_report_with_lengths_needs_no_service(afinador: Run, dataset: Path, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ran = afinador("validate", "dataset", dataset, "-basemodel", folder, "--max-length", 12, "--html", page)
    assert (
        ran.code == 0
        and "cut before the answer  " in ran.out
        and "cut at its end" in ran.out
        and "12 a record" in ran.out
    ), ran.err
    assert page.read_text().startswith("<!doctype html>") and str(page) in ran.err
    dataset.write_text(dataset.read_text() + "no json\n")
    ran = afinador("validate", "dataset", dataset, "--base-model", folder, "--json")
    assert ran.code == 1 and json.loads(ran.out)["tokens"]["records"] == 12
    dataset.write_text(dataset.read_text() + "no json\n" * 11)
    said = afinador("validate", "dataset", dataset).out
    assert said.count("is no JSON") == 10 and "json_syntax ×12" in said and "And 2 more like these." in said


def test_what_cannot_be_read_twice_or_is_no_folder_is_said(afinador: Run, dataset: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ran = afinador("validate", "dataset", tmp_path / "pipe")
    assert ran.code == 2 and "is no regular file, and a data set is read more than once" in ran.err
    ran = afinador("validate", "dataset", dataset, "--base-model", tmp_path / "nowhere")
    assert ran.code == 3 and "nowhere', and there is no such folder" in ran.err
    for words in ((tmp_path / "gone.csv",), (dataset, "--validation", tmp_path / "gone.csv")):
        ran = afinador("validate", "dataset", *words)
        assert ran.code == 3 and "gone.csv'. Check the path." in ran.err
    ran = afinador("preview", "dataset", dataset, "--base-model", "tiny", "--max-length", 5)
    assert ran.code == 2 and "'5' is not a whole number from 8 to 131072" in ran.err
    ran = afinador("validate", "dataset", dataset, "--split", "test")
    assert ran.code == 1 and "split is for folders, archives" in ran.out


def test_a_tokenizer_that_cannot_be_used_hides_no_fault(
    afinador: Run, dataset: Path, folder: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "endless"
    shutil.copytree(folder, copied)
    for name in ("tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json"):
        if (copied / name).is_file():
            told = json.loads((copied / name).read_text())
            (copied / name).write_text(json.dumps({key: value for key, value in told.items() if "eos" not in key}))
    dataset.write_text(dataset.read_text() + "no json\n")
    ran = afinador("validate", "dataset", dataset, "--base-model", copied)
    assert ran.code == 1 and "no end-of-sequence token" in ran.out and "is no JSON" in ran.out, ran.out + ran.err


def test_what_is_held_out_is_checked_too(afinador: Run, dataset: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held.jsonl"
    held_out.write_text('{"text": "a"}\n{"text": 5}\n')
    ran = afinador("validate", "dataset", dataset, "--validation-dataset", held_out)
    assert ran.code == 1 and "Held out: held.jsonl cannot be trained on" in ran.out


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A folder of two splits that share one record of three."""
    folder = tmp_path / "sums"
    folder.mkdir()
    for split, numbers in (("train", range(3)), ("test", range(2, 5))):
        (folder / f"{split}.csv").write_text("q;a\n" + "".join(f"{number} + 1?;{number + 1}\n" for number in numbers))
    return folder


def test_two_splits_of_one_folder_are_compared(afinador: Run, online: Run, sums: Path) -> None:
    mapping = ("--mapping", "{prompt: q, completion: a}", "--delimiter", ";", "--json")
    for validate in (afinador, online):
        ran = validate("validate", "dataset", sums, "--validation-split", "test", *mapping)
        report = json.loads(ran.out)
        assert (ran.code, report["records"], report["validation"]["records"]) == (0, 3, 3), ran.err
        assert report["validation"]["counts"]["overlap"] == 1 and report["shape"] == "prompt_completion"
    given = ("--validation-dataset", sums / "test.csv", "--validation-reading", "mapping={prompt: a, completion: q}")
    ran = afinador("validate", "dataset", sums / "train.csv", *given, *mapping)
    assert "overlap" not in json.loads(ran.out)["validation"]["counts"]
    ran = afinador("validate", "dataset", sums / "train.csv", *given[:2], *mapping, "--validation-reading", "mapping=")
    assert ran.code == 1 and json.loads(ran.out)["validation"]["shape"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--validation-reading", "splt=test"), "Did you mean 'split'"),
        (("--validation-reading", "encoding=latin-1"), "declare the split of the training data set"),
        (("--validation-reading", "split=a", "--validation-split", "b"), "gives split twice"),
        (("--validation-reading", "split"), "not of the form key=value"),
        (("--validation-reading", "loader=os:system", "--validation-split", "test"), "loader names another"),
    ],
)
def test_what_is_declared_wrong_of_the_held_out_part_is_named(
    afinador: Run, sums: Path, words: tuple[str, ...], said: str
) -> None:
    ran = afinador("validate", "dataset", sums, *words)
    assert ran.code == 2 and said in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--validation-split", "test"), "split is for folders, archives"),
        (("--validation-reading", "delimiter=;"), "delimiter is for CSV"),
    ],
)
def test_what_says_nothing_of_the_held_out_file_is_refused_by_name(
    afinador: Run, online: Run, dataset: Path, words: tuple[str, ...], said: str
) -> None:
    for validate in (afinador, online):
        ran = validate("validate", "dataset", dataset, "--validation-dataset", dataset, *words)
        assert ran.code == 2 and said in ran.err and "is read as JSON Lines" in ran.err and ran.out == "", ran.err
        assert validate("validate", "dataset", dataset, "--validation-dataset", dataset).code == 0


def test_one_label_is_an_error_unless_it_is_to_be_written(afinador: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "one_class.csv"
    path.write_text("text,label\n" + "".join(f"question {n},card\n" for n in range(20)))
    words = ("validate", "dataset", path)
    for further in (
        (),
        ("--task", "sequence_classification"),
        ("-basemodel", folder, "--task", "sequence_classification"),
    ):
        ran = afinador(*words, *further)
        assert ran.code == 1 and "cannot be trained on" in ran.out and "error one_label" in ran.out
    for further in (("--task", "causal_lm"), ("-basemodel", folder)):
        ran = afinador(*words, *further)
        assert ran.code == 0 and "warning one_label" in ran.out
        assert "can be trained on: 20 records of the shape text_label" in ran.out and "1 warning, 1 note." in ran.out
        assert re.search("^LABEL  RECORDS  SHARE\ncard        20  100.0%  █{20}$", ran.out, re.MULTILINE)
    held_out = tmp_path / "held.csv"
    held_out.write_text("text,label\n" + "".join(f"other {n},letter\n" for n in range(12)))
    ran = afinador(*words, "--validation", held_out, "--task", "causal_lm")
    assert ran.code == 0 and "unknown_label" not in ran.out
    ran = afinador(*words, "--task", "classify")
    assert ran.code == 2 and "'classify'" in ran.err and "sequence_classification" in ran.err


def test_labels_are_told_the_most_frequent_first_and_few_of_them() -> None:
    counts = {f"class {number}": number for number in range(1, 13)} | {"\u202ea\nb" + "x" * 90: 50, "": 30}
    first, header, *rows, rest = counts_text("label", counts).split("\n")
    assert first == "" and header.split() == ["LABEL", "RECORDS", "SHARE"] and len(rows) == 10
    assert rows[0].startswith("⟨U+202E⟩a b") and "…" in rows[0] and rows[0].endswith("█" * 20)
    assert rows[1].startswith("(none)") and rows[2].startswith("class 12") and max(map(len, rows)) < 80
    assert rest == "And 4 more labels in 10 records, 1 to 4 each."
    assert "more" not in counts_text("type", {"thesis": 1})


def test_a_mapping_may_be_written_as_yaml(afinador: Run, tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("text,category\n" + "".join(f"question {n},{'ab'[n % 2]}\n" for n in range(20)))
    ran = afinador("validate", "dataset", path, "--mapping", "{text: text, label: category}")
    assert ran.code == 0 and "text_label" in ran.out.replace(" ", "_"), ran.err
    ran = afinador("validate", "dataset", path, "--mapping", "{text: [")
    assert ran.code == 2 and "mapping is no JSON" in ran.err


def test_a_mapping_may_be_written_without_braces_and_names_each_field_once() -> None:
    nothing = dict.fromkeys(DatasetReading.model_fields)
    for written in (
        "text: text, label: category",
        "text: text\nlabel: category",
        "text: 'Read {text}', label: category",
    ):
        assert reading_of(Namespace(**{**nothing, "mapping": written})).mapping.keys() == {"text", "label"}
    assert reading_of(Namespace(**{**nothing, "mapping": "text: Read {text}"})).mapping == {"text": "Read {text}"}
    for wrong, said in (
        ('{"text": "text", "text": "category"}', "--mapping: The key 'text' is given twice"),
        ("text: a, text: b", "--mapping: The key 'text' is given twice"),
        ("text: Read: {text}, please, label: a", "is neither a file nor a mapping. Write it as '{prompt: question"),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            reading_of(Namespace(**{**nothing, "mapping": wrong}))
        assert said in refused.value.message
    with pytest.raises(
        NotFoundError, match=r"no-file\.yaml: .* If it is meant as the mapping itself, write it as '{prompt: question"
    ):
        reading_of(Namespace(**{**nothing, "mapping": "no-file.yaml"}))
    with pytest.raises(InvalidRequestError, match="mapping: The key 'a' is given twice"):
        parse_reading({"mapping": '{"a": "b", "a": "c"}'})


def test_documents_are_asked_for_as_in_a_job(afinador: Run, folder: Path, tmp_path: Path) -> None:
    path, prompts = tmp_path / "books.jsonl", tmp_path / "prompts.yaml"
    path.write_text('{"document": "Emma", "metadata": {"year": 1815}, "type": "book"}\n')
    prompts.write_text("book: 'Which year? {document}'\n")
    shown = afinador("preview", "dataset", path, "--base-model", folder, "--prompts", prompts)
    assert shown.code == 0 and "Which year? Emma" in shown.out
    schema = tmp_path / "schema.json"
    schema.write_text('{"year": ""}')
    words = ("--extraction", "schema", "--extraction-schema", schema)
    assert "### Template:" in afinador("preview", "dataset", path, "--base-model", folder, *words).out
    prompts.write_text("poem: 'Which year?'\n")
    ran = afinador("validate", "dataset", path, "--base-model", folder, "--prompts", prompts)
    assert ran.code == 1 and "prompts has none for the type 'book'" in ran.out + ran.err
    ran = afinador("validate", "dataset", path, "--prompts", prompts)
    assert ran.code == 1 and "no_prompt" in ran.out and "1 of the documents" in ran.out
    prompts.write_text("book: 'Which year? {documnt}'\n")
    for words in (("validate", "dataset", path), ("preview", "dataset", path, "--base-model", folder)):
        ran = afinador(*words, "--prompts", prompts)
        assert ran.code != 0 and "'{documnt}'; the only one that is filled is '{document}'" in ran.err
    prompts.write_text("book: {a: 1}\n")
    ran = afinador("validate", "dataset", path, "--base-model", folder, "--prompts", prompts)
    assert ran.code == 2 and "prompts.book" in ran.err and "Traceback" not in ran.err


WITHOUT_WHAT_READS_DATA = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
absent = {"accelerate", "datasets", "peft", "psutil", "pyarrow", "safetensors", "tokenizers", "torch", "transformers"}
PathFinder.find_spec = classmethod(lambda cls, name, *given: None if name.split(".")[0] in absent else find(name, *given))
from afinador.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_client_that_cannot_read_data_sends_them_to_the_service(
    online: Run, service: Any, dataset: Path, root: Path
) -> None:
    def light(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_WHAT_READS_DATA, *map(str, words)]
        known = os.environ | {"PYTHONPATH": str(root)} | environment
        return subprocess.run(command, env=known, capture_output=True, text=True, timeout=60)

    held_out = dataset.with_name("held-out.jsonl")
    held_out.write_text('{"text": "Question 3?", "label": "Answer 3."}\nno json\n')
    words = ("validate", "dataset", dataset, "--validation-dataset", held_out)
    here, there = online(*words, "--json"), light(*words, "--json")
    assert there.returncode == here.code == 1, there.stderr
    told = json.loads(there.stdout)
    assert told == json.loads(here.out) and told["validation"]["counts"]["json_syntax"] == 1
    assert json.loads(online("list", "file", "--json").out)["data"] == []  # what was sent is not kept
    for verb, more in (("validate", ()), ("preview", ("--base-model", "tiny"))):
        ran = light(verb, "dataset", dataset, *more, AFINADOR_BASE_URL="http://127.0.0.1:9")
        assert ran.returncode == 1 and ran.stdout == ""
        assert "afinador up" in ran.stderr and "local data sets" in ran.stderr and "afinador[train]" in ran.stderr


def test_the_service_says_the_same_and_keeps_no_file(
    online: Run, service: Any, dataset: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = service.models / f"{service.organization}-real"
    shutil.copytree(folder, copied)
    assert online("create", "base-model", "real", "--source", copied).code == 0
    words = ("dataset", dataset, "--json", "--base-model")
    for verb in ("validate", "preview"):
        here, there = (json.loads(online(verb, *words, base).out) for base in (folder, "real"))
        for answer in (here, there):
            (answer.get("tokens") or answer).pop("base_model")
        assert here == there
    dataset.write_text("no json\n")
    assert online("validate", *words, "real").code == 1
    monkeypatch.setattr(token_process, "can_run_here", lambda: False)
    ran = online("validate", *words, folder)  # sent, and there is no such base model there
    assert ran.code == 3 and "base model" in ran.err
    assert json.loads(online("list", "file", "--json").out)["data"] == []
