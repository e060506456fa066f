"""Prefect's engine for runs that people start: ``python -m flows.engine`` in the place of ``python -m prefect.engine``.

A parameter that its flow does not have would end a run before the flow begins: as crashed, with a traceback. Prefect's own
check of parameters would refuse all others in words of its own, too (docs/decisions/0008).
"""

from __future__ import annotations

import os
import runpy
from uuid import UUID

from afinador.errors import ServiceUnavailableError, UnknownFieldError, nearest
from afinador.settings import read_settings
from registry.prefect_api import Prefect, RunParameters


def main() -> None:
    """Execute the run whose id Prefect's worker has put into the environment, unless its parameters are unknown."""
    run_id = os.environ["PREFECT__FLOW_RUN_ID"]
    with Prefect(read_settings()) as prefect:
        try:
            require_known(prefect.parameters(run_id))
        except UnknownFieldError as error:
            return refuse(prefect, run_id, error.message)
        except ServiceUnavailableError:
            pass  # the engine has more patience
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def require_known(parameters: RunParameters) -> None:
    """See that a run was given no others than its deployment has.

    Raises:
        UnknownFieldError: It was; names the nearest.
    """
    for name in sorted(parameters.given - set(parameters.known)):
        raise UnknownFieldError(
            f"{name!r} is no parameter of this deployment; it takes {' and '.join(parameters.known)}. Leave it out."
            f"{nearest(name, parameters.known)}",
            param=name,
        )


def refuse(prefect: Prefect, run_id: str, sentence: str) -> None:
    """End a run before it begins; its log says why, too."""
    from prefect.logging.configuration import setup_logging  # takes seconds, and the engine does it otherwise
    from prefect.logging.loggers import flow_run_logger

    prefect.set_state(run_id, "FAILED", "Failed", sentence)
    setup_logging()
    flow_run_logger(flow_run_id=UUID(run_id)).error(sentence)


if __name__ == "__main__":
    main()
