"""The making of a certificate: inputs and a device, training processes, and where what they prove is kept."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.exc import SQLAlchemyError

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError
from afinador.settings import read_settings
from afinador.training.child import TrainingProcess
from afinador.training.run_dir import RunDir
from afinador.training.verification import CERTIFICATE, reproduce, verify_resume, without_past
from registry import certificates
from registry.job_life import leases
from registry.ledger.tables import Certificate, Job
from registry.memory import Memory
from registry.prefect_api import Prefect
from tasks.attempt import StopRequestedError
from tasks.base_model import local_base
from tasks.data_files import local_copy
from tasks.leasing import WAIT_SECONDS, device_environment, devices_of_pool
from tasks.starting_point import local_start
from tasks.stops import stoppable

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long a locked or absent ledger is waited for."""


@dataclass
class Proof:
    """A claimed certificate.

    Attributes:
        spec: Of the job; its paths are local once ``fetch_inputs`` has run.
        folder: Where training runs, below the job's run directory; new for each making.
        devices: What the lease has given.
    """

    memory: Memory
    row: Certificate
    spec: FineTuningSpec
    folder: Path
    devices: list[str] = field(default_factory=list)
    _beaten_at: float = 0.0

    def check(self) -> None:
        """Say about once a second that this process lives, and look whether it should stop.

        Raises:
            StopRequestedError: The service goes down, or the certificate is made by another process now.
        """
        if time.monotonic() - self._beaten_at < BEAT_SECONDS:
            return
        self._beaten_at = time.monotonic()
        try:
            with self.memory.database.session() as session:
                request = certificates.beat(session, self.row.id, self.row.flow_run_id or "")
        except SQLAlchemyError:
            logger.warning("The ledger does not answer; asking again.", exc_info=True)
            return
        if request is not None:
            raise StopRequestedError(request)


def claim(certificate_id: str, flow_run_id: str) -> Proof | None:
    """Begin to make a certificate; None when it is made already, or was given to another run."""
    memory = Memory.open(read_settings(), patience_seconds=PATIENCE_SECONDS)
    me = psutil.Process()
    with memory.database.session() as session:
        row = certificates.claim(
            session,
            certificate_id,
            flow_run_id,
            process_id=me.pid,
            process_started_at=me.create_time(),
            host=socket.gethostname(),
        )
        if row is None:
            return None
        spec = FineTuningSpec.model_validate(session.get_one(Job, row.job_id).spec)
    makings = _run_folder(memory, row.job_id) / "proofs" / row.id
    shutil.rmtree(makings, ignore_errors=True)
    # One of its own, for what a killed making has left may train there for a step yet.
    return Proof(memory, row, spec, makings / str(row.submission))


@task(task_run_name="fetch inputs", cache_policy=NO_CACHE, persist_result=False)
def fetch_inputs(proof: Proof) -> None:
    """Bring the data, the base model, and the checkpoint that training starts from, to this machine.

    Raises:
        DataError: A file is gone, or not what was uploaded.
        NotFoundError: The checkpoint is gone.
        ModelError: The base model is gone.
        CheckpointDamagedError: It is not what was saved.
        StorageError: The storage does not answer.
    """
    memory, spec, folder = proof.memory, proof.spec, _run_folder(proof.memory, proof.row.job_id)
    for name in ("training_file", "validation_file"):
        data_file = getattr(spec, name)
        if data_file is not None:
            data_file.path = str(local_copy(memory, folder, data_file, name))
    spec.base_model = local_base(memory, spec.base_model)
    if proof.row.type == "resume":
        spec.start_from = without_past(spec).start_from
    if spec.start_from is not None:
        spec.start_from = local_start(memory, folder, spec.start_from)


@task(task_run_name="take a device", cache_policy=NO_CACHE, persist_result=False)
@stoppable
def take_device(proof: Proof) -> None:
    """Wait for a device that no job and no other certificate uses.

    Raises:
        StopRequestedError: See ``Proof.check``.
    """
    host = socket.gethostname()
    devices = devices_of_pool(proof.row.pool or "cpu", proof.memory.settings.cpu_slots)
    while True:
        proof.check()
        with proof.memory.database.session() as session:
            taken = leases.take_for_certificate(session, proof.row, host, devices)
        if taken:
            proof.devices = taken
            return
        logger.info("Waiting for a free device on %s: %s.", host, ", ".join(devices))
        time.sleep(WAIT_SECONDS)


@task(task_run_name="prove", cache_policy=NO_CACHE, persist_result=False)
@stoppable
def prove(proof: Proof) -> str:
    """Train, compare, and keep the certificate in storage and ledger.

    Returns:
        A sentence on what was proved.

    Raises:
        AfinadorError: It cannot be proved: training failed, or inputs are no longer what they were.
        StopRequestedError: See ``Proof.check``.
    """
    environment = device_environment(proof.devices, proof.memory.settings.cpu_slots)
    process = TrainingProcess(watch=lambda _: proof.check(), environment=environment)
    document = _document(proof, process)
    key = f"{proof.row.organization_id}/jobs/{proof.row.job_id}/certificates/{proof.row.id}.json"
    proof.memory.storage.put_file(proof.folder / CERTIFICATE, key)
    with proof.memory.database.session() as session:
        certificates.finish(session, proof.row.id, "succeeded", document=document)
    if document["equal"]:
        shutil.rmtree(proof.folder.parent, ignore_errors=True)
    return f"The certificate is made: {'equal' if document['equal'] else 'not equal'}. It lies at {key}."


def _document(proof: Proof, process: TrainingProcess) -> dict[str, Any]:
    if proof.row.type == "resume":
        return verify_resume(proof.spec, proof.folder, proof.row.steps or 0, process=process)
    with proof.memory.database.reading() as session:
        expected = certificates.published_hashes(session, proof.row.job_id)
    original = RunDir(_run_folder(proof.memory, proof.row.job_id)).result()
    return reproduce(proof.spec, proof.folder, expected, original=original, process=process)


def failed(proof: Proof, error: AfinadorError) -> str:
    """End the making with a reason, and return it."""
    told = {"code": error.code, "message": error.message, "param": error.param}
    with proof.memory.database.session() as session:
        certificates.finish(session, proof.row.id, "failed", error=told)
    return error.message


def stopped(proof: Proof, request: str) -> str:
    """End this process's part: ``hold`` puts the certificate back into the queue."""
    if request == "hold":
        with proof.memory.database.session() as session:
            certificates.requeue(session, proof.row.id, "The service goes down.")
        return "The service goes down; the certificate is made anew at its next start."
    return "The certificate is made by another process."


def interrupted(proof: Proof) -> None:
    """Write down that the run was cancelled in Prefect, which arrives as a signal; housekeeping sees to all else."""
    try:
        with Prefect(proof.memory.settings, timeout_seconds=2) as prefect:
            state = prefect.run_state(proof.row.flow_run_id or "")
        if state is not None and state.type in ("CANCELLING", "CANCELLED"):
            with proof.memory.database.session() as session:
                certificates.finish(session, proof.row.id, "cancelled")
    except (SQLAlchemyError, AfinadorError):
        logger.exception("The end could not be written down; housekeeping will.")


def _run_folder(memory: Memory, job_id: str) -> Path:
    return Path(memory.settings.runs_dir) / job_id
