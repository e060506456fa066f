"""What is sent where: one function for each call of the API, and nothing that sends.

A synchronous and an asynchronous client share these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack
from urllib.parse import quote

from afinador.client.call import Call as Call
from afinador.client.call import HasId as HasId
from afinador.client.call import Named as Named
from afinador.client.call import id_of as id_of
from afinador.client.dataset_calls import preview_dataset as preview_dataset
from afinador.client.dataset_calls import validate_dataset as validate_dataset

if TYPE_CHECKING:
    from afinador.schemas.models import ModelTypeFilter, Visibility

Kind = Literal["model", "adapter"]
Order = Literal["asc", "desc"]


class OrganizationChanges(TypedDict, total=False):
    """How an organisation shares the work pools; what is left out stays as it is.

    Attributes:
        concurrency_limit: How many of its jobs run at once in each pool; None for no limit.
        priority: Its jobs come before those of a lower one.
    """

    concurrency_limit: int | None
    priority: int


def _named(thing: Named) -> str:
    return quote(id_of(thing), safe="")


def health() -> Call:
    """Ask how the service is."""
    return Call("GET", "/health")


def list_files(purpose: str | None = None, order: Order | None = None) -> Call:
    """List files, newest first unless another order is asked for."""
    return Call("GET", "/files", {"purpose": purpose, "order": order})


def get_file(file: Named) -> Call:
    """Get one file, by id."""
    return Call("GET", f"/files/{_named(file)}")


def delete_file(file: Named) -> Call:
    """Delete a file, by id."""
    return Call("DELETE", f"/files/{_named(file)}")


def file_content(file: Named) -> Call:
    """Read a file's bytes."""
    return Call("GET", f"/files/{_named(file)}/content")


def create_job(body: Mapping[str, Any]) -> Call:
    """Create a fine-tuning job; None values are left out."""
    return Call("POST", "/fine_tuning/jobs", body={key: value for key, value in body.items() if value is not None})


def list_jobs(status: str | None = None, metadata: Mapping[str, str] | Literal["null"] | None = None) -> Call:
    """List fine-tuning jobs, newest first; ``"null"`` asks for those without metadata."""
    if metadata == "null":
        return Call("GET", "/fine_tuning/jobs", {"status": status, "metadata": metadata})
    filters = {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
    return Call("GET", "/fine_tuning/jobs", {"status": status, **filters})


def get_job(job: str) -> Call:
    """Get one job, by id or name."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}")


def cancel_job(job: str) -> Call:
    """Ask a job to stop for good."""
    return Call("POST", f"/fine_tuning/jobs/{_named(job)}/cancel", is_idempotent=True)


def pause_job(job: str) -> Call:
    """Ask a job to stop at a checkpoint."""
    return Call("POST", f"/fine_tuning/jobs/{_named(job)}/pause", is_idempotent=True)


def resume_job(job: str) -> Call:
    """Ask a paused job to go on."""
    return Call("POST", f"/fine_tuning/jobs/{_named(job)}/resume", is_idempotent=True)


def verify_resume(job: str, steps: int | None = None) -> Call:
    """Ask for a proof that a job resumes exactly, over so many optimizer steps; None leaves that to the service."""
    body = {} if steps is None else {"steps": steps}
    return Call("POST", f"/fine_tuning/jobs/{_named(job)}/verify_resume", body=body)


def reproduce_job(job: str) -> Call:
    """Ask for a job to be run again and compared."""
    return Call("POST", f"/fine_tuning/jobs/{_named(job)}/reproduce")


def list_certificates(job: str) -> Call:
    """List a job's proofs, newest first."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/certificates")


def list_events(job: str) -> Call:
    """List a job's events, newest first."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/events")


def follow_events(job: str, after: str | None = None) -> Call:
    """Get a job's events as messages, oldest first, until the job has ended; ``after`` is the last one known."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/events", {"follow": "true", "after": after})


def list_checkpoints(job: str) -> Call:
    """List a job's checkpoints, newest first."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/checkpoints")


def list_checkpoint_files(job: str, checkpoint: str) -> Call:
    """List the files of a checkpoint, named by its id or step."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/checkpoints/{_named(checkpoint)}/files")


def checkpoint_file(job: str, checkpoint: str, path: str) -> Call:
    """Read one file of a checkpoint."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/checkpoints/{_named(checkpoint)}/files/{quote(path)}")


def publish_checkpoint(job: str, checkpoint: str, output_model: str | None = None) -> Call:
    """Publish a checkpoint to the hub, under a name of its own or that of its job."""
    body = {} if output_model is None else {"output_model": output_model}
    where = f"/fine_tuning/jobs/{_named(job)}/checkpoints/{_named(checkpoint)}/publish"
    return Call("POST", where, body=body, is_idempotent=True)


def job_metrics(job: str) -> Call:
    """Get the rows of a job's curves, oldest first."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/metrics")


