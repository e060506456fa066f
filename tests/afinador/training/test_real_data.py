"""Real data sets of every kind, from the file as it came over verdict, preview and preparation into a few steps."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, set_seed

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.checks.near_duplicates import LIKENESS
from afinador.data.checks.word_runs import FEWEST_WORDS
from afinador.data.comparison import compare_files
from afinador.data.dataset_reports import reading_of
from afinador.data.preparation import prepare_file
from afinador.data.shapes import SHAPES
from afinador.data.tokens.process import TokenProcess
from afinador.data.validation import Report, validate_dataset
from afinador.models.tokenizer_folders import tokenizer_folder
from afinador.storage import sha256_of
from afinador.training import FineTuner
from tests.afinador.real_data_sets import REFUSED, SETS, RealFile, RealSet, Row
from tests.afinador.training.classified import SIZES

pytestmark = pytest.mark.shared_data

MakeSpec = Callable[..., FineTuningSpec]
RECORDS, HELD_OUT_RECORDS, MAX_LENGTH = 8, 4, 128
TOOLS = (
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for message in messages %}<{{ message.role }}>"
    "{{ message.content }}{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}"
    "</{{ message.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_DATA = ("models", "tokenizers", "pathological")
"""What else there is in ../shared/data."""


@pytest.fixture(scope="module")
def process() -> Iterator[TokenProcess]:
    with TokenProcess() as started:
        yield started


@pytest.fixture(scope="module")
def stories(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, with a chat template that knows tools."""
    folder = tmp_path_factory.mktemp("models") / "stories"
    shutil.copytree(shared_data / "models" / "stories260k", folder)
    (folder / "chat_template.jinja").write_text(TOOLS)
    return folder


@pytest.fixture(scope="module")
def bert(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT of random weights with the real vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "bert-base-uncased")
    set_seed(1)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("case", SETS)
def test_a_real_data_set_goes_all_the_way_into_training(
    case: str,
    shared_data: Path,
    process: TokenProcess,
    stories: Path,
    bert: Path,
    make_spec: MakeSpec,
    tmp_path: Path,
) -> None:
    real = SETS[case]
    task, base = ("sequence_classification", bert) if real.shape == "text_label" else ("causal_lm", stories)
    limits = tokenizer_folder(base).limits(task, MAX_LENGTH)
    files, previews, verdicts = [], [], []
    for number, file in enumerate([real.training, *real.held_out]):
        source, made = shared_data / file.name, tmp_path / f"made-{number}.jsonl"
        verdicts.append(judged(file, source))
        seen = process.preview(base, reading_of(source, verdicts[-1].to_json(), file.declared), limits, records=3)
        assert len(seen["records"]) == 3 and all(record["pieces"] for record in seen["records"])

        most = HELD_OUT_RECORDS if number else RECORDS
        steps = [*real.steps, {"type": "sample", "records": most, "seed": 7}]
        told = prepare_file(source, steps, target=made, reading=file.declared).to_json()["steps"][-1]
        report = validate_dataset(made, made.name)
        assert (report.is_valid, report.shape, report.records) == (True, real.shape, min(most, told["rows_in"]))
        reading = reading_of(made, report.to_json())
        previews.append(process.preview(base, reading, limits, records=RECORDS)["records"])
        files.append(
            DataFile(name=made.name, path=str(made), format="jsonl", sha256=sha256_of(made), bytes=report.bytes)
        )
    for file, verdict in zip(real.held_out, verdicts[1:], strict=True):
        require_overlap(real.training, verdicts[0], file, verdict, shared_data)
    if real.shape == "text_label":
        require_likeness(real, verdicts, shared_data)

    spec = make_spec("lora", base=base, batch_size=4, generation_examples=0, max_length=MAX_LENGTH)
    spec.task, (spec.training_file, *held_out) = task, files
    spec.validation_file = held_out[0] if held_out else None
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    rows, _ = tuner.run_dir.metrics_after(0)
    losses = [row["train_loss"] for row in rows if "train_loss" in row]
    assert len(losses) >= 2 and all(map(math.isfinite, losses))
    assert tuner.run_dir.result()["trained_tokens"] == sum(map(kept_tokens, previews[0]))


def judged(file: RealFile, source: Path) -> Report:
    """Return the verdict on a file, all figures of which are those that are counted without it."""
    report, rows = validate_dataset(source, source.name, file.declared), file.rows(source)
    usable = [row for row in rows if row.texts[-1].strip()]
    assert (report.records, report.refused) == (len(rows), len(rows) - len(usable))
    assert report.counts.get("empty_field", 0) >= report.refused, "a record may have several"
    assert report.is_valid == (len(usable) == len(rows)), report.summary()
    told, lengths = report.to_json(), [sum(map(len, row.texts)) for row in usable]
    assert told["lengths"]["mean"] == pytest.approx(statistics.fmean(lengths), abs=0.051)
    assert [told["lengths"][name] for name in ("minimum", "median", "maximum")] == [
        min(lengths), statistics.median(lengths), max(lengths),
    ]  # fmt: skip
    if report.shape == "text_label":
        assert report.labels is not None and report.labels.counts == Counter(row.texts[-1] for row in usable)
    if report.format == "text":  # of which short parts are not compared
        usable = [row for row in usable if len(row.texts[-1].split()) >= FEWEST_WORDS]
    again, folded = len(usable) - len(set(usable)), len(usable) - len(set(map(fold, usable)))
    assert report.counts.get("duplicate", 0) == again
    assert report.counts.get("near_duplicate", 0) >= folded - again
    assert report.repetitions.contradicted == sum(len(given) > 1 for given in answers(usable).values())
    return report


