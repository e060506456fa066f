"""Files: versions, look-up, checks and deletion."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from sqlalchemy import inspect

from afinador.errors import InUseError, InvalidRequestError, NotFoundError, OutOfRangeError
from afinador.schemas.datasets import DatasetReading
from registry import jobs
from registry.data_sets import file_checks, files
from registry.ledger.tables import File, Organization
from registry.memory import Memory

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

BAD_ROWS = [*[{"prompt": "question", "completion": "answer"}] * 12, {"prompt": "lonely"}]


def read(memory: Memory, file_id: str) -> File:
    with memory.database.reading() as session:
        return session.get_one(File, file_id)


def test_upload_moves_the_bytes_into_the_organizations_own_folder(
    workshop: Workshop, acme: Organization, tmp_path: Path
) -> None:
    file = workshop.upload(acme, "train.jsonl", checked=False)
    assert file.storage_key == f"{acme.id}/files/{file.id}/train.jsonl"
    stored = b"".join(workshop.memory.storage.chunks(file.storage_key))
    assert len(stored) == file.bytes and stored.startswith(b'{"prompt"')
    assert list(tmp_path.glob("upload-*")) == []


def test_only_a_loader_that_the_operator_allows_reads_an_upload(
    workshop: Workshop, acme: Organization, tmp_path: Path
) -> None:
    def upload() -> File:
        source = tmp_path / "rows.bin"
        source.write_bytes(b"abc")
        reading = DatasetReading(loader="acme_loader:read")
        with workshop.memory.database.session() as session:
            return files.create(
                session, workshop.memory, acme.id, source, source.name, "fine-tune", "0" * 64, 3, reading
            )

    with pytest.raises(InvalidRequestError, match=r"none is allowed \(loaders in AFINADOR_CONFIG\)"):
        upload()
    workshop.memory.operator["loaders"] = ["acme_loader"]
    assert upload().reading == {"loader": "acme_loader:read"}


def test_a_page_of_files_goes_on_behind_the_last_and_tells_no_reports(workshop: Workshop, acme: Organization) -> None:
    made = [workshop.upload(acme, f"{name}.jsonl").id for name in "abc"]
    with workshop.memory.database.reading() as session:
        first, more = files.list_page(session, acme.id, limit=2)
        assert ([file.id for file in first], more) == (made[:0:-1], True)
        assert all("report" in inspect(file).unloaded for file in first), "they are most of what a row holds"
        rest, more = files.list_page(session, acme.id, limit=2, after=first[-1].id)
        assert ([file.id for file in rest], more) == (made[:1], False)


def test_same_name_makes_the_next_version(workshop: Workshop, acme: Organization, globex: Organization) -> None:
    versions = [workshop.upload(acme, "a.jsonl", checked=False).version for _ in range(3)]
    assert versions == [1, 2, 3]
    assert workshop.upload(globex, "a.jsonl", checked=False).version == 1


def test_version_numbers_stay_unique_under_concurrent_uploads(workshop: Workshop, acme: Organization) -> None:
    made: list[int] = []

    def upload_some() -> None:
        made.extend(workshop.upload(acme, "a.jsonl", checked=False).version for _ in range(5))

    threads = [threading.Thread(target=upload_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(1, 21))


@pytest.mark.parametrize("name", ["", "..", "/", "x" * 256, "new\nline.csv"])
def test_impossible_file_name_is_refused_and_nothing_is_stored(
    workshop: Workshop, acme: Organization, name: str
) -> None:
    with pytest.raises(InvalidRequestError, match="file name"):
        workshop.upload(acme, name)
    assert workshop.memory.storage.list(acme.id) == []


@pytest.mark.parametrize("name", ["/etc/train.csv", "../../train.csv", r"C:\data\train.csv"])
def test_folders_in_a_file_name_are_dropped(workshop: Workshop, acme: Organization, name: str) -> None:
    assert workshop.upload(acme, name, checked=False).filename == "train.csv"


def test_file_is_found_by_id_name_and_name_without_extension(workshop: Workshop, acme: Organization) -> None:
    first = workshop.upload(acme, "qa_data.jsonl")
    second = workshop.upload(acme, "qa_data.jsonl")
    workshop.upload(acme, "qaXdata.jsonl")
    workshop.upload(acme, "qa_data.old.jsonl")
    with workshop.memory.database.session() as session:
        assert files.find(session, acme.id, first.id).id == first.id
        assert files.find(session, acme.id, "qa_data.jsonl").id == second.id
        assert files.find(session, acme.id, "qa_data").id == second.id
        files.delete(session, workshop.memory, acme.id, second.id)
        assert files.find(session, acme.id, "qa_data").id == first.id
        with pytest.raises(NotFoundError, match=r"Did you mean .*'qa_data.jsonl'") as caught:
            files.find(session, acme.id, "qadata.jsonl")
        assert caught.value.code == "file_not_found"


def test_check_keeps_the_verdict(workshop: Workshop, acme: Organization) -> None:
    good = workshop.upload(acme, "good.jsonl")
    assert (good.status, good.format, good.records, good.status_details) == ("processed", "jsonl", 12, None)
    bad = workshop.upload(acme, "bad.jsonl", BAD_ROWS)
    assert bad.status == "error"
    assert bad.status_details is not None and "13" in bad.status_details
    assert bad.report is not None
    wire = files.to_wire(bad)
    assert (wire.status, wire.path, wire.type, wire.organization_id) == ("error", bad.storage_key, "dataset", acme.id)


def test_equal_bytes_are_read_once_in_an_organization(
    workshop: Workshop, acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_names: list[str] = []
    really_validate = file_checks.validate_dataset

    def counting(path: Path, name: str, reading: DatasetReading | None = None) -> object:
        read_names.append(name)
        return really_validate(path, name, reading)

    monkeypatch.setattr(file_checks, "validate_dataset", counting)
    workshop.upload(acme, "first.jsonl", BAD_ROWS)
    again = workshop.upload(acme, "second.jsonl", BAD_ROWS)
    assert read_names == ["first.jsonl"]
    assert again.status == "error" and again.status_details
    workshop.upload(globex, "theirs.jsonl", BAD_ROWS)
    workshop.upload(acme, "other-extension.txt", BAD_ROWS)
    assert read_names == ["first.jsonl", "theirs.jsonl", "other-extension.txt"]


def test_check_of_bytes_that_are_gone_says_so(workshop: Workshop, acme: Organization) -> None:
    file = workshop.upload(acme, checked=False)
    workshop.memory.storage.delete(file.storage_key)
    files.check(workshop.memory, file.id)
    found = read(workshop.memory, file.id)
    assert found.status == "error" and "upload it again" in (found.status_details or "")


def test_a_check_that_breaks_is_a_verdict_too(
    workshop: Workshop, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workshop.upload(acme)
    monkeypatch.setattr(file_checks, "validate_dataset", lambda *_: 1 / 0)
    verdict = file_checks._fresh_verdict(workshop.memory, file)
    assert verdict["status"] == "error" and "could not check" in verdict["status_details"]
    assert "ZeroDivisionError" in verdict["status_details"]


def test_unchecked_files_are_those_left_by_a_restart(workshop: Workshop, acme: Organization) -> None:
    waiting = workshop.upload(acme, "a.jsonl", checked=False)
    workshop.upload(acme, "b.jsonl")
    result = workshop.upload(acme, "c.csv", checked=False, purpose="fine-tune-results")
    deleted = workshop.upload(acme, "d.jsonl", checked=False)
    with workshop.memory.database.session() as session:
        files.delete(session, workshop.memory, acme.id, deleted.id)
        assert files.unchecked(session) == [waiting.id]
    assert (result.type, result.status) == ("log", "processed")


def test_deleted_file_is_gone_with_its_bytes_but_keeps_its_version_number(
    workshop: Workshop, acme: Organization
) -> None:
    file = workshop.upload(acme)
    with workshop.memory.database.session() as session:
        files.delete(session, workshop.memory, acme.id, file.id)
        assert workshop.memory.storage.exists(file.storage_key), "bytes must stay until the deletion is certain"
    assert not workshop.memory.storage.exists(file.storage_key)
    with workshop.memory.database.reading() as session:
        assert files.list_page(session, acme.id) == ([], False)
        with pytest.raises(NotFoundError):
            files.find(session, acme.id, file.id)
    assert workshop.upload(acme).version == 2


def test_file_of_an_open_job_cannot_be_deleted(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, name="needs-it")
    with ready.memory.database.session() as session, pytest.raises(InUseError, match="needs-it"):
        files.delete(session, ready.memory, acme.id, job.training_file_id)
    with ready.memory.database.session() as session:
        jobs.request_cancel(session, acme.id, job.id)
        files.delete(session, ready.memory, acme.id, job.training_file_id)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_pages_go_on_behind_files_that_are_deleted_meanwhile(
    workshop: Workshop, acme: Organization, globex: Organization, order: Literal["asc", "desc"]
) -> None:
    made = [workshop.upload(acme, f"{number}.jsonl", checked=False).id for number in range(5)]
    theirs = workshop.upload(globex, "theirs.jsonl", checked=False).id
    seen: list[str] = []
    after, has_more = None, True
    with workshop.memory.database.session() as session:
        while has_more:
            rows, has_more = files.list_page(session, acme.id, after=after, limit=2, order=order, purpose="fine-tune")
            seen += [row.id for row in rows]
            after = seen[-1]
            for row in rows:
                files.delete(session, workshop.memory, acme.id, row.id)
        assert seen == (made if order == "asc" else made[::-1])
        assert files.list_page(session, acme.id, after=made[0]) == ([], False)
        with pytest.raises(InvalidRequestError, match=theirs):
            files.list_page(session, acme.id, after=theirs)


def test_pages_go_on_behind_after_and_cover_everything(workshop: Workshop, acme: Organization) -> None:
    made = [workshop.upload(acme, f"{number}.jsonl", checked=False).id for number in range(5)]
    workshop.upload(acme, "result.csv", checked=False, purpose="fine-tune-results")
    with workshop.memory.database.reading() as session:
        seen: list[str] = []
        after, has_more = None, True
        while has_more:
            rows, has_more = files.list_page(session, acme.id, after=after, limit=2, purpose="fine-tune")
            seen += [row.id for row in rows]
            after = seen[-1]
        assert seen == made[::-1]
        oldest_first, _ = files.list_page(session, acme.id, purpose="fine-tune", order="asc")
        assert [row.id for row in oldest_first] == made
        with pytest.raises(InvalidRequestError, match="file-nobody"):
            files.list_page(session, acme.id, after="file-nobody")
        for limit in (0, 10_001):
            with pytest.raises(OutOfRangeError, match="1 to 10000"):
                files.list_page(session, acme.id, limit=limit)
