"""Files and data sets go up to a real service, alone or with a job, and come back the same."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from afinador.errors import AfinadorError, InvalidRequestError, NameTakenError, NotFoundError, OutOfRangeError
from afinador.schemas.datasets import DatasetReading


def test_a_file_goes_up_and_comes_back_the_same(client: Any, dataset: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = client.files.create(dataset, on_progress=lambda done, total: seen.append((done, total)))
    assert file.sha256 == hashlib.sha256(dataset.read_bytes()).hexdigest()
    assert seen[-1] == (dataset.stat().st_size, dataset.stat().st_size)
    assert client.files.content(file.id) == dataset.read_bytes()
    assert client.files.content(file) == dataset.read_bytes()
    checked = client.files.wait(file)
    assert (checked.status, checked.records) == ("processed", 12)
    assert [listed.id for listed in client.files.list()] == [file.id]
    assert client.files.delete(file.id).deleted
    assert list(client.files.list()) == []


def test_bytes_go_up_under_a_name_and_come_down_as_a_file(client: Any, tmp_path: Path) -> None:
    content = b'{"text": "a", "label": "b"}\n' * 5000
    with pytest.raises(InvalidRequestError, match="filename"):
        client.files.create(content)
    seen: list[tuple[int, int]] = []
    file = client.files.create(content, filename="made.jsonl", on_progress=lambda *done: seen.append(done))
    assert (file.filename, seen[-1]) == ("made.jsonl", (len(content), len(content)))
    seen.clear()
    path = client.files.download(file.id, tmp_path, lambda *done: seen.append(done))
    assert (path.name, path.read_bytes()) == ("made.jsonl", content)
    assert seen[-1] == (len(content), len(content))


def test_data_sets_are_looked_at_without_being_kept(client: Any, dataset: Path) -> None:
    report = client.datasets.validate(dataset)
    assert (report.valid, report.records, report.tokens) == (True, 12, None)
    assert list(client.files.list()) == []
    file = client.files.create(b'{"prompt": 5}', filename="bad.jsonl")
    refused = client.datasets.validate(file, validation_dataset=dataset)
    assert not refused.valid and refused.errors[0].line == 1 and refused.validation.valid
    with pytest.raises(NotFoundError, match="tyni"):
        client.datasets.preview(dataset, "tyni")
    assert [kept.id for kept in client.files.list()] == [file.id]


def test_a_folder_is_sent_as_an_archive_of_the_same_bytes_each_time(client: Any, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("hidden")
    (folder / "a.jsonl").write_bytes(dataset.read_bytes())
    made = [client.files.create(folder) for _ in range(2)]
    assert [file.filename for file in made] == ["letters.tar"] * 2 and made[0].sha256 == made[1].sha256
    checked = client.files.wait(made[0])
    assert checked.status == "processed" and checked.records == len(dataset.read_text().splitlines())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequestError, match="holds no files"):
        client.files.create(tmp_path / "empty")


def test_a_path_as_dataset_is_uploaded_first(client: Any, dataset: Path) -> None:
    job = client.jobs.create(base_model="tiny", dataset=dataset, hyperparameters={"epochs": 2}, name="mine")
    (file,) = client.files.list()
    assert job.dataset == file.id
    assert job.hyperparameters["epochs"] in (2, {"n_epochs": 2})
    assert client.jobs.get("mine").id == job.id
    assert [listed.id for listed in client.jobs.list()] == [job.id]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"hyperparameters": {"epochs": 50}}, OutOfRangeError),
        ({"base_model": "tyni"}, NotFoundError),
        ({"task": "seq2seq_lm"}, OutOfRangeError),
        ({"task": "sequence_classification", "tuning_method": "qlora"}, InvalidRequestError),
        ({"task": "sequence_classification", "hyperparameters": {"packing": True}}, InvalidRequestError),
        ({"validation_dataset": "none.jsonl"}, NotFoundError),
    ],
)
def test_a_refused_job_uploads_nothing(
    fields: dict[str, Any], error: type[AfinadorError], client: Any, dataset: Path
) -> None:
    with pytest.raises(error):
        client.jobs.create(**{"base_model": "tiny", "dataset": dataset} | fields)
    assert list(client.files.list()) == []


def test_what_was_uploaded_for_a_job_that_is_refused_then_is_deleted_again(client: Any, dataset: Path) -> None:
    client.jobs.create(base_model="tiny", dataset=dataset, name="taken")
    other = dataset.with_name("other.jsonl")
    other.write_text(dataset.read_text() + dataset.read_text())
    with pytest.raises(NameTakenError):  # which is found when the job is written down, and not before
        client.jobs.create(base_model="tiny", dataset=other, validation_dataset=dataset, name="taken")
    assert [file.filename for file in client.files.list()] == [dataset.name]


def test_what_was_uploaded_is_deleted_again_when_the_next_upload_is_interrupted(
    client: Any, dataset: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_same = import_module(f"{package}.uploads").find_same

    def interrupted(connection: Any, path: Path) -> Any:
        if path.name == "second.jsonl":
            raise KeyboardInterrupt
        return find_same(connection, path)

    monkeypatch.setattr(f"{package}.uploads.find_same", interrupted)
    second = dataset.with_name("second.jsonl")
    second.write_text(dataset.read_text())
    with pytest.raises(KeyboardInterrupt):
        client.jobs.create(base_model="tiny", dataset=dataset, validation_dataset=second)
    assert list(client.files.list()) == []


def test_the_same_bytes_go_up_once(client: Any, dataset: Path) -> None:
    first, second = (client.jobs.create(base_model="tiny", dataset=dataset) for _ in range(2))
    assert first.dataset == second.dataset and len(list(client.files.list())) == 1


def test_a_reading_is_refused_where_it_would_say_nothing(client: Any, dataset: Path) -> None:
    """It is declared of local data, or those of the Hub; of an uploaded file it was."""
    file, reading = client.files.create(dataset), DatasetReading(delimiter=";")
    for ask in (
        lambda: client.preparations.create(file, [{"type": "deduplicate"}], reading=reading),
        lambda: client.datasets.preview(file.id, "tiny", reading=reading),
        lambda: client.datasets.validate(file, validation_dataset=file.id, reading=reading),
    ):
        with pytest.raises(
            InvalidRequestError, match=r"was declared at its upload\. Leave it out, or upload"
        ) as refused:
            ask()
        assert refused.value.param == "reading"
    report = client.datasets.validate(file, validation_dataset=dataset, reading=DatasetReading(shape="text_label"))
    assert report.valid or report.validation
