"""Proofs on a job: that its training resumes exactly, that it repeats."""

from __future__ import annotations

import logging

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from afinador.errors import AfinadorError
from tasks import ending, proof, run_log
from tasks.attempt import StopRequestedError
from tasks.stops import take

logger = logging.getLogger(__name__)


@flow(name="verify", persist_result=False)
def verify(certificate_id: str) -> State:
    """Make one certificate that was asked for.

    Args:
        certificate_id: Such as ``certificate_7f3a19c2``. Everything else is in the ledger.
    """
    run_log.begin()
    claimed = proof.claim(certificate_id, str(runtime.flow_run.id or ""))
    if claimed is None:
        return Cancelled(message=f"{certificate_id} is made already, or by another run. Ask for a new one.")
    try:
        proof.fetch_inputs(claimed)
        take(proof.take_device, claimed)
        return Completed(message=take(proof.prove, claimed))
    except StopRequestedError as stop:
        return Cancelled(message=proof.stopped(claimed, stop.request))
    except AfinadorError as error:
        return Failed(message=proof.failed(claimed, error))
    except Exception as error:
        logger.exception("An error that nobody foresaw.")
        return Failed(message=proof.failed(claimed, ending.unforeseen(error)))
    except BaseException:
        proof.interrupted(claimed)
        raise
