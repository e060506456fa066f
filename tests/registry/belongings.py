"""Everything that an organisation can have, and every look at it that a function of the registry gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from afinador.config.resolve import parse_request
from afinador.errors import NotFoundError
from afinador.schemas.job_specs import JobSpecRequest
from afinador.schemas.jobs import JobRequest
from afinador.schemas.preparations import PrepareRequest
from registry import certificates, jobs, organisations
from registry.creation import data_at_hand, job_bases, job_creation, job_starts, preparations
from registry.data_sets import dataset_updates, file_references, files, hub_datasets
from registry.job_life import checkpoints, events, job_logs
from registry.ledger.tables import BaseModel, File, HubVersion, Job, Organization
from registry.models import base_models
from registry.prefect_runs import submissions
from registry.publishing import hub, hub_publishing
from registry.specs import job_specs, spec_jobs

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

Look = Callable[[Session, str], Any]


def published(job: Job) -> HubVersion:
    """Build the row of what a job has published."""
    output = job.spec["output"]
    return HubVersion(
        organization_id=job.organization_id,
        name=output["name"],
        version=1,
        kind=output["kind"],
        alias=output["alias"],
        base_model_id=job.base_model_id,
        base_model=job.base_model,
        job_id=job.id,
        training_file_id=job.training_file_id,
        tuning_method=job.tuning_method,
        task=job.task,
        parameters={},
        metrics={},
        files={"README.md": {"bytes": 1, "sha256": "0" * 64}},
        storage_prefix="prefix",
    )


def is_given_an_organization(function: Callable[..., Any]) -> bool:
    """Tell whether a function gets an organisation's id or row; MLflow's workspaces go by names, and are tested there."""
    parameters = inspect.signature(function).parameters
    return "organization_id" in parameters or any(each.annotation == "Organization" for each in parameters.values())


def refused_if_none(found: object) -> None:
    """Raise as other functions do, where one answers with None."""
    if found is None:
        raise NotFoundError("There is none.")


def entered(context: AbstractContextManager[object]) -> None:
    """Go into a context, and out of it again."""
    with context:
        pass


def add_own_things(session: Session, organization_id: str) -> None:
    """Add a base model ``own`` and a checked file ``99.csv``."""
    of = {"organization_id": organization_id, "sha256": "0" * 64}
    session.add(
        BaseModel(
            **of, name="own", source="/m", path="/m", status="ready", architecture="LlamaForCausalLM", parameters=1
        )
    )
    named = {"filename": "99.csv", "version": 1, "purpose": "fine-tune", "storage_key": "own", "bytes": 1}
    session.add(File(**of, **named, status="processed", format="csv"))
    session.flush()


class Belongings:
    """One thing of each kind, all of one organisation."""

    def __init__(self, workshop: Workshop, owner: Organization) -> None:
        self.memory = memory = workshop.memory
        self.base = base = workshop.base_model(owner, "secret-base")
        self.file = file = workshop.upload(owner, "secret.jsonl")
        deleted = workshop.upload(owner, "deleted.jsonl")
        with memory.database.session() as session:
            files.delete(session, memory, owner.id, deleted.id)
            files.create_from_hub(session, memory, owner.id, "hf://acme/secret")
        self.job = job = workshop.running_job(owner, model="secret-base", training_file="secret.jsonl", name="secret")
        with memory.database.session() as session:
            request = {"model": "secret-base", "training_file": "secret.jsonl"}
            wanted = JobSpecRequest(name="secret-spec", request=request)
            self.spec = spec = job_specs.create(session, memory, owner, wanted)
            self.key, _ = organisations.create_key(session, owner.id, "laptop")
            metric = events.append(session, job.id, "Step 1", type="metrics", data={"step": 1})
            events.append(session, job.id, "It is loaded.", dedup_key="run:1")
            self.checkpoint = checkpoint = checkpoints.register(session, job, 1, "key", {}, 1)
            certificate = certificates.verify_resume(session, owner.id, job.id, 20)
            preparation = preparations.create(session, memory, owner.id, PrepareRequest(file=file.id, steps=[]))
            version = published(job)
            session.add(version)
            session.get_one(Job, job.id).submission_run_id = "run-of-secret"
        assert metric is not None
        log = job_logs.path_of(memory, job.id)
        log.parent.mkdir(parents=True)
        log.write_text("secret")
        job_logs.keep(memory, owner.id, job.id)
        requests: list[dict[str, Any]] = [
            {"model": base.name, "training_file": "99.csv"},
            {"model": base.id, "training_file": "99.csv"},
            {"model": version.name, "training_file": "99.csv"},
            {"model": version.id, "training_file": "99.csv"},
            *({"model": "own", "training_file": name} for name in (file.filename, file.id, "secret", deleted.id)),
            {"model": "own", "training_file": "99.csv", "validation_file": file.id},
            {"model": "own", "training_file": "99.csv", "from_checkpoint": checkpoint.name},
        ]

        def asking(session: Session, organization_id: str, request: dict[str, Any]) -> tuple[Organization, JobRequest]:
            """Give whoever asks a base model and a file of his own, so that only the other's are missing."""
            add_own_things(session, organization_id)
            return session.get_one(Organization, organization_id), parse_request(request)

        def restored(organization_id: str) -> bool:
            log.unlink(missing_ok=True)
            job_logs.restore(memory, organization_id, job.id)
            return log.is_file()

        unreached: Any = SimpleNamespace(connect=lambda: None)
        key = self.key
        self.refused: dict[str, list[Look]] = {
            "base_models.find": [
                lambda s, o: base_models.find(s, memory, o, base.id),
                lambda s, o: base_models.find(s, memory, o, base.name),
            ],
            "data_at_hand.at_hand": [
                lambda _, o: entered(data_at_hand.at_hand(memory, o, file.id, "file")),
                lambda _, o: entered(data_at_hand.at_hand(memory, o, file.filename, "file")),
            ],
            "data_at_hand.tokenizer_of": [
                lambda _, o: entered(data_at_hand.tokenizer_of(memory, o, base.id)),
                lambda _, o: entered(data_at_hand.tokenizer_of(memory, o, base.name)),
            ],
            "job_bases.find": [lambda s, o: job_bases.find(s, memory, o, base.name)],
            "base_models.delete": [lambda s, o: base_models.delete(s, memory, o, base.name)],
            "file_references.find_data_set": [
                lambda s, o: files.find_data_set(s, o, file.id),
                lambda s, o: files.find_data_set(s, o, file.filename),
                lambda s, o: files.find_data_set(s, o, "secret"),
            ],
            "file_references.find": [
                lambda s, o: files.find(s, o, file.id),
                lambda s, o: files.find(s, o, file.filename),
                lambda s, o: files.find(s, o, "secret"),
            ],
            "file_references.find_deleted": [lambda s, o: refused_if_none(files.find_deleted(s, o, deleted.filename))],
            "hub_datasets.find_fetched": [
                lambda s, o: refused_if_none(hub_datasets.find_fetched(s, o, "hf://acme/secret"))
            ],
            "submissions.job_of": [lambda s, o: refused_if_none(submissions.job_of(s, o, "run-of-secret"))],
            "job_specs.get": [lambda s, o: job_specs.get(s, o, spec.id), lambda s, o: job_specs.get(s, o, spec.name)],
            "job_specs.delete": [lambda s, o: job_specs.delete(s, o, spec.name)],
            "files.delete": [lambda s, o: files.delete(s, memory, o, file.id)],
            "checkpoints.find": [
                lambda s, o: checkpoints.find(s, o, job.id, checkpoint.id),
                lambda s, o: checkpoints.find(s, o, job.id, "1"),
            ],
            "checkpoints.find_named": [
                lambda s, o: checkpoints.find_named(s, o, checkpoint.id, param="from_checkpoint"),
                lambda s, o: checkpoints.find_named(s, o, checkpoint.name, param="from_checkpoint"),
            ],
            "checkpoint_publishing.publish_checkpoint": [
                lambda _, o: hub.publish_checkpoint(memory, unreached, o, job.id, checkpoint.id)
            ],
            "job_starts.find": [
                lambda s, o: job_starts.find(s, memory, o, parse_request({"from_checkpoint": checkpoint.id}))
            ],
            "hub.get": [
                lambda s, o: hub.get(s, o, version.name),
                lambda s, o: hub.get(s, o, version.alias),
                lambda s, o: hub.get(s, o, version.id),
            ],
            "hub.files_of": [lambda s, o: hub.files_of(s, o, version.name)],
            "hub.file_key": [lambda s, o: hub.file_key(s, o, version.name, "README.md")],
            "hub.delete": [
                lambda s, o: hub.delete(s, memory, unreached, o, version.name),
                lambda s, o: hub.delete(s, memory, unreached, o, version.id),
            ],
            "job_creation.resolve": [
                lambda s, o, r=r: job_creation.resolve(s, memory, *asking(s, o, r)) for r in requests
            ],
            "job_creation.create": [
                lambda s, o, r=r: job_creation.create(s, memory, *asking(s, o, r)) for r in requests
            ],
            "job_specs.create": [
                lambda s, o, r=r: job_specs.create(
                    s, memory, asking(s, o, r)[0], JobSpecRequest(name="stolen", request=r)
                )
                for r in requests
            ],
            "spec_jobs.create": [
                lambda s, o, name=name: spec_jobs.create(s, memory, s.get_one(Organization, o), {"job_spec": name})
                for name in (spec.id, spec.name)
            ],
            "spec_jobs.start": [
                lambda s, o: spec_jobs.start(s, memory, s.get_one(Organization, o), spec, "Made by a test")
            ],
            "job_queries.get": [lambda s, o: jobs.get(s, o, job.id), lambda s, o: jobs.get(s, o, job.name)],
            "job_requests.request_cancel": [lambda s, o: jobs.request_cancel(s, o, job.id)],
            "job_requests.request_pause": [lambda s, o: jobs.request_pause(s, o, job.id)],
            "job_requests.request_resume": [lambda s, o: jobs.request_resume(s, o, job.id)],
            "organisations.revoke_key": [lambda s, o: organisations.revoke_key(s, o, key.id)],
            "preparations.create": [
                lambda s, o: preparations.create(s, memory, o, PrepareRequest(file=file.filename, steps=[])),
                lambda s, o: preparations.create(s, memory, o, PrepareRequest(file=file.id, steps=[])),
            ],
            "spec_jobs.retrain": [
                lambda s, o: spec_jobs.retrain(s, memory, s.get_one(Organization, o), "secret.jsonl", 1)
            ],
            "preparations.find": [lambda s, o: preparations.find(s, o, preparation.id)],
            "preparations.cancel": [lambda s, o: preparations.cancel(s, o, preparation.id)],
            "preparations.list_page": [lambda s, o: preparations.list_page(s, o, after=preparation.id)],
            # A row of somebody else is no place from which to go on, either.
            "files.list_page": [lambda s, o: files.list_page(s, o, after=file.id)],
            "job_specs.list_page": [lambda s, o: job_specs.list_page(s, o, after=spec.id)],
            "job_queries.list_page": [lambda s, o: jobs.list_page(s, o, after=job.id)],
            "events.list_page": [lambda s, o: events.list_page(s, o, job.id, after=metric.id)],
            "hub.list_page": [lambda s, o: hub.list_page(s, o, "adapter", after=version.alias)],
            "checkpoints.list_page": [lambda s, o: checkpoints.list_page(s, o, job.id, after=checkpoint.id)],
            "certificates.list_page": [lambda s, o: certificates.list_page(s, o, job.id, after=certificate.id)],
            "certificates.verify_resume": [lambda s, o: certificates.verify_resume(s, o, job.name, 20)],
            "certificates.reproduce": [lambda s, o: certificates.reproduce(s, o, job.id)],
        }
        self.listed: dict[str, list[Look]] = {
            "base_models.list_all": [base_models.list_all],
            "files.list_page": [lambda s, o: files.list_page(s, o)[0]],
            "file_references.live": [lambda s, o: s.scalars(file_references.live(o)).all()],
            "file_references.find_deleted": [lambda s, o: files.find_deleted(s, o, deleted.filename)],
            "dataset_updates.specs_naming": [lambda s, o: dataset_updates.specs_naming(s, o, "secret.jsonl")],
            "hub.list_page": [lambda s, o: hub.list_page(s, o, "adapter")[0]],
            "hub.newest_versions": [hub.newest_versions],
            "hub.find": [
                lambda s, o, name=name: hub.find(s, o, name) for name in (version.name, version.alias, version.id)
            ],
            "hub_publishing.version_of": [lambda s, o: hub_publishing.version_of(memory, o, version.alias)],
            "job_logs.restore": [lambda _, o: restored(o)],
            "job_bases.find_result": [
                lambda s, o: job_bases.find_result(s, memory, o, version.name),
                lambda s, o: job_bases.find_result(s, memory, o, version.id),
            ],
            "job_logs.kept": [lambda s, o: job_logs.kept(memory, o, job.id)],
            "job_specs.list_page": [lambda s, o: job_specs.list_page(s, o)[0]],
            "submissions.job_of": [lambda s, o: submissions.job_of(s, o, "run-of-secret")],
            "job_queries.list_page": [
                lambda s, o: jobs.list_page(s, o)[0],
                lambda s, o: jobs.list_page(s, o, status="running", metadata="null")[0],
            ],
            "events.list_page": [lambda s, o: events.list_page(s, o, job.id)[0]],
            "events.journalled": [lambda s, o: events.journalled(s, o, job.id)],
            "events.metrics": [lambda s, o: events.metrics(s, o, job.id)],
            "checkpoints.list_page": [lambda s, o: checkpoints.list_page(s, o, job.id)[0]],
            "certificates.list_page": [lambda s, o: certificates.list_page(s, o, job.id)[0]],
            "preparations.list_page": [lambda s, o: preparations.list_page(s, o)[0]],
            "organisations.list_keys": [organisations.list_keys],
        }
