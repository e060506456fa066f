"""A data set taken through declared steps."""

from __future__ import annotations

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from afinador.errors import IllegalTransitionError
from tasks import ending, preparation, run_log


@flow(name="prepare-dataset", persist_result=False)
def prepare_dataset(preparation_id: str) -> State:
    """Prepare one data set as it was asked for.

    Args:
        preparation_id: Such as ``preparation_7f3a19c2``. Everything else is in the ledger.
    """
    run_log.begin()
    work = preparation.claim(preparation_id, str(runtime.flow_run.id or ""))
    if work is None:
        return Cancelled(message=f"{preparation_id} is done already, or by another run. Ask for a new one.")
    try:
        source, file = preparation.fetch(work)
        prepared = preparation.take_steps(work, source, file)
        return Completed(message=preparation.keep(work, prepared))
    except IllegalTransitionError as error:
        preparation.given_up(work)
        return Cancelled(message=error.message)
    except Exception as error:
        return Failed(message=preparation.failed(work, ending.explained(error)))
    except BaseException:
        preparation.interrupted(work)
        raise
