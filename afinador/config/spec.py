"""The whole specification of one run: what the ledger keeps with a job and what training reads as ``spec.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from afinador.config.hyperparameters import Hyperparameters
from afinador.schemas.dataset_formats import Format
from afinador.schemas.datasets import DatasetReading
from afinador.schemas.jobs import StartState, Task, TuningMethod

STORED = "storage:"
"""Begins the path of a base model that lies in the storage."""


class DataFile(BaseModel):
    """A data set of a run.

    Attributes:
        path: In the ledger the key in the storage; in a run directory the local path.
        format: How to read it, declared, or found from name and content when it was checked.
        reading: What is declared of how to read it.
        source: ``hf://owner/name[:config]@commit`` of one from the Hugging Face Hub.
    """

    model_config = ConfigDict(extra="forbid")

    file_id: str | None = None
    name: str
    path: str
    format: Format
    sha256: str
    bytes: int
    reading: DatasetReading | None = None
    source: str | None = None


class BaseModelReference(BaseModel):
    """The model that a run starts from: a registered one, or a whole model that another job has made.

    Attributes:
        model_id: Of the registered one, or of the version in the hub.
        name: The registered name, or the alias ``ft:…`` of the version.
        path: Local folder, or the prefix in the storage when it starts with ``storage:``.
        sha256: Hash over names and hashes of its files.
        parameters: Number of parameters, from the safetensors headers.
        license: See ``afinador.models.licenses``.
        source: ``hf://owner/name@commit`` of one from the Hugging Face Hub, else None.
    """

    model_config = ConfigDict(extra="forbid")

    model_id: str | None = None
    name: str
    path: str
    architecture: str
    sha256: str
    parameters: int
    license: str | None = None
    source: str | None = None

    @property
    def storage_prefix(self) -> str | None:
        """Where in the storage it lies, or None if it does not."""
        return self.path.removeprefix(STORED) if self.path.startswith(STORED) else None

    @property
    def original_name(self) -> str:
        """Name of the registered model that all began with."""
        return self.name.removeprefix("ft:").rsplit(":", 3)[0] if self.name.startswith("ft:") else self.name

    @property
    def public_name(self) -> str:
        """What others know it by: its name on the Hugging Face Hub if it has one, else the registered name."""
        return self.source.removeprefix("hf://").partition("@")[0] if self.source else self.name

    @property
    def revision(self) -> str | None:
        """The commit on the Hugging Face Hub, or None."""
        return self.source.partition("@")[2] or None if self.source else None


class Output(BaseModel):
    """What the run publishes.

    Attributes:
        name: Hub name.
        kind: ``adapter`` for LoRA and QLoRA, ``model`` for full fine-tuning.
        alias: ``ft:{base}:{organisation}:{suffix}:{id}``, the name of this one version.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: Literal["adapter", "model"]
    alias: str

    def alias_of_step(self, step: int) -> str:
        """Return the name of the checkpoint after an optimizer step, as a model."""
        return f"{self.alias}:ckpt-step-{step}"


class CheckpointReference(BaseModel):
    """A checkpoint of another run, or the adapter that it has published.

    Attributes:
        checkpoint_id: None without a service, and of an adapter.
        name: Its name as a model, ``ft:…:ckpt-step-N`` or ``ft:…``; without a service that of its folder.
        step: Optimizer steps done; of an adapter those of its job.
        path: In the ledger the prefix of its files in the storage; in a run directory the local folder.
        manifest_sha256: Of a checkpoint's manifest, which names all other files with their hashes; of an adapter the hash
            over names and hashes of its files.
        bytes: Of all its files.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["checkpoint", "adapter"] = "checkpoint"
    checkpoint_id: str | None = None
    name: str
    job_id: str
    step: int
    path: str
    manifest_sha256: str
    bytes: int


class StartingPoint(CheckpointReference):
    """The checkpoint or adapter that a run starts from.

    Attributes:
        state: ``weights``: a new training begins with its trained weights; ``whole``: its training goes on.
        best: Of a whole state with early stopping the checkpoint that was the best so far, if it is another one.
    """

    state: StartState
    best: CheckpointReference | None = None

    @property
    def sentence(self) -> str:
        """What becomes of it, for people."""
        if self.state == "whole":
            return f"Goes on with the training that has left the checkpoint {self.name}, after step {self.step}."
        return f"Begins with the trained weights of the {self.kind} {self.name}."


class FineTuningSpec(BaseModel):
    """Everything a run needs, resolved once and kept whole.

    Attributes:
        sources: Where each hyperparameter came from: default, operator, file, request, checkpoint or adapter.
        start_from: A checkpoint or adapter of another run; None: the base model alone.
        code_version: Version of this library that resolved it.
    """

    model_config = ConfigDict(extra="forbid")

    job_id: str
    job_name: str
    organization_id: str
    organization: str
    task: Task
    tuning_method: TuningMethod
    base_model: BaseModelReference
    training_file: DataFile
    validation_file: DataFile | None = None
    start_from: StartingPoint | None = None
    output: Output
    hyperparameters: Hyperparameters
    seed: int
    sources: dict[str, str] = Field(default_factory=dict)
    code_version: str
    domain: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, str] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
