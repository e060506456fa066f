"""A program of a user's that calls every method of both clients; ``test_surface`` has mypy read it, and nothing runs it.

``assert_type`` says what comes back. A line that is to be refused says with which error; mypy reports it once it is no
longer refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

from afinador import Afinador, AsyncAfinador
from afinador.client import results
from afinador.client.asynchronous.nouns import AsyncListing
from afinador.client.nouns import Listing
from afinador.schemas.base import Deleted
from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport
from afinador.schemas.health import Health
from afinador.schemas.models import HubFile


def report(done_bytes: int, total_bytes: int) -> None:
    """Say how far an upload is."""


def data_sets(client: Afinador) -> None:
    """Put data up, look at them and have them prepared."""
    file = assert_type(client.files.create(Path("train.jsonl"), on_progress=report), results.File)
    client.files.create(b"{}", filename="train.jsonl", reading={"mapping": {"label": "category"}})
    client.files.create(b"{}", "fine-tuning", filename="train.jsonl")  # type: ignore[arg-type]
    client.files.list(purpose="finetune")  # type: ignore[arg-type]
    assert_type(client.files.list(purpose="fine-tune", order="asc"), Listing[results.File])
    client.files.list(order="newest")  # type: ignore[arg-type]
    assert_type(client.files.get(file), results.File)
    assert_type(client.files.wait(file, timeout_seconds=5), results.File)
    assert_type(client.files.content(file), bytes)
    assert_type(client.files.download(file, "."), Path)
    assert_type(client.files.delete("file-1"), Deleted)
    found = client.datasets.validate(file, base_model="tiny", task="causal_lm", max_length=64, extraction="schema")
    assert_type(found, DatasetReport)
    assert_type(client.datasets.preview(Path("train.jsonl"), "tiny", records=3), DatasetPreview)
    client.datasets.validate(file, task="translation")  # type: ignore[arg-type]
    steps = [{"type": "filter", "condition": "length > 10"}]
    prepared = assert_type(client.preparations.create(file, steps, output="good.jsonl"), results.Preparation)
    assert_type(client.preparations.list(), Listing[results.Preparation])
    assert_type(client.preparations.get(prepared), results.Preparation)
    assert_type(client.preparations.wait(prepared), results.Preparation)
    assert_type(client.preparations.cancel(prepared), results.Preparation)
    assert_type(client.prepare_dataset(file, steps), results.Preparation)


def jobs(client: Afinador) -> None:
    """Create a job, ask for it, stop it, and save its request."""
    job = client.jobs.create(base_model="tiny", dataset=Path("train.jsonl"), tuning_method="lora", pool="cpu")
    assert_type(job, results.Job)
    client.jobs.create(base_model="tiny", data_set="train.jsonl")  # type: ignore[call-arg]
    client.jobs.create(base_model="tiny", tuning_method="lorra")  # type: ignore[arg-type]
    assert_type(client.jobs.list(status="completed", metadata={"team": "a"}), Listing[results.Job])
    client.jobs.list(status="runing")  # type: ignore[arg-type]
    client.jobs.list(metadata="null")
    client.jobs.list(metadata="none")  # type: ignore[arg-type]
    assert_type(client.jobs.get(job), results.Job)
    assert_type(client.jobs.wait(job, timeout_seconds=5), results.Job)
    assert_type(client.jobs.cancel(job), results.Job)
    assert_type(client.jobs.pause(job), results.Job)
    assert_type(client.jobs.resume("my-job"), results.Job)
    assert_type(client.jobs.verify_resume(job, steps=4), results.Certificate)
    assert_type(client.jobs.reproduce(job), results.Certificate)
    assert_type(client.jobs.certificates(job), Listing[results.Certificate])
    spec = client.job_specs.create("nightly", {"base_model": "tiny", "dataset": "train"}, retrain_on_update=False)
    assert_type(spec, results.JobSpec)
    client.job_specs.create("nightly", {"base_model": "tiny", "name": "mine"})  # type: ignore[typeddict-unknown-key]
    client.job_specs.create("nightly", {"dataset": Path("train.jsonl")})  # type: ignore[typeddict-item]
    assert_type(client.job_specs.list(), Listing[results.JobSpec])
    assert_type(client.job_specs.get(spec), results.JobSpec)
    assert_type(client.job_specs.delete(spec), Deleted)


def records(client: Afinador, job: results.Job, following: bool) -> None:
    """Read what a job leaves behind."""
    assert_type(client.jobs.events(job), Listing[results.Event])
    assert_type(client.jobs.events(job, follow=False), Listing[results.Event])
    assert_type(client.jobs.events(job, follow=True, after="ftevent-1"), Iterator[results.Event])
    assert_type(client.jobs.events(job, follow=following), Listing[results.Event] | Iterator[results.Event])
    assert_type(client.jobs.checkpoints(job), Listing[results.Checkpoint])
    assert_type(client.jobs.checkpoint_files(job, 500), Listing[HubFile])
    assert_type(client.jobs.checkpoint_content(job, 500, "adapter_config.json"), bytes)
    assert_type(client.jobs.download_checkpoint(job, "ftckpt_1", "here"), Sequence[Path])
    assert_type(client.jobs.publish_checkpoint(job, 500, output_model="half"), results.HubEntry)
    assert_type(client.jobs.metrics(job), Sequence[dict[str, Any]])
    assert_type(client.jobs.resources(job), Sequence[dict[str, Any]])
    assert_type(client.jobs.logs(job), str)
    assert_type(client.jobs.log_lines(job), Iterator[str])
    assert_type(client.jobs.report(job), str)


def models(client: Afinador) -> None:
    """Register a base model, and fetch what was made of it."""
    model = assert_type(client.models.create("tiny", Path("tiny"), visibility="public"), results.Model)
    client.models.create("tiny", "hf://a/b", visibility="secret")  # type: ignore[arg-type]
    assert_type(client.models.wait(model), results.Model)
    assert_type(client.models.list(type="fine-tuned"), Listing[results.Model])
    client.models.list(type="tuned")  # type: ignore[arg-type]
    assert_type(client.models.get("tiny"), results.Model)
    assert_type(client.models.delete(model), Deleted)
    assert_type(client.hub.models(), Listing[results.HubEntry])
    assert_type(client.hub.adapters(), Listing[results.HubEntry])
    entry = assert_type(client.hub.get("orders"), results.HubEntry)
    assert_type(client.hub.files(entry, version=2), Listing[HubFile])
    assert_type(client.hub.content(entry, "README.md"), bytes)
    assert_type(client.hub.download(entry, "here"), list[Path])
    assert_type(client.hub.delete(entry), Deleted)


def operator(client: Afinador) -> None:
    """Make an organisation and a key."""
    organization = assert_type(client.organizations.create("acme"), results.Organization)
    assert_type(client.organizations.update(organization, concurrency_limit=None, priority=3), results.Organization)
    client.organizations.update(organization, limit=2)  # type: ignore[call-arg]
    client.organizations.update(organization, priority=None)  # type: ignore[arg-type]
    assert_type(client.organizations.list(), Listing[results.Organization])
    key = assert_type(client.api_keys.create(organization, "laptop"), results.ApiKey)
    assert_type(client.api_keys.list(organization), Listing[results.ApiKey])
    assert_type(client.api_keys.delete(key), Deleted)
    assert_type(client.health(), Health)
    client.close()


async def data_sets_asynchronously(client: AsyncAfinador) -> None:
    """Put data up, look at them and have them prepared."""
    file = assert_type(await client.files.create(Path("train.jsonl"), on_progress=report), results.File)
    assert_type(client.files.list(purpose="fine-tune", order="asc"), AsyncListing[results.File])
    client.files.list(order="newest")  # type: ignore[arg-type]
    assert_type(await client.files.get(file), results.File)
    assert_type(await client.files.wait(file, timeout_seconds=5), results.File)
    assert_type(await client.files.content(file), bytes)
    assert_type(await client.files.download(file, "."), Path)
    assert_type(await client.files.delete("file-1"), Deleted)
    assert_type(await client.datasets.validate(file, base_model="tiny", extraction="schema"), DatasetReport)
    assert_type(await client.datasets.preview(Path("train.jsonl"), "tiny", records=3), DatasetPreview)
    steps = [{"type": "deduplicate"}]
    prepared = assert_type(await client.preparations.create(file, steps), results.Preparation)
    assert_type(client.preparations.list(), AsyncListing[results.Preparation])
    assert_type(await client.preparations.get(prepared), results.Preparation)
    assert_type(await client.preparations.wait(prepared), results.Preparation)
    assert_type(await client.preparations.cancel(prepared), results.Preparation)
    assert_type(await client.prepare_dataset(file, steps), results.Preparation)


async def jobs_asynchronously(client: AsyncAfinador) -> None:
    """Create a job, ask for it, stop it, and save its request."""
    job = assert_type(await client.jobs.create(model="tiny", training_file="train"), results.Job)
    await client.jobs.create(base_model="tiny", tuning_method="lorra")  # type: ignore[arg-type]
    assert_type(client.jobs.list(status="running"), AsyncListing[results.Job])
    client.jobs.list(status="runing")  # type: ignore[arg-type]
    assert_type(await client.jobs.get(job), results.Job)
    assert_type(await client.jobs.wait(job, timeout_seconds=5), results.Job)
    assert_type(await client.jobs.cancel(job), results.Job)
    assert_type(await client.jobs.pause(job), results.Job)
    assert_type(await client.jobs.resume("my-job"), results.Job)
    assert_type(await client.jobs.verify_resume(job, steps=4), results.Certificate)
    assert_type(await client.jobs.reproduce(job), results.Certificate)
    assert_type(client.jobs.certificates(job), AsyncListing[results.Certificate])
    spec = await client.job_specs.create("nightly", {"base_model": "tiny", "dataset": "train"})
    assert_type(spec, results.JobSpec)
    await client.job_specs.create("nightly", {"name": "mine"})  # type: ignore[typeddict-unknown-key]
    assert_type(client.job_specs.list(), AsyncListing[results.JobSpec])
    assert_type(await client.job_specs.get(spec), results.JobSpec)
    assert_type(await client.job_specs.delete(spec), Deleted)


async def records_asynchronously(client: AsyncAfinador, job: results.Job, following: bool) -> None:
    """Read what a job leaves behind."""
    assert_type(client.jobs.events(job), AsyncListing[results.Event])
    assert_type(client.jobs.events(job, follow=False), AsyncListing[results.Event])
    assert_type(client.jobs.events(job, follow=True, after="ftevent-1"), AsyncIterator[results.Event])
    either = client.jobs.events(job, follow=following)
    assert_type(either, AsyncListing[results.Event] | AsyncIterator[results.Event])
    assert_type(client.jobs.checkpoints(job), AsyncListing[results.Checkpoint])
    assert_type(client.jobs.checkpoint_files(job, 500), AsyncListing[HubFile])
    assert_type(await client.jobs.checkpoint_content(job, 500, "adapter_config.json"), bytes)
    assert_type(await client.jobs.download_checkpoint(job, "ftckpt_1", "here"), Sequence[Path])
    assert_type(await client.jobs.publish_checkpoint(job, 500, output_model="half"), results.HubEntry)
    assert_type(await client.jobs.metrics(job), Sequence[dict[str, Any]])
    assert_type(await client.jobs.resources(job), Sequence[dict[str, Any]])
    assert_type(await client.jobs.logs(job), str)
    assert_type(client.jobs.log_lines(job), AsyncIterator[str])
    assert_type(await client.jobs.report(job), str)


async def models_asynchronously(client: AsyncAfinador) -> None:
    """Register a base model, and fetch what was made of it."""
    model = assert_type(await client.models.create("tiny", Path("tiny"), visibility="public"), results.Model)
    await client.models.create("tiny", "hf://a/b", visibility="secret")  # type: ignore[arg-type]
    assert_type(await client.models.wait(model), results.Model)
    assert_type(client.models.list(type="base"), AsyncListing[results.Model])
    client.models.list(type="tuned")  # type: ignore[arg-type]
    assert_type(await client.models.get("tiny"), results.Model)
    assert_type(await client.models.delete(model), Deleted)
    assert_type(client.hub.models(), AsyncListing[results.HubEntry])
    assert_type(client.hub.adapters(), AsyncListing[results.HubEntry])
    entry = assert_type(await client.hub.get("orders"), results.HubEntry)
    assert_type(client.hub.files(entry, version=2), AsyncListing[HubFile])
    assert_type(await client.hub.content(entry, "README.md"), bytes)
    assert_type(await client.hub.download(entry, "here"), list[Path])
    assert_type(await client.hub.delete(entry), Deleted)


async def operator_asynchronously(client: AsyncAfinador) -> None:
    """Make an organisation and a key."""
    organization = assert_type(await client.organizations.create("acme"), results.Organization)
    assert_type(await client.organizations.update(organization, concurrency_limit=None), results.Organization)
    await client.organizations.update(organization, limit=2)  # type: ignore[call-arg]
    assert_type(client.organizations.list(), AsyncListing[results.Organization])
    key = assert_type(await client.api_keys.create(organization, "laptop"), results.ApiKey)
    assert_type(client.api_keys.list(organization), AsyncListing[results.ApiKey])
    assert_type(await client.api_keys.delete(key), Deleted)
    assert_type(await client.health(), Health)
    await client.close()
