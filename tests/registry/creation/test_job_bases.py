"""The base model that a job starts from, and results of jobs that others go on from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.errors import InUseError, InvalidRequestError, ModelError, NotFoundError
from afinador.models.headers import hash_of_files, inspect_model_folder
from registry import jobs
from registry.ledger.tables import HubVersion, Job, Organization
from registry.models.base_model_folders import local_folder
from registry.publishing import hub
from registry.tracking.mlflow_records import lineage_tags, params
from tasks.base_model import local_base
from tasks.starting_point import local_start
from tests.afinador.models.test_headers import write_safetensors

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

UNREACHED: Any = SimpleNamespace(connect=lambda: None)
LAYERS = {"model.layers.0.self_attn.q_proj.weight": ("F32", [2, 3], 24), "model.norm.weight": ("F32", [4], 16)}


def publish(workshop: Workshop, job: Job) -> HubVersion:
    """Enter the result of a job into the hub, with files such as a run leaves."""
    output = job.spec["output"]
    prefix = f"{job.organization_id}/hub/{output['name']}/{job.id}"
    folder = workshop.memory.storage.local_path(prefix)
    assert folder is not None
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# A result")
    (folder / "tokenizer.json").write_text("{}")
    if output["kind"] == "model":
        (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
        write_safetensors(folder / "model.safetensors", LAYERS)
    else:
        write_safetensors(folder / "adapter_model.safetensors", {"lora_A": ("F32", [2], 8)})
    (folder / "MLmodel").write_text("flavors: {}")
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
    }
    (folder / "registered_model_meta").write_text("MLflow's own")
    with workshop.memory.database.session() as session:
        session.get_one(Job, job.id).status = "succeeded"
        row = HubVersion(
            organization_id=job.organization_id,
            name=output["name"],
            version=1,
            kind=output["kind"],
            alias=output["alias"],
            base_model_id=job.base_model_id,
            base_model=job.base_model,
            job_id=job.id,
            training_file_id=job.training_file_id,
            tuning_method=job.tuning_method,
            task="causal_lm",
            parameters={},
            metrics={},
            files=files,
            storage_prefix=prefix,
        )
        session.add(row)
    return row


def spec_of(job: Job) -> FineTuningSpec:
    return FineTuningSpec.model_validate(job.spec)


def delete(workshop: Workshop, organization: Organization, name: str) -> None:
    with workshop.memory.database.session() as session:
        hub.delete(session, workshop.memory, UNREACHED, organization.id, name)


def cancel(workshop: Workshop, job: Job) -> None:
    with workshop.memory.database.session() as session:
        jobs.request_cancel(session, job.organization_id, job.id)


@pytest.fixture
def whole(workshop: Workshop, acme: Organization) -> HubVersion:
    """A whole model that a job of acme has published."""
    workshop.base_model(acme, license="apache-2.0")
    workshop.upload(acme)
    return publish(workshop, workshop.job(acme, output_model="mine", tuning_method="full"))


@pytest.fixture
def adapter(ready: Workshop, acme: Organization) -> HubVersion:
    """An adapter that a job of acme has published, of a rank that is no default."""
    return publish(ready, ready.job(acme, output_model="mine", hyperparameters={"lora_rank": 8, "epochs": 2}))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_tuning_goes_on_from_an_own_whole_model(
    method: str, workshop: Workshop, acme: Organization, whole: HubVersion
) -> None:
    for name in ("mine", whole.alias):
        job = workshop.job(acme, model=name, tuning_method=method)
        spec = spec_of(job)
        base = spec.base_model
        assert (base.model_id, base.name, base.license) == (whole.id, whole.alias, "apache-2.0")
        assert (base.architecture, base.parameters, spec.start_from) == ("LlamaForCausalLM", 10, None)
        folder = local_folder(workshop.memory, base)
        assert inspect_model_folder(folder).sha256 == base.sha256, "else no certificate could be made of the job"
        assert local_base(workshop.memory, base).path == str(folder)
        assert (job.base_model_id, job.base_model) == (whole.id, whole.alias)
        assert lineage_tags(spec)["base_model"] == whole.alias
        short_id = job.id[-8:]
        assert (spec.output.name, spec.output.alias) == (f"tiny-llama-{short_id}", f"ft:tiny-llama:acme::{short_id}")


def test_whole_model_stays_while_something_needs_it(workshop: Workshop, acme: Organization, whole: HubVersion) -> None:
    job = workshop.job(acme, model="mine", name="next")
    for name in ("mine", whole.alias):
        with pytest.raises(InUseError, match="needed by the job next"):
            delete(workshop, acme, name)
    child = publish(workshop, job)
    with pytest.raises(InUseError, match=f"needed by the adapter {child.name}"):
        delete(workshop, acme, "mine")
    assert (local_folder(workshop.memory, spec_of(job).base_model) / "model.safetensors").is_file()


def test_whole_model_without_files_is_refused(workshop: Workshop, acme: Organization, whole: HubVersion) -> None:
    base = spec_of(workshop.job(acme, model="mine")).base_model
    workshop.memory.storage.delete(whole.storage_prefix)
    with pytest.raises(ModelError, match=r"are gone from the storage; choose another model"):
        workshop.job(acme, model="mine")
    with pytest.raises(ModelError, match="are gone from the storage"):
        local_base(workshop.memory, base)


def test_tuning_goes_on_from_an_own_adapter(ready: Workshop, acme: Organization, adapter: HubVersion) -> None:
    ready.upload(acme, "more.jsonl")
    for name in ("mine", adapter.alias):
        job = ready.job(acme, model=name, training_file="more")
        spec = spec_of(job)
        start = spec.start_from
        assert start is not None
        assert (start.kind, start.name, start.job_id, start.state) == (
            "adapter",
            adapter.alias,
            adapter.job_id,
            "weights",
        )
        assert (spec.base_model.name, spec.base_model.model_id) == ("tiny-llama", adapter.base_model_id)
        assert (spec.tuning_method, spec.hyperparameters.lora_rank, spec.hyperparameters.epochs) == ("lora", 8, 3)
        assert (spec.sources["lora_rank"], spec.sources["epochs"]) == ("adapter", "default")
        assert (job.request["model"], spec.output.alias) == (name, f"ft:tiny-llama:acme::{job.id[-8:]}")
        assert lineage_tags(spec)["from_adapter"] == params(spec)["from_adapter"] == adapter.alias
        assert start.sentence == f"Begins with the trained weights of the adapter {adapter.alias}."


def test_adapter_comes_to_the_run_without_what_is_mlflows(
    ready: Workshop, acme: Organization, adapter: HubVersion, tmp_path: Path
) -> None:
    start = spec_of(ready.job(acme, model="mine")).start_from
    assert start is not None
    local = local_start(ready.memory, tmp_path, start)
    assert {path.name for path in Path(local.path).iterdir()} == {*adapter.files, "manifest.json"}
    assert start.manifest_sha256 == hash_of_files(adapter.files)
    stored = ready.memory.storage.local_path(f"{adapter.storage_prefix}/README.md")
    assert stored is not None
    stored.write_text("# Another")
    assert local_start(ready.memory, tmp_path, start) == local, "fetched once"
    with pytest.raises(Exception, match=f"adapter {adapter.alias} is damaged in the storage: its files are not those"):
        local_start(ready.memory, tmp_path / "other", start)
    ready.memory.storage.delete(adapter.storage_prefix)
    with pytest.raises(NotFoundError, match=f"files of the adapter {adapter.alias} are gone"):
        local_start(ready.memory, tmp_path / "third", start)


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"hyperparameters": {"lora_rank": 16}}, "hyperparameters.lora_rank", "lora_rank is 16, there 8"),
        ({"tuning_method": "qlora"}, "tuning_method", "tuning_method is 'qlora', there 'lora'"),
        ({"tuning_method": "full"}, "tuning_method", "or start from its base model, 'tiny-llama'"),
        ({"task": "sequence_classification"}, "task", "there 'causal_lm'"),
    ],
)
def test_what_does_not_fit_the_adapter_is_refused_by_name(
    given: dict[str, Any], param: str, said: str, ready: Workshop, acme: Organization, adapter: HubVersion
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ready.job(acme, model="mine", **given)
    assert (caught.value.code, caught.value.param) == ("adapter_does_not_fit", param)
    assert said in caught.value.message and f"The adapter {adapter.alias} does not fit" in caught.value.message


def test_adapter_stays_while_a_job_that_begins_with_it_is_open(
    ready: Workshop, acme: Organization, adapter: HubVersion
) -> None:
    job = ready.job(acme, model="mine", name="next")
    with pytest.raises(InUseError, match="needed by the job next"):
        delete(ready, acme, "mine")
    cancel(ready, job)
    # Now nothing but MLflow, which is not there in this test, stands against it.
    with pytest.raises(AttributeError):
        delete(ready, acme, "mine")


def test_adapter_goes_on_with_its_base_model_whatever_has_its_name_by_now(
    workshop: Workshop, acme: Organization, globex: Organization
) -> None:
    public = workshop.base_model(globex, visibility="public")
    workshop.upload(acme)
    publish(workshop, workshop.job(acme, output_model="mine"))
    own = workshop.base_model(acme, sha256="1" * 64)
    assert workshop.job(acme, model="mine").base_model_id == public.id
    assert workshop.job(acme).base_model_id == own.id


def test_step_of_a_published_checkpoint_is_its_own(ready: Workshop, acme: Organization, adapter: HubVersion) -> None:
    with ready.memory.database.session() as session:
        session.get_one(HubVersion, adapter.id).checkpoint_step = 4
        session.get_one(Job, adapter.job_id).reached_step = 9
    assert ready.job(acme, model="mine").spec["start_from"]["step"] == 4


def test_result_of_a_result_is_a_start_too(workshop: Workshop, acme: Organization, whole: HubVersion) -> None:
    child = publish(workshop, workshop.job(acme, model="mine", output_model="child"))
    spec = spec_of(workshop.job(acme, model="child"))
    assert spec.start_from is not None
    assert (spec.base_model.name, spec.start_from.name) == (whole.alias, child.alias)


def test_result_of_the_name_of_its_base_does_not_lock_the_base_out(ready: Workshop, acme: Organization) -> None:
    first = ready.job(acme, output_model="tiny-llama")
    result = publish(ready, first)
    again = ready.job(acme, output_model="tiny-llama")
    assert again.base_model_id == first.base_model_id and again.spec["start_from"] is None
    assert ready.job(acme, model=result.alias).spec["start_from"]["name"] == result.alias


def test_base_model_may_be_registered_under_the_name_of_a_result(ready: Workshop, acme: Organization) -> None:
    publish(ready, ready.job(acme, output_model="orders"))
    base = ready.base_model(acme, "orders")
    assert ready.job(acme, model="orders").base_model_id == base.id


def test_unknown_result_names_the_nearest(ready: Workshop, acme: Organization, adapter: HubVersion) -> None:
    with pytest.raises(NotFoundError, match=f"Did you mean '{adapter.alias}'"):
        ready.job(acme, model=f"{adapter.alias}x")
    with pytest.raises(NotFoundError, match="starts from a checkpoint by from_checkpoint"):
        ready.job(acme, model=f"{adapter.alias}:ckpt-step-2")


def test_adapter_and_checkpoint_are_not_both_a_start(ready: Workshop, acme: Organization, adapter: HubVersion) -> None:
    from tests.registry.creation.test_job_starts import keep

    checkpoint = keep(ready, ready.job(acme), 2)
    with pytest.raises(InvalidRequestError, match="leave one of the two out"):
        ready.job(acme, model="mine", from_checkpoint=checkpoint)
