"""The base model that a job starts from: a registered one, or a whole model that another job has published."""

from __future__ import annotations

import json
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from afinador.config.architectures import check_parameter_count
from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import STORED, BaseModelReference, FineTuningSpec
from afinador.errors import InvalidRequestError, ModelError, ModelNotReadyError, NotFoundError, nearest
from afinador.models.headers import hash_of_files, is_model_file
from afinador.models.layer_names import require_layers_in_folder
from afinador.models.tensor_headers import read_header
from registry.ledger.tables import BaseModel, HubVersion, Job
from registry.memory import Memory
from registry.models import base_models
from registry.models.base_model_folders import local_folder
from registry.models.base_model_views import UNFINISHED
from registry.publishing import hub


def find(session: Session, memory: Memory, organization_id: str, name: str) -> BaseModelReference:
    """Find a base model that can be tuned. A registered one wins over a result of the same name.

    Raises:
        NotFoundError: There is none of this name; names the nearest.
        InvalidRequestError: The name is that of an adapter, which is no base model by itself.
        ModelError: It is not ready, or too large, or its files are gone.
        StorageError: The storage does not answer.
    """
    try:
        base = base_models.find(session, memory, organization_id, name)
    except NotFoundError:
        result = find_result(session, memory, organization_id, name)
        if result is None:
            raise
        return _published(session, memory, result)
    if base.status in UNFINISHED:
        raise ModelNotReadyError(
            f"The base model {base.name!r} is still being registered ({base.status}); try again when its status is 'ready'.",
            param="model",
        )
    if base.status != "ready":
        raise ModelNotReadyError(
            f"The base model {base.name!r} could not be registered: {base.status_details} Register it again.",
            param="model",
        )
    check_parameter_count(base.name, base.parameters or 0)
    return _registered(base)


def find_result(session: Session, memory: Memory, organization_id: str, name: str) -> HubVersion | None:
    """Return what a job has published under a name (the newest version) or alias, and hold it until the transaction ends.

    None where no result has the name, or a registered base model has it too.

    Raises:
        NotFoundError: The name has the form of an alias and is none; names the nearest.
    """
    found = hub.find(session, organization_id, name)
    if not found:
        if name.startswith("ft:"):
            mine = select(HubVersion.alias).where(HubVersion.organization_id == organization_id)
            way = " A job starts from a checkpoint by from_checkpoint." if ":ckpt-step-" in name else ""
            raise NotFoundError(
                f"There is no result {name!r}.{way or nearest(name, session.scalars(mine))}",
                param="model",
                code="model_not_found",
            )
        return None
    try:
        base_models.find(session, memory, organization_id, name)
    except NotFoundError:
        # Held, so that it is not deleted before the job that starts from it can be seen.
        held = select(HubVersion).where(HubVersion.id == found[0].id).with_for_update(read=True)
        return session.scalars(held.execution_options(populate_existing=True)).one_or_none()
    return None


def require_layers(
    memory: Memory, base: BaseModelReference, hyperparameters: Hyperparameters, *, is_classifier: bool
) -> None:
    """Refuse layers that the base model does not have, as far as its files can be read here; else the run does it.

    Raises:
        InvalidRequestError: ``target_modules`` or ``modules_to_save`` names none of them; names the nearest.
    """
    with suppress(OSError, ModelError):
        folder = local_folder(memory, base)
        require_layers_in_folder(hyperparameters, folder, repr(base.name), is_classifier=is_classifier)


def _registered(base: BaseModel) -> BaseModelReference:
    return BaseModelReference(
        model_id=base.id,
        name=base.name,
        path=base.path,
        architecture=base.architecture,
        sha256=base.sha256,
        parameters=base.parameters,
        license=base.license,
        source=base.source if base.origin == "remote" else None,
    )


def _published(session: Session, memory: Memory, result: HubVersion) -> BaseModelReference:
    if result.kind == "adapter":
        raise InvalidRequestError(
            f"model names the adapter {result.alias}, and from_checkpoint other weights to begin with; leave one of the "
            f"two out. The base model of the adapter is {result.base_model!r}.",
            param="model",
        )
    spec = FineTuningSpec.model_validate(session.get_one(Job, result.job_id).spec)
    architecture, parameters = _described(memory, result)
    check_parameter_count(result.alias, parameters)
    return BaseModelReference(
        model_id=result.id,
        name=result.alias,
        path=f"{STORED}{result.storage_prefix}",
        architecture=architecture,
        sha256=hash_of_files({name: file for name, file in result.files.items() if is_model_file(name)}),
        parameters=parameters,
        license=spec.base_model.license,
    )


def _described(memory: Memory, result: HubVersion) -> tuple[str, int]:
    """Return architecture and number of parameters of a published model."""
    parameters = 0
    try:
        with memory.storage.open(f"{result.storage_prefix}/config.json") as stream:
            architecture = str(json.load(stream)["architectures"][0])
        for name in result.files:
            if "/" not in name and name.endswith(".safetensors"):
                with memory.storage.open(f"{result.storage_prefix}/{name}") as stream:
                    tensors = read_header(stream, result.files[name]["bytes"], f"{name} of {result.alias}")
                parameters += sum(tensor.elements for tensor in tensors.values())
    except NotFoundError as error:
        raise ModelNotReadyError(
            f"The files of {result.alias} are gone from the storage; choose another model.",
            param="model",
        ) from error
    return architecture, parameters
