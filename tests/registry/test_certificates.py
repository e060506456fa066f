"""Proofs on a job: asked for, made once, with a device of their own."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from afinador.errors import IllegalTransitionError, OutOfRangeError
from registry import certificates, jobs
from registry.job_life import events, leases
from registry.ledger.tables import Certificate, HubVersion, Job, Organization
from registry.memory import Memory
from registry.prefect_runs import certificate_runs

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def ask(memory: Memory, job: Job, steps: int = 20) -> Certificate:
    """Ask for a proof, and give it a run."""
    with memory.database.session() as session:
        row = certificates.verify_resume(session, job.organization_id, job.name, steps)
        row.flow_run_id = "run-a"
    return row


def begin(memory: Memory, row: Certificate, **process: Any) -> Certificate | None:
    me = {"process_id": os.getpid(), "process_started_at": psutil.Process().create_time(), "host": socket.gethostname()}
    with memory.database.session() as session:
        return certificates.claim(session, row.id, "run-a", **(me | process))


def stored(memory: Memory, row: Certificate) -> Certificate:
    with memory.database.reading() as session:
        return session.get_one(Certificate, row.id)


def newest_event(memory: Memory, job: Job) -> Any:
    with memory.database.reading() as session:
        return events.list_page(session, job.organization_id, job.id, limit=1)[0][0]


def test_proof_is_made_once_and_the_job_is_told(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    row = ask(memory, job)
    assert newest_event(memory, job).data == {"certificate_id": row.id}
    assert begin(memory, row) is not None
    assert begin(memory, row) is None, "it is being made"
    with memory.database.session() as session:
        assert certificates.beat(session, row.id, "run-a") is None
        assert certificates.beat(session, row.id, "run-of-another") == "lost"
        document = {
            "type": "resume",
            "equal": True,
            "steps": 7,
            "resumed_after": 3,
            "first_difference": None,
            "hashes": {},
        }
        assert certificates.finish(session, row.id, "succeeded", document=document)
        assert not certificates.finish(session, row.id, "failed", error={"message": "late"})
    told = newest_event(memory, job)
    assert (told.level, told.message) == (
        "info", "Exact resume is proved over 7 steps, resumed after 3: everything is equal to the bit."
    )  # fmt: skip
    assert told.data["equal"] is True and "hashes" not in told.data
    with memory.database.reading() as session:
        [answered], has_more = certificates.list_page(session, acme.id, job.id)
        wire = certificates.to_wire(answered)
    assert (wire.status, wire.equal, wire.steps, has_more) == ("succeeded", True, 20, False)


def test_disproof_is_an_error_that_names_the_first_difference(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    row = ask(memory, job)
    begin(memory, row)
    difference = {"step": 5, "value": "train_loss", "values": [1.0, 1.5]}
    document = {"type": "resume", "equal": False, "steps": 7, "resumed_after": 3, "first_difference": difference}
    with memory.database.session() as session:
        certificates.finish(session, row.id, "succeeded", document=document)
    told = newest_event(memory, job)
    assert told.level == "error" and "The first difference is train_loss of step 5." in told.message
    assert told.data["first_difference"] == difference


def test_device_is_held_by_a_job_or_a_proof_never_by_both(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    row = ask(memory, job)
    begin(memory, row)
    with memory.database.session() as session:
        assert leases.take(session, job, job.attempt, "host-a", ["cuda:0"]) == ["cuda:0"]
        assert leases.take_for_certificate(session, row, "host-a", ["cuda:0"]) is None
        leases.free(session, job.id)
        assert leases.take_for_certificate(session, row, "host-a", ["cuda:0"]) == ["cuda:0"]
        assert leases.take_for_certificate(session, row, "host-a", ["cuda:0", "cuda:1"]) == ["cuda:0"]
        leases.hand_on(session, job.id, job.attempt)
        leases.free(session, job.id)
        assert leases.take(session, job, job.attempt, "host-a", ["cuda:0"]) is None
        certificates.finish(session, row.id, "cancelled")
        assert leases.take(session, job, job.attempt, "host-a", ["cuda:0"]) == ["cuda:0"]


def test_device_of_a_proof_that_is_made_anew_is_free(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    row = ask(memory, job)
    begin(memory, row)
    with memory.database.session() as session:
        leases.take_for_certificate(session, row, "host-a", ["cpu:0"])
        assert certificates.requeue(session, row.id, "Its process has gone.")
        assert leases.take(session, job, job.attempt, "host-a", ["cpu:0"]) == ["cpu:0"]
    again = stored(memory, row)
    assert (again.status, again.submission, again.flow_run_id, again.process_id) == ("queued", 1, None, None)
    with memory.database.session() as session:
        assert certificates.requeue(session, row.id, "Its process has gone.")
        assert not certificates.requeue(session, row.id, "Its process has gone.")
    given_up = stored(memory, row)
    assert given_up.status == "failed" and "tried 3 times" in given_up.error["message"]
    assert newest_event(memory, job).level == "error"


def test_what_cannot_be_proved_is_refused(ready: Workshop, acme: Organization) -> None:
    memory = ready.memory
    ready.upload(acme, "unchecked.jsonl", checked=False)
    waiting, running = ready.job(acme, training_file="unchecked.jsonl"), ready.running_job(acme)
    with memory.database.session() as session:
        for steps in (1, 10_001):
            with pytest.raises(OutOfRangeError, match=f"steps is {steps}"):
                certificates.verify_resume(session, acme.id, running.name, steps)
        with pytest.raises(IllegalTransitionError, match="still being checked"):
            certificates.verify_resume(session, acme.id, waiting.name, 20)
        with pytest.raises(IllegalTransitionError, match="it is running; only a published one"):
            certificates.reproduce(session, acme.id, running.name)
        jobs.finish(session, running.id, running.attempt, "succeeded")
        with pytest.raises(IllegalTransitionError, match="no longer in the hub"):
            certificates.reproduce(session, acme.id, running.name)


def test_published_weights_are_what_a_reproduction_must_find(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    files = {name: {"bytes": 1, "sha256": name[:1] * 64} for name in ("adapter_model.safetensors", "README.md")}
    output = job.spec["output"]
    with memory.database.session() as session:
        jobs.finish(session, job.id, job.attempt, "succeeded")
        session.add(
            HubVersion(
                organization_id=acme.id, name=output["name"], version=1, kind=output["kind"], alias=output["alias"],
                base_model_id=job.base_model_id, base_model=job.base_model, job_id=job.id, task=job.task,
                training_file_id=job.training_file_id, tuning_method=job.tuning_method, parameters={}, metrics={},
                files=files, storage_prefix="prefix",
            )
        )  # fmt: skip
        session.flush()
        row = certificates.reproduce(session, acme.id, job.id)
        assert certificates.published_hashes(session, job.id) == {"adapter_model.safetensors": "a" * 64}
    assert (row.type, row.status, row.steps) == ("reproduction", "queued", None)


def test_flows_of_this_host_are_asked_to_stop(ready: Workshop, acme: Organization) -> None:
    memory, job = ready.memory, ready.running_job(acme)
    here, elsewhere = ask(memory, job), ask(memory, job)
    begin(memory, here)
    begin(memory, elsewhere, host="host-b")
    assert certificate_runs.hold(memory) == 1
    with memory.database.session() as session:
        assert certificates.beat(session, here.id, "run-a") == "hold"
        assert certificates.beat(session, elsewhere.id, "run-a") is None
        assert stored(memory, here).heartbeat_at <= time.time()