def job_resources(job: str) -> Call:
    """Get what a job has used, oldest first."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/resources")


def job_report(job: str) -> Call:
    """Get all that is known of a job as one HTML page."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/report")


def job_logs(job: str, *, follow: bool = False) -> Call:
    """Get a job's log as text, or with ``follow`` as messages until the job has ended."""
    return Call("GET", f"/fine_tuning/jobs/{_named(job)}/logs", {"follow": "true" if follow else None})


def create_job_spec(name: str, request: Mapping[str, Any], retrain_on_update: bool = True) -> Call:
    """Save the request of a job under a name."""
    body = {"name": name, "request": dict(request), "retrain_on_update": retrain_on_update}
    return Call("POST", "/fine_tuning/job_specs", body=body)


def list_job_specs() -> Call:
    """List saved job specs, newest first."""
    return Call("GET", "/fine_tuning/job_specs")


def get_job_spec(job_spec: Named) -> Call:
    """Get one saved job spec, by name or id."""
    return Call("GET", f"/fine_tuning/job_specs/{_named(job_spec)}")


def delete_job_spec(job_spec: Named) -> Call:
    """Delete a saved job spec."""
    return Call("DELETE", f"/fine_tuning/job_specs/{_named(job_spec)}")


def list_models(type: ModelTypeFilter | None = None) -> Call:
    """List base and fine-tuned models, or those of one type."""
    return Call("GET", "/models", {"type": type})


def get_model(model: Named) -> Call:
    """Get a base or fine-tuned model, by id or name."""
    return Call("GET", f"/models/{_named(model)}")


def create_model(name: str, source: str, visibility: Visibility = "private") -> Call:
    """Register a base model; public ones are the operator's to make."""
    body = {"name": name, "source": source, "visibility": visibility}
    return Call("POST", "/models", body=body, as_operator=visibility == "public")


def create_model_of_files(name: str, files: list[dict[str, Any]], visibility: Visibility = "private") -> Call:
    """Announce the files of a base model; asked again, it says which of them are there already."""
    body = {"name": name, "files": files, "visibility": visibility}
    return Call("POST", "/models", body=body, as_operator=visibility == "public")


def send_model_file(model_id: str, path: str, offset: int, content: bytes, *, as_operator: bool) -> Call:
    """Send a piece of an announced file."""
    where = f"/models/{_named(model_id)}/files/{quote(path)}"
    return Call("PUT", where, {"offset": offset}, content=content, as_operator=as_operator)


def delete_model(model: Named) -> Call:
    """Delete a model."""
    return Call("DELETE", f"/models/{_named(model)}")


def list_hub(kind: Kind) -> Call:
    """List the models, or the adapters, that the organisation's jobs made."""
    return Call("GET", f"/hub/{kind}s")


def get_hub(kind: Kind, name: Named) -> Call:
    """Get one published model or adapter, by name, or one version by its alias ``ft:…`` or its id."""
    return Call("GET", f"/hub/{kind}s/{_named(name)}")


def delete_hub(kind: Kind, name: Named) -> Call:
    """Delete a name with all its versions, or the one version that an alias ``ft:…`` or an id names."""
    return Call("DELETE", f"/hub/{kind}s/{_named(name)}")


def list_hub_files(kind: Kind, name: Named, version: int | None = None) -> Call:
    """List the files of a published model or adapter; of its newest version, unless another is asked for."""
    return Call("GET", f"/hub/{kind}s/{_named(name)}/files", {"version": version})


def hub_file(kind: Kind, name: Named, path: str, version: int | None = None) -> Call:
    """Read one file of a published model or adapter; of its newest version, unless another is asked for."""
    return Call("GET", f"/hub/{kind}s/{_named(name)}/files/{quote(path)}", {"version": version})


def list_organizations() -> Call:
    """List all organisations (operator)."""
    return Call("GET", "/organizations", as_operator=True)


def create_organization(name: str) -> Call:
    """Make an organisation (operator)."""
    return Call("POST", "/organizations", body={"name": name}, as_operator=True)


def update_organization(organization: Named, **changed: Unpack[OrganizationChanges]) -> Call:
    """Set ``concurrency_limit`` or ``priority`` of an organisation (operator)."""
    return Call("PATCH", f"/organizations/{_named(organization)}", body={**changed}, as_operator=True)


def list_api_keys(organization: str | None = None) -> Call:
    """List keys, of one organisation or all (operator)."""
    return Call("GET", "/api_keys", {"organization": organization}, as_operator=True)


def create_api_key(organization: str, name: str = "default") -> Call:
    """Make a key of an organisation (operator)."""
    return Call("POST", "/api_keys", body={"organization": organization, "name": name}, as_operator=True)


def delete_api_key(key: Named) -> Call:
    """Revoke a key, by id (operator)."""
    return Call("DELETE", f"/api_keys/{_named(key)}", as_operator=True)
