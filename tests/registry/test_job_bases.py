"""The base model that a job starts from, and results of jobs of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from afinador.errors import UnsupportedModelError
from registry.tables import HubVersion, Job, Organization

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def publish(workshop: Workshop, job: Job) -> None:
    """Enter the result of a job into the hub, without files."""
    with workshop.memory.database.session() as session:
        session.add(
            HubVersion(
                organization_id=job.organization_id,
                name=job.spec["output"]["name"],
                version=1,
                kind="adapter",
                alias=job.spec["output"]["alias"],
                base_model_id=job.base_model_id,
                base_model=job.base_model,
                job_id=job.id,
                training_file_id=job.training_file_id,
                tuning_method="lora",
                task="causal_lm",
                parameters={},
                metrics={},
                files={},
                storage_prefix="x",
            )
        )


def test_own_result_is_refused_as_a_start_naming_its_base(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, output_model="mine")
    publish(ready, job)
    for name in ("mine", job.spec["output"]["alias"]):
        with pytest.raises(UnsupportedModelError, match="Its base model is 'tiny-llama'"):
            ready.job(acme, model=name)


def test_result_of_the_name_of_its_base_does_not_lock_the_base_out(ready: Workshop, acme: Organization) -> None:
    first = ready.job(acme, output_model="tiny-llama")
    publish(ready, first)
    again = ready.job(acme, output_model="tiny-llama")
    assert again.base_model_id == first.base_model_id
    with pytest.raises(UnsupportedModelError, match="is the result of a job"):
        ready.job(acme, model=first.spec["output"]["alias"])


def test_base_model_may_be_registered_under_the_name_of_a_result(ready: Workshop, acme: Organization) -> None:
    publish(ready, ready.job(acme, output_model="orders"))
    base = ready.base_model(acme, "orders")
    assert ready.job(acme, model="orders").base_model_id == base.id
