"""Base models, and what jobs made of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from afinador.schemas.base import CreatedAt, OrganizationId, Sha256, Wire
from afinador.schemas.jobs import Task

Visibility = Literal["private", "public"]
ModelType = Literal["base", "fine-tuned"]
ModelTypeFilter = Literal["base", "fine-tuned", "fined-tuned"]
"""Both spellings of fine-tuned mean one; the specification has the second."""


class UploadedFile(Wire):
    """One file of a base model that is about to be sent.

    Attributes:
        path: Name in the model's folder.
        bytes: Its size.
        sha256: Hex hash of its bytes.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=255)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BaseModelRequest(Wire):
    """Registers a base model: from a source, or from files that are sent afterwards.

    Attributes:
        name: May hold one slash, as on the Hugging Face Hub.
        source: A folder below the allowed roots, or ``hf://owner/name[@revision]``.
        files: Instead of a source: all files that ``PUT /models/{model_id}/files/{path}`` will bring.
        visibility: ``public`` ones are read by every organisation; only the operator makes them.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$")
    source: str | None = Field(None, min_length=1)
    files: list[UploadedFile] | None = None
    visibility: Visibility = "private"


class ModelFile(Wire):
    """One file of a base model.

    Attributes:
        path: Name in the model's folder.
        bytes: Its size.
        sha256: None while the Hugging Face Hub, where it comes from, does not say it.
        bytes_done: How much of it is there.
    """

    path: str
    bytes: int
    bytes_done: int
    sha256: str | None = None


class Model(Wire):
    """A model as OpenAI lists it, with the specification's attributes.

    Attributes:
        id: What to pass as ``model``: a name, or an opaque id where another model has the name.
        created: OpenAI's name for ``created_at``.
        owned_by: OpenAI's name for ``organization_id``.
        organization_id: Whose it is, also of a public one.
        name: Of a base model its name; of a fine-tuned one that of the hub.
        type: ``base`` of what was registered, ``fine-tuned`` of what jobs have published, and of their checkpoints.
        origin: ``remote`` of what was fetched from the Hugging Face Hub.
        visibility: ``public`` ones are read by every organisation.
        status_details: Why it is in ``error``.
        architecture: Of a base model, as its config.json names it.
        task: What it is trained for unless a job says otherwise; none is trained for ``seq2seq_lm`` yet.
        license: Of a base model, as its card or its files tell.
        model_id: An opaque id that is its alone, and what adapters give as theirs; it answers to that, too. Of a fine-tuned
            one that of the version, ``hub_…``; a checkpoint that is not published has none.
        status: Of a base model: ``uploading`` until all its files were sent, ``registering`` while they are fetched
            and checked, then ``ready`` or ``error``. An upload of which nothing comes for a day ends in ``error``.
        parameters: Number of parameters, counted from the safetensors headers.
        sha256: Hash over names and hashes of its files.
        source: Of a base model: ``hf://owner/name@commit``, ``upload``, or ``folder`` for one of the server's.
        revision: The commit of the Hugging Face Hub that ``source`` led to.
        bytes: Size of its files, once it is known.
        bytes_done: How many of them are there.
        files: Left out of lists.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    created_at: CreatedAt
    owned_by: str
    organization_id: str
    name: str
    type: ModelType
    origin: Literal["local", "remote"]
    visibility: Visibility = "private"
    status: Literal["uploading", "registering", "ready", "error"] = "ready"
    status_details: str | None = None
    architecture: str | None = None
    task: Task | None = None
    parameters: int | None = None
    sha256: str | None = None
    license: str | None = None
    source: str | None = None
    revision: str | None = None
    bytes: int | None = None
    bytes_done: int | None = None
    files: list[ModelFile] | None = None
    model_id: str | None = None


class HubFile(Wire):
    """One file of a published version, or of a checkpoint.

    Attributes:
        path: In the folder.
        type: The specification's.
        bytes: Its size.
    """

    path: str
    type: Literal["model"] = "model"
    bytes: int
    sha256: Sha256


class HubEntry(Wire):
    """The newest version of a published model or adapter.

    Attributes:
        id: ``ft:…``, the alias of this version.
        object: ``kind``, as OpenAI's objects tell it.
        name: Unique in the organization, over models and adapters.
        version: Counted from 1.
        visibility: ``private``: only the organization sees it.
        job_id: The job that has published it.
        tuning_method: Of the job.
        task: Of the job.
        metrics: Final figures, base against tuned, as those of the job.
        files: All files of this version.
        domain: As the job was asked with.
        tags: As the job was asked with.
        kind: ``model`` for whole weights, ``adapter`` for weights that need their base.
        model_id: The model it was trained from, which an adapter belongs to: the ``model_id`` of that, which finds it.
        base_model: Its name; that of a whole model which was tuned on is ``ft:…``.
        started_from: The checkpoint or adapter that training began with, beside the base model.
        dataset: The file it was trained on.
        checkpoint_step: Of a published checkpoint: optimizer steps done; None of what a job published at its end.
        parameters: Hyperparameters of the run.
        versions: All versions, newest first.
        uri: What MLflow calls this version, ``models:/NAME/VERSION``.
        path: Prefix of its files in the object storage.
    """

    id: str
    object: Literal["hub.model", "hub.adapter"]
    kind: Literal["model", "adapter"]
    name: str
    version: int
    versions: list[int] = Field(default_factory=list)
    created_at: CreatedAt
    organization_id: OrganizationId
    type: Literal["fine-tuned"] = "fine-tuned"
    origin: Literal["local"] = "local"
    visibility: Visibility = "private"
    model_id: str
    base_model: str
    started_from: str | None = None
    dataset: str
    job_id: str
    checkpoint_step: int | None = None
    tuning_method: str
    task: Task
    parameters: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    files: list[HubFile] = Field(default_factory=list)
    uri: str
    path: str = ""
    domain: str | None = None
    tags: list[str] = Field(default_factory=list)
