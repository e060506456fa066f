"""The official client, unmodified, against the service."""

from __future__ import annotations

import httpx
import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from registry import jobs
from registry.job_life import checkpoints


@pytest.fixture
def client(member) -> openai.OpenAI:
    return member.openai


@pytest.fixture
def training_file(client, member) -> str:
    created = client.files.create(
        file=("orders.jsonl", b'{"prompt": "a", "completion": "b"}\n' * 4), purpose="fine-tune"
    )
    return client.files.wait_for_processing(created.id, poll_interval=0.05).id


def test_files_from_upload_to_deletion(client, tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    created = client.files.create(file=path, purpose="fine-tune")
    assert (created.object, created.filename, created.status) == ("file", "talk.jsonl", "uploaded")
    done = client.files.wait_for_processing(created.id, poll_interval=0.05)
    assert (done.status, done.status_details, done.expires_at) == ("processed", None, None)
    assert client.files.content(created.id).read() == path.read_bytes()
    assert [file.id for file in client.files.list(purpose="fine-tune")] == [created.id]
    assert client.files.delete(created.id).deleted is True
    assert list(client.files.list()) == []


def test_job_from_creation_to_cancel(client, training_file, public_base_model):
    job = client.fine_tuning.jobs.create(
        model=public_base_model,
        training_file=training_file,
        suffix="orders",
        seed=42,
        metadata={"team": "sales"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}},
        extra_body={"tuning_method": "lora", "name": "from-openai"},
    )
    assert isinstance(job, FineTuningJob)
    assert (job.status, job.error, job.fine_tuned_model, job.seed) == ("queued", None, None, 42)
    assert job.hyperparameters.n_epochs == 2
    assert job.hyperparameters.batch_size == 32
    assert job.method.supervised.hyperparameters.n_epochs == 2
    assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
    assert client.fine_tuning.jobs.retrieve("from-openai").id == job.id
    listed = list(client.fine_tuning.jobs.list(metadata={"team": "sales"}))
    assert [row.id for row in listed] == [job.id]
    cancelled = client.fine_tuning.jobs.cancel(job.id)
    assert cancelled.status == "cancelled"
    messages = [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=2)]
    assert messages[0] == "The job was cancelled"
    assert messages[-1].startswith("Created fine-tuning job")


def test_job_is_paused_resumed_and_cancelled(client, training_file, public_base_model, member, running):
    job = client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file)
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    with running.memory.database.session() as session:
        jobs.claim(session, job.id, flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
    assert client.fine_tuning.jobs.resume(job.id).status == "running"
    assert client.fine_tuning.jobs.pause(job.id).status == "pausing"
    assert client.fine_tuning.jobs.resume(job.id).status == "pausing"
    assert client.fine_tuning.jobs.pause(job.id).status == "pausing"
    with running.memory.database.session() as session:
        assert jobs.stop(session, job.id, 1) == "paused"
    assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    messages = [event.message for event in client.fine_tuning.jobs.list_events(job.id)][::-1]
    told = [message.split(";")[0] for message in messages[1:] if not message.startswith("Waiting for Prefect")]
    assert told == [
        "The job was paused before it ran.",
        "The job was resumed and waits for its turn.",
        "Files validated, moving job to queued state",
        "The job has started",
        "Pause requested",
        "Resume requested",
        "Pause requested",
        "The job is paused and holds no device",
        "The job was cancelled",
    ]


def test_older_hyperparameters_are_understood(client, training_file, public_base_model):
    job = client.fine_tuning.jobs.create(
        model=public_base_model,
        training_file=training_file,
        hyperparameters={"n_epochs": 1, "batch_size": 8, "learning_rate_multiplier": 2},
    )
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (1, 8)
    assert job.hyperparameters.learning_rate_multiplier == pytest.approx(2)


def test_pages_are_walked_to_the_end(client, member, training_file, public_base_model, running):
    ids = [client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file).id for _ in range(5)]
    assert [job.id for job in client.fine_tuning.jobs.list(limit=2)] == ids[::-1]
    assert len(list(client.files.list(limit=1))) == 1
    with running.memory.database.session() as session:
        row = jobs.get(session, member.organization["id"], ids[0])
        for step in range(1, 6):
            checkpoints.register(session, row, step, f"c/{step}", {}, 1)
    steps = [row.step_number for row in client.fine_tuning.jobs.checkpoints.list(ids[0], limit=2)]
    assert steps == [5, 4, 3, 2, 1]
    assert len(list(client.fine_tuning.jobs.list_events(ids[0], limit=1))) >= 1


def test_files_are_deleted_while_they_are_listed(client):
    made = [client.files.create(file=(f"{n}.jsonl", b'{"text": "a"}'), purpose="fine-tune").id for n in range(5)]
    assert [client.files.delete(file.id).id for file in client.files.list(limit=2)] == made[::-1]
    assert list(client.files.list()) == []


def test_jobs_leave_a_filtered_list_while_it_is_walked(client, training_file, public_base_model):
    made = [client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file).id for _ in range(3)]
    queued = client.fine_tuning.jobs.list(limit=2, extra_query={"status": "queued"})
    assert [client.fine_tuning.jobs.cancel(job.id).id for job in queued] == made[::-1]