def fold(row: Row) -> Row:
    """Return it without regard to capitals and white space."""
    return Row(tuple(" ".join(text.casefold().split()) for text in row.texts), row.other)


def answers(rows: list[Row]) -> dict[tuple[tuple[str, ...], str], set[str]]:
    """Return all that is answered to each question; nothing of texts alone."""
    found = defaultdict(set)
    for row in (fold(row) for row in rows if len(row.texts) > 1):
        found[row.texts[:-1], row.other].add(row.texts[-1])
    return found


def require_overlap(training: RealFile, learnt: Report, file: RealFile, held_out: Report, shared_data: Path) -> None:
    """Compare two verdicts; what they have in common is what two lists of their records have."""
    compare_files(learnt, held_out, "train")
    rows = [each.rows(shared_data / each.name) for each in (file, training)]
    if held_out.format == "text":
        rows = [[row for row in each if len(row.texts[-1].split()) >= FEWEST_WORDS] for each in rows]
    here, there = map(set, rows)
    assert held_out.counts.get("overlap", 0) == len(here & there)
    folded = {fold(row) for row in here - there} & {fold(row) for row in there}
    assert held_out.counts.get("near_overlap", 0) >= len(folded)
    known = answers(list(there))
    others = sum(not known.get(question, given) & given for question, given in answers(list(here)).items())
    said = [problem.message for problem in held_out.warnings if problem.code == "answered_otherwise"]
    assert [int(each.split()[0]) for each in said] == [others] * bool(others)


def require_likeness(real: RealSet, verdicts: list[Report], shared_data: Path) -> None:
    """Hold what is told to be nearly the same against a comparison of all texts of a label with each other."""
    files = [real.training, real.held_out[0]]
    learnt, held_out = ([*map(fold, file.rows(shared_data / file.name))] for file in files)
    for code, rows, earlier, verdict in (
        ("near_duplicate", learnt, None, verdicts[0]),
        ("near_overlap", held_out, learnt, verdicts[1]),
    ):
        likest = likeness(rows, earlier)
        assert abs(verdict.counts.get(code, 0) - sum(each >= LIKENESS for each in likest)) <= 2
        here, there = places(files[earlier is not None], shared_data), places(files[0], shared_data)
        told = [problem for problem in verdict.warnings if problem.code == code]
        assert len(told) == min(10, verdict.counts.get(code, 0))
        for problem in told:
            other = re.search(r"\b(?:line|record) (\d+)", problem.message.partition(" is ")[2])
            assert other is not None and problem.line is not None
            one, another = rows[here.index(problem.line)], learnt[there.index(int(other[1]))]
            assert one == another or shared_runs(one, another) >= LIKENESS - 0.15


def likeness(rows: list[Row], earlier: list[Row] | None) -> list[float]:
    """Return of each row how much the likest of its label has in common with it: of those before it, or of others."""
    by_label = defaultdict(list)
    for row in earlier or []:
        by_label[row.texts[-1]].append(row)
    found: list[float] = []
    for row in rows:
        alike = by_label[row.texts[-1]]
        found.append(max((1.0 if row == each else shared_runs(row, each) for each in alike), default=0.0))
        if earlier is None:
            alike.append(row)
    return found


def shared_runs(one: Row, another: Row) -> float:
    """Return the share of their runs of three words that two texts have in common; 0 of short ones."""
    first, second = runs(one.texts[0]), runs(another.texts[0])
    return len(first & second) / len(first | second) if first and second else 0.0


@cache
def runs(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) >= FEWEST_WORDS else frozenset()


def places(file: RealFile, shared_data: Path) -> list[int]:
    """Return the lines on which the records of a CSV start; of others their numbers."""
    path = shared_data / file.name
    if path.suffix != ".csv":
        return list(range(1, len(file.rows(path)) + 1))
    with path.open(newline="", encoding="utf-8") as text:
        lines = csv.reader(text)
        ends = [lines.line_num for _ in lines]
    return [end + 1 for end in ends[:-1]]


def kept_tokens(record: dict[str, Any]) -> int:
    """Count the tokens of a previewed record that are not cut away."""
    counted: dict[str, int] = record["counts"]
    return sum(count for state, count in counted.items() if state != "cut")


@pytest.mark.parametrize("name", REFUSED)
def test_what_nothing_can_be_learnt_from_is_refused_with_the_reason(name: str, shared_data: Path) -> None:
    declared, said = REFUSED[name]
    report = validate_dataset(shared_data / name, Path(name).name, declared)
    assert not report.is_valid and re.search(said, report.summary()), report.summary()


def test_labels_are_those_that_the_data_set_names(shared_data: Path) -> None:
    real = SETS["banking77"]
    named = json.loads((shared_data / "banking77" / "categories.json").read_text())
    for file in (real.training, *real.held_out):
        assert {row.texts[-1] for row in file.rows(shared_data / file.name)} == set(named)


def test_every_shape_that_is_trained_on_is_among_the_real_ones() -> None:
    assert {real.shape for real in SETS.values()} == {name for name, shape in SHAPES.items() if shape.tasks}


def test_no_real_file_is_left_out(shared_data: Path) -> None:
    tried = {*REFUSED, *(file.name for real in SETS.values() for file in (real.training, *real.held_out))}
    left_out = [
        name
        for path in sorted(shared_data.glob("*/**/*"))
        if path.is_file() and path.name not in ("SOURCE.md", "SHA256SUMS")
        for name in [path.relative_to(shared_data)]
        if name.parts[0] not in NO_DATA and not tried & {str(name), *map(str, name.parents)}
    ]
    assert not left_out
