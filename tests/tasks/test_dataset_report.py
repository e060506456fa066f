"""What the first task leaves behind of the data, and what the next job need not do again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from afinador.config.spec import StartingPoint
from afinador.data import dataset_reports
from afinador.data.tokens.process import TokenProcess
from afinador.errors import DataError, TrainingError
from afinador.packing import pack_folder
from afinador.storage import sha256_of
from afinador.training.caching import cache_of
from afinador.training.data_sets import load_both
from afinador.training.setup import load_subject, usable_length
from registry.data_sets import files
from registry.ledger.tables import Event, File, Job
from registry.memory import Memory
from registry.tracking.experiments import Experiments
from tasks import ending, validate
from tasks.attempt import Attempt, StopRequestedError, claim
from tasks.validate import validate_dataset

Create = Callable[..., Job]


def claimed(job: Job) -> Attempt:
    attempt = claim(job.id, "")
    assert attempt is not None
    return attempt


def train_on(attempt: Attempt, memory: Memory, text: str) -> None:
    """Put another text in the place of the training file of a job."""
    with memory.database.reading() as session:
        file = session.get_one(File, attempt.spec.training_file.file_id)
    local = memory.storage.local_path(file.storage_key)
    assert local is not None
    local.write_text(text)
    attempt.spec.training_file.sha256 = sha256_of(local)


def said_in(memory: Memory, attempt: Attempt) -> list[str]:
    with memory.database.reading() as session:
        told = session.query(Event).filter_by(job_id=attempt.job_id).order_by(Event.created_at)
        return [f"{event.level} {event.message}" for event in told]


def test_the_second_job_on_the_same_data_asks_no_tokenizer(
    create: Create, memory: Memory, warm: TokenProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    check = warm.check
    monkeypatch.setattr(warm, "check", lambda *given, **named: asked.append(given) or check(*given, **named))
    first, second = (claimed(create()) for _ in range(2))
    for attempt in (first, second):
        validate_dataset.fn(attempt)
    assert len(asked) == 1
    pages = [(attempt.run.path / "dataset.html").read_text() for attempt in (first, second)]
    assert pages[0] == pages[1] and "train.jsonl" in pages[0] and "max_length" in pages[0]
    cache = cache_of(first.run)
    assert cache is not None and cache == cache_of(second.run)
    assert cache.folder == memory.settings.token_cache_dir / first.spec.organization_id
    assert [path.suffix for path in cache.folder.iterdir()] == [".json"]
    with memory.database.session() as session:
        organization_id, file_id = first.spec.organization_id, first.spec.training_file.file_id
        session.query(Job).update({"status": "succeeded"})
        files.delete(session, memory, organization_id, str(file_id))
    assert list(cache.folder.iterdir()) == []


def test_warnings_are_counted_in_an_event_and_what_is_not_read_is_told(
    create: Create, memory: Memory, tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    rows = "".join(f'{{"prompt": "{n} + 1 =", "completion": "{n + 1}"}}\n' for n in range(12))
    for name, text in (("train.jsonl", rows * 2), ("test.jsonl", rows), ("README.md", "What it is")):
        (folder / name).write_text(text)
    archive = pack_folder(folder, tmp_path)
    with memory.database.session() as session:
        organization_id = session.query(File).one().organization_id
        name, digest, size = archive.name, sha256_of(archive), archive.stat().st_size
        file = files.create(session, memory, organization_id, archive, name, "fine-tune", digest, size)
    files.check(memory, file.id)
    attempts = [
        claimed(create(training_file=file.id, **held)) for held in ({}, {"validation_reading": {"split": "test"}})
    ]
    for attempt in attempts:
        validate_dataset.fn(attempt)
    alone, held_out = ([each for each in said_in(memory, attempt) if "parts.tar: " in each] for attempt in attempts)
    command = f"afinador validate dataset {file.id}"
    good = "info parts.tar: 24 records, all well formed; {} warnings, see: {}."
    card = "warn parts.tar: Not read, for their names are those of descriptions and programs: 'README.md'. If"
    assert good.format(13, command) in alone
    both = f"{command} --validation-dataset {file.id} --validation-reading split=test"
    assert good.format(12, both) in held_out
    assert f"info parts.tar: 12 records, all well formed; 12 warnings, see: {both}." in held_out, "each is in both"
    assert any(each.startswith(card) for each in alone) and any(each.startswith(card) for each in held_out)
    left_out = (
        "warn parts.tar: 1 of 2 data files are not read, for they belong to other splits or configs: 'test.jsonl'."
    )
    assert any(each.startswith(left_out) for each in alone)
    assert not any("other splits" in each for each in held_out), "the one is read for the other"


def test_records_that_the_base_model_cannot_be_told_end_the_job_before_a_device_is_taken(
    create: Create, memory: Memory
) -> None:
    attempt = claimed(create())
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": messages}, {"messages": messages, "tools": [tool]}]
    train_on(attempt, memory, "".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(DataError, match=r"^train\.jsonl: 1 of 2 records cannot be used: Record at line 2 uses"):
        validate_dataset.fn(attempt)
    assert "cannot be trained on" in (attempt.run.path / "dataset.html").read_text()


def test_an_event_on_a_base_model_s_tokenizer_tells_its_name_and_no_folder(create: Create, memory: Memory) -> None:
    attempt = claimed(create())
    folder = Path(attempt.spec.base_model.path)
    kept = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_text("{")
    try:
        validate_dataset.fn(attempt)
    finally:
        (folder / "tokenizer.json").write_bytes(kept)
    told = [each for each in said_in(memory, attempt) if "The tokenizer was not asked about" in each]
    assert len(told) == 1 and repr(attempt.spec.base_model.name) in told[0]
    assert str(folder.parent) not in told[0]


def test_labels_that_are_no_classes_end_the_job_with_a_page_that_says_all_that_is_wrong(
    create: Create, memory: Memory
) -> None:
    attempt = claimed(create())
    train_on(
        attempt, memory, '{"text": "where is it ?", "label": "delivery"}\n{"text": "\\u0007", "label": "delivery"}\n'
    )
    attempt.spec.task = "sequence_classification"
    with pytest.raises(DataError, match=r"^All 2 records of train.jsonl have the label 'delivery'") as raised:
        validate_dataset.fn(attempt)
    assert raised.value.param == "training_file"
    page = (attempt.run.path / "dataset.html").read_text()
    assert "cannot be trained on" in page and "have the label" in page and "U+0007" in page
    ending.failed(attempt, raised.value)
    with Experiments(memory.settings).workspace(attempt.spec.organization) as client:
        run = client.get_run(str(attempt.job().mlflow_run_id))
        assert run.info.status == "FAILED" and run.info.run_name == attempt.spec.job_name
        assert [kept.path for kept in client.list_artifacts(run.info.run_id)] == ["dataset.html"]


def test_large_data_are_tokenised_whole_before_a_device_is_taken(
    create: Create, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_reports, "SAMPLE_RECORDS", 5)
    attempt = claimed(create(settings={"max_length": 9}))
    validate_dataset.fn(attempt)
    page = (attempt.run.path / "dataset.html").read_text()
    assert "one in 5, always the same ones" in page and "9; the base model has a context of" in page
    with memory.database.reading() as session:
        said = [row.message for row in session.query(Event).where(Event.job_id == attempt.job_id)]
    assert "train.jsonl was tokenised before a device is taken: 24 rows." in said
    spec = attempt.run.spec()
    subject = load_subject(spec)
    data, _ = load_both(spec, subject, usable_length(spec.hyperparameters.max_length, subject.model), attempt.run)
    assert data.cached is not None and data.cached.is_hit and len(data.tokenised) == 24


def test_what_a_sample_does_not_show_ends_the_job_before_a_device_is_taken(
    create: Create, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_reports, "SAMPLE_RECORDS", 5)
    attempt = claimed(create())
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": messages} | ({"tools": [tool]} if number == 7 else {}) for number in range(24)]
    train_on(attempt, memory, "".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(DataError, match=r"^train\.jsonl: Record at line 8 uses tools") as raised:
        validate_dataset.fn(attempt)
    assert raised.value.param == "training_file"


def test_a_job_that_is_stopped_while_its_data_are_tokenised_leaves_no_process(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_reports, "SAMPLE_RECORDS", 5)
    attempt = claimed(create())
    seen: list[psutil.Process] = []

    def wait(seconds: float) -> None:
        seen.extend(psutil.Process().children())
        raise StopRequestedError("cancel")

    monkeypatch.setattr(attempt, "wait", wait)
    with pytest.raises(StopRequestedError):
        validate_dataset.fn(attempt)
    tokenising = [process for process in seen if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE]
    assert tokenising, "it was ended"


def test_other_classes_than_those_of_the_adapter_end_the_job_before_a_device_is_taken(
    create: Create, memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "adapter" / "base").mkdir(parents=True)
    (tmp_path / "adapter" / "base" / "config.json").write_text(json.dumps({"id2label": {"0": "good", "1": "bad"}}))
    attempt = claimed(create())
    attempt.spec.task = "sequence_classification"
    told = {"kind": "adapter", "name": "ft:tiny", "job_id": "ftjob-1", "step": 3, "manifest_sha256": "0", "bytes": 1}
    attempt.spec.start_from = StartingPoint(**told, path=str(tmp_path / "adapter"), state="weights")
    monkeypatch.setattr(validate, "local_start", lambda memory, folder, start: start)
    train_on(attempt, memory, "".join(f'{{"text": "{n}", "label": "{"bs"[n % 2]}"}}\n' for n in range(24)))
    with pytest.raises(TrainingError, match="only in the data: 'b', 's'; only in the adapter: 'bad', 'good'") as raised:
        validate_dataset.fn(attempt)
    assert raised.value.code == "adapter_does_not_fit" and not attempt.run.status()