def test_job_starts_from_a_checkpoint_of_another_one(client, training_file, public_base_model, member, running):
    first = client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file, seed=5)
    key = f"{member.organization['id']}/jobs/{first.id}/checkpoints/step-000002"
    folder = running.memory.storage.local_path(key)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"files": {"training_state/state.json": {"bytes": 1, "sha256": "0"}}}')
    with running.memory.database.session() as session:
        checkpoints.register(session, jobs.get(session, member.organization["id"], first.id), 2, key, {}, 1)
    (found,) = client.fine_tuning.jobs.checkpoints.list(first.id)
    client.fine_tuning.jobs.cancel(first.id)
    whole = {"from_checkpoint": found.id, "from_checkpoint_state": "whole"}
    on = client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file, extra_body=whole)
    assert (on.seed, on.model_extra["spec"]["start_from"]["state"]) == (5, "whole")
    little = member.http.post("/v1/fine_tuning/jobs", json={"from_checkpoint": found.fine_tuned_model_checkpoint})
    assert little.json()["spec"]["start_from"]["checkpoint_id"] == found.id
    assert (little.json()["base_model"], little.json()["dataset"]) == (public_base_model, training_file)
    with pytest.raises(openai.BadRequestError) as caught:
        extra = whole | {"hyperparameters": {"epochs": 9}}
        client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file, extra_body=extra)
    assert (caught.value.code, caught.value.param) == ("checkpoint_does_not_fit", "hyperparameters.epochs")
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file, extra_body=whole | {
            "from_checkpoint": "ftckpt_none"
        })  # fmt: skip


def test_models_are_listed_and_retrieved(client, public_base_model):
    names = {model.name: model for model in client.models.list()}
    assert public_base_model in names
    model = client.models.retrieve(public_base_model)
    assert (model.object, model.id) == ("model", names[public_base_model].id)
    assert isinstance(model.created, int)


def test_errors_are_the_classes_that_scripts_catch(client, training_file, public_base_model, running):
    with pytest.raises(openai.NotFoundError) as missing:
        client.fine_tuning.jobs.retrieve("ftjob-none")
    assert (missing.value.code, missing.value.param) == ("job_not_found", "job")
    assert missing.value.request_id.startswith("req_")
    with pytest.raises(openai.NotFoundError) as model:
        client.fine_tuning.jobs.create(model="tiny-lama", training_file=training_file)
    assert (model.value.code, model.value.param) == ("model_not_found", "model")
    assert "tiny-llama" in model.value.message
    with pytest.raises(openai.BadRequestError) as bad:
        client.fine_tuning.jobs.create(
            model=public_base_model, training_file=training_file, hyperparameters={"n_epochs": 50}
        )
    assert bad.value.param == "hyperparameters.n_epochs" and "n_epochs is 50" in bad.value.message
    ended = client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file)
    client.fine_tuning.jobs.cancel(ended.id)
    with pytest.raises(openai.BadRequestError, match="was cancelled, so it cannot be paused"):
        client.fine_tuning.jobs.pause(ended.id)
    stranger = openai.OpenAI(base_url=f"{running.url}/v1", api_key="af-stranger", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.code == "invalid_api_key"


def test_illegal_transition_is_not_retried(client, training_file, public_base_model, member):
    job = client.fine_tuning.jobs.create(model=public_base_model, training_file=training_file)
    client.fine_tuning.jobs.cancel(job.id)
    answer = member.http.delete(f"/v1/fine_tuning/jobs/{job.id}")
    assert answer.status_code == 400
    assert answer.status_code not in (408, 409, 429)


def test_answers_carry_their_request_id(client):
    raw = client.models.with_raw_response.list()
    assert raw.headers["x-request-id"] == raw.request_id


async def _list_models(url: str, key: str) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as client:
        return [model.name async for model in client.models.list()]


def test_asynchronous_client_works_too(running, member, public_base_model):
    import asyncio

    assert public_base_model in asyncio.run(_list_models(running.url, member.key))


def test_root_works_as_base_url(running, member, public_base_model):
    client = openai.OpenAI(base_url=running.url, api_key=member.key, max_retries=0)
    assert client.models.retrieve(public_base_model).name == public_base_model
    assert httpx.get(f"{running.url}/health").status_code == 200


def test_how_a_file_is_to_be_read_is_declared_in_extra_body(client, member):
    content = "Año nuevo;fiesta\n".encode("latin-1") * 10 + "Otro día;trabajo\n".encode("latin-1") * 10
    declared = {
        "encoding": "latin-1", "format": "csv", "columns": ["frase", "clase"],
        "mapping": {"text": "Frase: {frase}", "label": "clase"},
    }  # fmt: skip
    file = client.files.create(file=("data.dat", content), purpose="fine-tune", extra_body=declared)
    assert file.reading == declared
    settled = member.wait(f"/v1/files/{file.id}", lambda file: file["status"] != "uploaded")
    assert (settled["status"], settled["records"]) == ("processed", 20)
    for wrong, says in (
        ({"encoding": "ebcdic"}, "encoding is 'ebcdic'; it must be 'utf-8', 'utf-16'"),
        ({"mapping": "{"}, "mapping is no JSON"),
        ({"mapping": {"text": "a"}, "columns": ["a", "a"]}, "'a' stands there twice"),
        ({"delimiter": "::"}, "it must be one character"),
        ({"delimiter": ";", "format": "json"}, "delimiter is for CSV, and format is json"),
        ({"loader": "os:system"}, "none is allowed (loaders in AFINADOR_CONFIG)"),
        ({"encodng": "utf-8"}, "Did you mean 'encoding'"),
        ({"source": "hf://a/b"}, "either a file, or the source"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.files.create(file=("data.csv", content), purpose="fine-tune", extra_body=wrong)
        assert says in refused.value.message, refused.value.message
