"""Work pools, deployments and triggers of prefect.yaml, written into Prefect through its Python API.

The command line of Prefect would cost three seconds a call.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
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
    """Create a deployment, or bring it up to date but for what people set in Prefect: schedules, parameters, pauses."""
    # A module path: a file path would load the flow a second time, under another name.
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    always = {
        "version": version,
        "description": deployment.get("description"),
        "entrypoint": deployment["entrypoint"],
        "work_pool_name": deployment["work_pool"]["name"],
        "job_variables": deployment["work_pool"].get("job_variables"),
        "parameter_openapi_schema": form_of(flow),
        "enforce_parameter_schema": deployment.get("enforce_parameter_schema", True),
    }
    try:
        found = await client.read_deployment_by_name(f"{flow.name}/{deployment['name']}")
    except ObjectNotFound:
        identity = await client.create_deployment(
            flow_id=await client.create_flow(flow),
            name=deployment["name"],
            tags=deployment.get("tags"),
            parameters=deployment.get("parameters"),
            paused=deployment.get("paused", False),
            schedules=[_schedule(each) for each in deployment.get("schedules", [])],
            pull_steps=[],
            **always,
        )
    else:
        identity = found.id
        await client.update_deployment(identity, DeploymentUpdate(**always))
    for trigger in deployment.get("triggers", []):
        await _apply_trigger(client, identity, trigger)


def form_of(flow: Flow[..., Any]) -> dict[str, Any]:
    """Return what Prefect asks for: all parameters are required, also where a flow says itself what is missing."""
    schema = parameter_schema(flow).model_dump()
    for parameter in schema["properties"].values():
        parameter.pop("default", None)
    return {**schema, "required": list(schema["properties"])}


def _schedule(schedule: dict[str, Any]) -> DeploymentScheduleCreate:
    rest = {key: schedule[key] for key in ("slug", "parameters", "active") if key in schedule}
    return DeploymentScheduleCreate(schedule=CronSchedule(cron=schedule["cron"]), **rest)


async def _apply_trigger(client: PrefectClient, deployment_id: UUID, wanted: dict[str, Any]) -> None:
    """Create or replace the automation of a deployment's trigger; one that was switched off stays off."""
    trigger = DeploymentEventTrigger.model_validate(wanted)
    trigger.set_deployment_id(deployment_id)
    automation = trigger.as_automation()
    outdated = await client.read_automations_by_name(automation.name)
    automation.enabled = all(each.enabled for each in outdated)
    await client.create_automation(automation)
    for each in outdated:  # afterwards: an event may start two runs in between, but is not lost
        await client.delete_automation(each.id)
