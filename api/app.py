"""The application: one set of handlers, at ``/v1`` and at ``/``."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

import registry.prefect_runs.runs
from afinador import __version__
from afinador.settings import Settings
from api import openapi_description, problems
from api.background import Deferred
from api.health import Health, checks_of
from api.middleware import RequestFrame
from api.routes import (
    certificates,
    dataset_preparation,
    datasets,
    files,
    health,
    hub,
    job_records,
    job_specs,
    jobs,
    models,
    organizations,
)
from api.service import Runs, Service
from registry.memory import Memory
from registry.tracking.experiments import Experiments

ROUTERS = (
    health,
    files,
    datasets,
    dataset_preparation,
    job_records,
    certificates,
    jobs,
    job_specs,
    models,
    hub,
    organizations,
)

DESCRIPTION = """\
Fine-tunes language models under 15B parameters. The shapes are OpenAI's: the `openai` client works with
`base_url="http://HOST:PORT/v1"`. Every route also works without `/v1`.
"""


def create_app(
    memory: Memory, *, experiments_factory: Callable[[], Experiments] | None = None, runs: Runs | None = None
) -> FastAPI:
    """Build the application.

    Args:
        memory: The open memory; its ledger must have been migrated.
        experiments_factory: Opens MLflow; called once, in the background.
        runs: Prefect; ``registry.prefect_runs.runs`` by default.
    """
    runs = runs or registry.prefect_runs.runs
    service = Service(
        memory=memory,
        health=Health(checks_of(memory, runs.health)),
        experiments=Deferred(experiments_factory or (lambda: _connected_experiments(memory.settings)), "MLflow"),
        runs=runs,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="Afinador",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.openapi = lambda: openapi_description.describe(app)  # type: ignore[method-assign]
    app.state.service = service
    app.add_middleware(RequestFrame)
    problems.install(app)
    everything = APIRouter()
    for routes in ROUTERS:
        everything.include_router(routes.router)
    app.include_router(openapi_description.router)
    app.include_router(everything, prefix="/v1")
    app.include_router(everything, include_in_schema=False)
    return app


def _connected_experiments(settings: Settings) -> Experiments:
    experiments = Experiments(settings)
    experiments.connect()
    # With it MLflow was imported, and a look through all that takes 130 ms, in which nobody is answered.
    gc.collect()
    gc.freeze()
    return experiments
