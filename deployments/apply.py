"""Work pools and deployments of prefect.yaml, written into Prefect through its Python API.

The command line of Prefect would cost three seconds a call.
"""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from deployments.definition import Definition


async def apply(definition: Definition) -> None:
    """Create what Prefect does not have yet, and bring the rest up to date; doing it twice changes nothing."""
    async with get_client() as client:
        for pool in definition.work_pools:
            await _apply_pool(client, pool)
        for deployment in definition.deployments:
            await _apply_deployment(client, deployment, definition.digest)


async def _apply_pool(client: PrefectClient, pool: dict[str, Any]) -> None:
    try:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(**pool, base_job_template=template))
    except ObjectAlreadyExists:
        changeable = {key: pool[key] for key in ("description", "concurrency_limit") if key in pool}
        await client.update_work_pool(pool["name"], WorkPoolUpdate(**changeable))


async def _apply_deployment(client: PrefectClient, deployment: dict[str, Any], version: str) -> None:
    # A module path: a file path would load the flow a second time, under another name.
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name=deployment["name"],
        version=version,
        description=deployment.get("description"),
        tags=deployment.get("tags"),
        entrypoint=deployment["entrypoint"],
        work_pool_name=deployment["work_pool"]["name"],
        job_variables=deployment["work_pool"].get("job_variables"),
        parameter_openapi_schema=parameter_schema(flow).model_dump(),
        enforce_parameter_schema=True,
        paused=deployment.get("paused", False),
        schedules=[
            DeploymentScheduleCreate(schedule=CronSchedule(cron=schedule["cron"]))
            for schedule in deployment.get("schedules", [])
        ],
        pull_steps=[],
    )
