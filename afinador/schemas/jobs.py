"""Fine-tuning jobs: what is asked for and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field

from afinador.schemas.base import CreatedAt, FinishedAt, Id, OrganizationId, Wire

TuningMethod = Literal["full", "lora", "qlora", "prefix_tuning", "prompt_tuning"]
Task = Literal["causal_lm", "seq2seq_lm", "sequence_classification"]
TrainedTask = Literal["causal_lm", "sequence_classification"]
"""Those that this version trains."""
StartState = Literal["weights", "whole"]
JobStatus = Literal["validating_files", "queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]
StatusAlias = Literal["pending", "completed"]
"""Other words for ``queued`` and ``succeeded`` that a filter may use."""
OPEN_STATUSES: tuple[JobStatus, ...] = ("validating_files", "queued", "running", "pausing", "paused")
ENDED_STATUSES: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


def _require_no_folder(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("it must hold a letter or a digit")
    return name


HubName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,96}$"), AfterValidator(_require_no_folder)]
"""A name in the hub."""


OTHER_NAMES = {"model": "base_model", "training_file": "dataset", "validation_file": "validation_dataset"}
"""The specification's names of fields that OpenAI names otherwise; either may be given."""
NEEDED = ("model", "training_file")
"""Fields that every request has, unless it names a saved one or a checkpoint, whose job has them."""


def _describe_both_names(schema: dict[str, Any]) -> None:
    """Describe both names of the fields; one of each two is required, or a checkpoint or a saved request."""
    properties: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        properties[name] = field
        if name in OTHER_NAMES:
            other = OTHER_NAMES[name]
            is_required = (
                " One of the two is required, unless `from_checkpoint` or `job_spec` is given."
                if name in NEEDED
                else ""
            )
            field["description"] = f"Or `{other}`.{is_required} {field.get('description', '')}".rstrip()
            properties[other] = {
                **field,
                "title": other.replace("_", " ").title(),
                "description": f"The same as `{name}`.",
            }
    schema["properties"] = properties
    schema["allOf"] = [
        {"anyOf": [{"required": [each]} for each in (name, OTHER_NAMES[name], "from_checkpoint", "job_spec")]}
        for name in NEEDED
    ]


