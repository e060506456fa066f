"""Data sets that are taken through steps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from afinador.schemas.base import CreatedAt, Failure, FinishedAt, Id, RunUrl, Wire

PreparationStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED = ("succeeded", "failed", "cancelled")


class PrepareRequest(Wire):
    """A data set to be prepared."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(description="Id or name of an uploaded file, also of one that its check has refused.")
    steps: list[Any] | dict[str, Any] = Field(
        description="The steps in their order, each an object with `type`; see docs/preparation.md. Or an object that holds them under `steps`."
    )
    output: str | None = Field(
        None,
        description="Name of the file that is made, whose extension says its format, with `.gz` or `.zst` behind that of a text compressed; "
        "`NAME-prepared` if omitted. "
        "Of a data set that is split `NAME-train` and so on.",
    )
    base_model: str | None = Field(
        None,
        description="Whose tokens are meant by `tokens()` in conditions and by the step `tokenize`; else not needed.",
    )


class PreparedFile(Wire):
    """A file that a preparation has made.

    Attributes:
        id: Of the file.
        filename: Its name.
        part: ``train``, ``validation`` or ``test``; None where the data set was not split.
        records: How many it holds.
        bytes: Its size.
    """

    id: str
    filename: str
    part: str | None = None
    records: int | None = None
    bytes: int


class Preparation(Wire):
    """A preparation that was asked for, is under way, or has ended.

    Attributes:
        status: ``queued`` until a worker takes it.
        file: Id of the data set.
        filename: Name of the data set.
        output: Name of the file that it makes; of several the one that theirs are made of.
        base_model: Whose tokens steps count and make; null where none was named.
        pipeline: The steps as they were given.
        records: Records that were read.
        steps: What each step did: ``type``, ``rows_in``, ``rows_out``, ``changed``, of a split ``parts``, of some
            ``counts``, of ``drop_invalid`` the first ten records of each fault as ``dropped``.
        output_files: What it has made, once it has succeeded.
    """

    id: Id
    object: Literal["dataset.preparation"] = "dataset.preparation"
    created_at: CreatedAt
    finished_at: FinishedAt = None
    status: PreparationStatus
    file: str
    filename: str
    output: str
    pipeline: list[Any]
    base_model: str | None = None
    records: int | None = None
    steps: list[dict[str, Any]] = Field(default_factory=list)
    output_files: list[PreparedFile] = Field(default_factory=list)
    run_url: RunUrl = None
    error: Failure = Field(
        None,
        description="`code` and `message` of what failed, of a data set with several faults the first ten of each kind as `problems`; "
        "null otherwise.",
    )