class JobRequest(Wire):
    """A job as asked for: OpenAI's body, the specification's, or a mixture.

    ``model`` and ``base_model``, ``training_file`` and ``dataset``, ``validation_file`` and ``validation_dataset`` are
    the same field under two names. Unknown fields are refused before this model is built (see
    ``afinador.config.resolve.parse_request``), with the nearest known one.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, json_schema_extra=_describe_both_names)

    model: str | None = Field(
        None,
        validation_alias=AliasChoices("model", "base_model"),
        min_length=1,
        description="A registered base model, or what another job has published (`ft:…`, hub name or id): tuning goes on "
        "from it, from an adapter on its own base model.",
    )
    training_file: str | None = Field(
        None,
        validation_alias=AliasChoices("training_file", "dataset"),
        min_length=1,
        description="Id or name of an uploaded file.",
    )
    validation_file: str | None = Field(
        None,
        validation_alias=AliasChoices("validation_file", "validation_dataset"),
        description="Id or name of the file that is held out; with one, base and tuned are measured.",
    )
    validation_reading: dict[str, Any] | None = Field(
        None,
        description="How the validation file is read in this job, where that is not as declared at its upload: fields of "
        '`reading` of a file, such as `{"split": "test"}`; null takes one back. With `split` or `config`, and no '
        "`validation_file`, that part of the training file is held out.",
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Unique in the organization; made of output_model or base model if omitted.",
    )
    output_model: HubName | None = Field(
        None, description="Hub name of what comes of it; a name that is in use gets a new version."
    )
    suffix: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Part of the alias `ft:…`, and of the hub name where none is given.",
    )
    seed: int | None = Field(None, ge=0, le=2**31 - 1, description="Of everything random; drawn if omitted.")
    metadata: dict[str, str] | None = Field(
        None, description="Up to 16 pairs, kept with the job; lists are filtered by them."
    )
    hyperparameters: dict[str, Any] | None = Field(
        None, description="By OpenAI's names or those of docs/configuration.md; `auto` means the default."
    )
    method: dict[str, Any] | None = Field(
        None,
        description='OpenAI\'s other place for hyperparameters: `{"type": "supervised", "supervised": {"hyperparameters": '
        "{…}}}`. Other types are refused.",
    )
    tuning_method: TuningMethod | None = Field(
        None, description="`lora` by default. `prefix_tuning` and `prompt_tuning` are refused: not yet implemented."
    )
    task: Task | None = Field(
        None, description="The base model's own by default. `seq2seq_lm` is refused: not yet implemented."
    )
    config: dict[str, Any] | None = Field(
        None, description="The advanced configuration, see docs/configuration.md; `hyperparameters` win over it."
    )
    from_checkpoint: str | None = Field(
        None,
        min_length=1,
        description="A checkpoint of any job of the organization, whatever became of that: its id (`ftckpt_…`) or its "
        "name as a model (`ft:…:ckpt-step-N`). What is left out of base model, data, method and task is that job's.",
    )
    from_checkpoint_state: StartState | None = Field(
        None,
        description="`weights` (the default): a new training begins with its trained weights. `whole`: its training "
        "goes on exactly; data, seed and hyperparameters are those of its job.",
    )
    pool: Literal["gpu", "cpu"] | None = Field(
        None,
        description="Work pool; if omitted `gpu` where one of its workers is online, else `cpu`. "
        "A job with `attention: flash_attention_2` belongs to `gpu`.",
    )
    priority: int | None = Field(
        None, ge=-1000, le=1000, description="Among the organization's waiting jobs; higher is first. Default: 0."
    )
    domain: str | None = Field(
        None, max_length=128, description="A word of your own, kept with the result, too; at most 128 characters."
    )
    tags: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list,
        max_length=32,
        description="Words of your own, kept with the result, too: up to 32, each of at most 128 characters.",
    )
    job_spec: str | None = Field(
        None,
        min_length=1,
        description="A saved job spec, by name or id: its request is taken, and what is given beside it wins; "
        "hyperparameters, `config` and metadata key by key.",
    )
    integrations: list[Any] | None = Field(
        None, description="OpenAI's; anything but an empty list is refused: MLflow keeps the curves of each job."
    )


class JobError(Wire):
    """Why a job failed.

    Attributes:
        code: A stable word for programs.
        message: What is wrong, and what to do about it.
        param: The field of the request to blame, where there is one.
    """

    code: str
    message: str
    param: str | None = None


PHASES = ("validating", "starting", "loading", "training", "saving", "evaluating", "publishing")
"""What the time of a job that runs is spent on."""


class JobTimes(Wire):
    """How long a job and its parts took, in seconds; of one that has not ended up to now.

    Attributes:
        total_seconds: Since it was created.
        queue_seconds: Waiting for the check of its files, its turn and a process, all waits added up.
        paused_seconds: Standing paused.
        phase_seconds: By phase, over all attempts: ``validating``, ``starting``, ``loading``, ``training`` (measuring on
            the validation file included), ``saving``, ``evaluating``, ``publishing``. Neither waiting nor pauses count.
        seconds_per_epoch: Of each epoch that is done, over all attempts.
    """

    total_seconds: float = 0.0
    queue_seconds: float = 0.0
    paused_seconds: float = 0.0
    phase_seconds: dict[str, float] = Field(default_factory=dict)
    seconds_per_epoch: list[float] = Field(default_factory=list)


class Job(Wire):
    """A job as answered: OpenAI's attributes, the specification's section 6, and ours.

    Attributes:
        name: Unique in the organization; may be given wherever its id may.
        status: OpenAI's, with ``pausing`` and ``paused``; docs/operations/jobs.md has every way from one to another.
        model: Name of the base model.
        training_file: Id of the file that is learnt from.
        validation_file: Id of the file that is held out.
        fine_tuned_model: ``ft:…``, the alias of what it has published; null unless it has succeeded.
        output_model: Hub name of what it publishes.
        trained_tokens: Tokens that training has seen, over all epochs; null until it was evaluated.
        result_files: Ids of the files that it has made: its curves as CSV.
        hyperparameters: As they were resolved, under OpenAI's names and ours.
        method: The same numbers where OpenAI's newer clients look for them.
        tuning_method: ``full``, ``lora`` or ``qlora``; jobs of the other two are refused today.
        task: ``causal_lm`` or ``sequence_classification``; jobs of the other one are refused today.
        seed: Of everything random.
        suffix: As it was asked with.
        metadata: As it was asked with.
        integrations: OpenAI's; always null.
        domain: As it was asked with.
        tags: As it was asked with.
        pool: Work pool that it runs in; null until that is chosen.
        attempt: How many times a worker has taken it.
        times: How long it and its parts took.
        base_model: The same as ``model``.
        dataset: The same as ``training_file``.
        error: None unless the job failed.
        progress: ``{"state", "step", "steps", "epoch", "tokens", "eta_seconds", "train_loss", "valid_loss"}`` of the
            attempt that runs, or the last one that ran; None before the first. While a model is measured also ``measuring``:
            ``{"model": "tuned"|"base", "what": "examples"|"answers", "done", "total"}``. ``train_loss`` is that of the newest step
            alone; curves and checkpoints have means since the row before.
        metrics: Final figures, base against tuned; empty until evaluated.
        spec: The whole resolved specification of the run, but for the folder of the base model, with the
            ``environment`` (device, threads, determinism, versions) of the attempt that loaded the model last; of a
            saved spec that could not be resolved the hyperparameters that it names.
        priority: Among the waiting jobs of the organization; higher is first.
        queue_position: Place among all jobs that wait for the pool, 1 is next; None once its turn has come.
        waiting_for: Why a job that waits cannot start even in its turn: no worker of its pool is online. None otherwise.
        job_spec: Name of the saved spec that it was made from, as it is or with other fields beside it.
        run_url: The job's page in the Prefect UI, once it has a run.
        estimated_finish: By the measured rate of the steps; None unless it trains.
    """

    id: Id
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    name: str
    organization_id: OrganizationId
    created_at: CreatedAt
    finished_at: FinishedAt = None
    estimated_finish: int | None = None
    status: JobStatus
    model: str
    base_model: str
    training_file: str
    dataset: str
    validation_file: str | None = None
    fine_tuned_model: str | None = None
    output_model: str | None = None
    trained_tokens: int | None = None
    result_files: list[str] = Field(default_factory=list)
    error: JobError | None = None
    hyperparameters: dict[str, Any]
    method: dict[str, Any] | None = None
    tuning_method: TuningMethod
    task: Task
    seed: int
    suffix: str | None = None
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = None
    domain: str | None = None
    tags: list[str] = Field(default_factory=list)
    pool: str | None = None
    priority: int = 0
    queue_position: int | None = None
    waiting_for: str | None = None
    job_spec: str | None = None
    attempt: int = 0
    times: JobTimes = Field(default_factory=JobTimes)
    progress: dict[str, Any] | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    spec: dict[str, Any] = Field(default_factory=dict)
    run_url: str | None = None
