"""What is asked of a data set before it is trained on, and what is answered."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from afinador.figures import counted
from afinador.schemas.base import Wire
from afinador.schemas.dataset_formats import LEAST_LENGTH, MOST_LENGTH
from afinador.schemas.jobs import Task, TrainedTask
from afinador.schemas.prompts import require_known_places

MOST_PREVIEWED = 100
OTHER_SPLITS = "other_splits"
FILES_NOT_READ = "files_not_read"


class Documents(TypedDict, total=False):
    """How documents are asked for, as in a job."""

    extraction: Literal["prompt", "schema"] | None
    prompts: dict[str, str] | None
    extraction_schema: dict[str, Any] | None


class DatasetRequest(BaseModel):
    """What both requests name."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(description="Id or name of an uploaded file.")
    task: TrainedTask | None = Field(None, description="The base model's own by default.")
    max_length: int = Field(
        2048, ge=LEAST_LENGTH, le=MOST_LENGTH, description="Most tokens of one example, as in a job."
    )
    extraction: Literal["prompt", "schema"] = Field("prompt", description="How documents are asked for, as in a job.")
    prompts: dict[str, str] | None = Field(None, description="By type of document, as in a job.")
    extraction_schema: dict[str, Any] | None = Field(None, description="Fields that are wanted, as in a job.")

    def asked_for(self) -> dict[str, Any]:
        """Return how documents are asked for, as ``afinador.data.extraction.Extraction`` takes it.

        Raises:
            InvalidRequestError: A prompt has a place that is not filled.
        """
        require_known_places(self.prompts, param="prompts")
        return {"mode": self.extraction, "prompts": self.prompts or {}, "schema": self.extraction_schema}


class ValidationRequest(DatasetRequest):
    """The body of ``POST /datasets/validate``."""

    validation_file: str | None = Field(None, description="Id or name of the file that is held out.")
    validation_reading: dict[str, Any] | None = Field(
        None,
        description="How that file is read, where that is not as declared at its upload: fields of `reading` of a file, such as "
        '`{"split": "test"}`; null takes one back. With `split` or `config`, and no `validation_file`, that part of `file` '
        "is held out.",
    )
    base_model: str | None = Field(None, description="Whose tokenizer is asked; without one, lengths stay unknown.")


class PreviewRequest(DatasetRequest):
    """The body of ``POST /datasets/preview``."""

    base_model: str = Field(description="Whose tokenizer is asked.")
    records: int = Field(5, ge=1, le=MOST_PREVIEWED, description="How many, from the first.")


class Fault(Wire):
    """One thing that is wrong, or doubtful.

    Attributes:
        code: A stable word for programs.
        message: What it is, and what to do about it.
        line: Where, counted from 1; null where it is the whole file.
        field: Of the record, where one is at fault.
    """

    code: str
    message: str
    line: int | None = None
    field: str | None = None


class DatasetReport(Wire):
    """The verdict on a data set.

    Attributes:
        file: Name of the file.
        format: Of the file, ``jsonl`` for instance; null where it was not found.
        shape: Of its records, ``prompt_completion`` for instance; null where none was found.
        records: How many it holds.
        unusable_records: How many of them cannot be used; each may have several errors. Null in verdicts of versions that did not count them.
        bytes: Its size.
        summary: All of it in a sentence.
        valid: Whether it has no errors. It may be trained on then, unless a note ``stored_only`` says that no method
            takes its shape yet.
        errors: What forbids training; at most ten of each code.
        warnings: What a person should know; at most ten of each code.
        notes: What a person may like to know; nothing needs to be done about it.
        counts: How many faults there are of each code of errors and warnings, of which a record may have several; of one
            record 1000 errors are counted at most.
        lengths: Of the usable records, in characters: quantiles, and a ``histogram`` of bins without a gap, each with
            the length that it begins ``from``, the last one that it holds (``to``) and its ``records``. Bins are equally
            wide, the last one perhaps narrower; where a few records are far longer than all others, it is wider, and
            holds these.
        labels: How often each label occurs (``counts``), and how many records have one.
        types: How many documents there are of each type, "" being those without one; None where no document has one,
            or they are too many.
        tokens: What the base model's tokenizer makes of it, with histograms as above; None where none was asked.
        validation: The report on the file that is held out, if one was named.
    """

    model_config = ConfigDict(extra="allow")

    object: Literal["dataset.report"] = "dataset.report"
    file: str
    valid: bool
    format: str | None = None
    shape: str | None = None
    records: int = 0
    unusable_records: int | None = None
    bytes: int = 0
    summary: str = ""
    errors: list[Fault] = Field(default_factory=list)
    warnings: list[Fault] = Field(default_factory=list)
    notes: list[Fault] = Field(default_factory=list)
    counts: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, Any] | None = None
    types: dict[str, int] | None = None
    lengths: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None
    validation: DatasetReport | None = None

    def found(self) -> dict[str, int]:
        """Return how many errors, warnings and notes there are, also those that are not told one by one."""
        return {
            "error": _all_of(self.errors, self.counts),
            "warning": _all_of(self.warnings, self.counts),
            "note": len(self.notes),
        }

    def not_read(self, *, is_of_hub: bool) -> list[str]:
        """Return what says which files of a folder or an archive were not read although nobody has chosen others.

        Args:
            is_of_hub: It is a data set of the Hugging Face Hub. Of these the card alone is kept beside the data, and holds
                no records.
        """
        told = [doubt for doubt in self.warnings if doubt.code == OTHER_SPLITS]
        told += [note for note in self.notes if note.code == FILES_NOT_READ and not is_of_hub]
        return [each.message for each in told]


def _all_of(faults: list[Fault], counts: dict[str, int]) -> int:
    told = Counter(fault.code for fault in faults)
    return sum(counts.get(code, number) for code, number in told.items())


class PreviewedToken(Wire):
    """A token, and what becomes of it.

    Attributes:
        id: In the base model's vocabulary.
        text: What it stands for.
        state: ``trained``: it is learnt; ``masked``: it is only read; ``cut``: it is never seen.
        hidden_before: How many tokens of a state that is not learnt stand between the one before it and this one, and are not
            shown.
    """

    id: int
    text: str
    state: Literal["trained", "masked", "cut"]
    hidden_before: int = 0


class PreviewedRecord(Wire):
    """A record as the model will see it.

    Attributes:
        line: As in the file.
        place: The same in words, of a folder or an archive with its file: ``Record 3 (notes/a.jsonl, line 3)``.
        pieces: Its tokens; a long text is several examples.
        learns_class: What is learnt of a text to be classified.
        counts: Tokens by state, also of those that are not shown.
        repeated: How many of them later pieces of a text show once more, to be read before what is learnt; a report on the
            data set counts each once.
        tokens_hidden: How many are not shown, for they are too many: in the middle of what is cut or only read, and what then is
            still too much at the end.
        problem: Why it cannot be trained on.
        doubts: What should be looked at: what the chat template leaves out of it, what is cut, and the like.
    """

    line: int
    place: str
    pieces: list[list[PreviewedToken]] = Field(default_factory=list)
    learns_class: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    repeated: int = 0
    tokens_hidden: int = 0
    problem: str | None = None
    doubts: list[str] = Field(default_factory=list)

    def hidden_at_end(self) -> int:
        """Return how many tokens are not shown behind the last one that is."""
        return self.tokens_hidden - sum(token.hidden_before for piece in self.pieces for token in piece)


class DatasetPreview(Wire):
    """The first records of a data set as a model will see them.

    Attributes:
        file: Name of the file.
        base_model: Whose tokenizer was asked.
        task: What the records would be trained for.
        template: Name of the template that made texts of them.
        max_length: Most tokens of one example, as asked for.
        context_length: Most tokens that the base model takes; null where it does not say.
        usable_length: The smaller of the two.
        records: The first ones that can be used.
        total_records: How many the file holds, also those that cannot be used.
        unusable_records: How many that cannot be used were passed over, up to the last that is shown.
    """

    object: Literal["dataset.preview"] = "dataset.preview"
    file: str
    base_model: str
    task: Task
    template: str
    max_length: int
    context_length: int | None = None
    usable_length: int
    total_records: int | None = None
    unusable_records: int = 0
    records: list[PreviewedRecord]

    def repeated(self) -> str:
        """Say how many tokens of all these records are shown more than once, in brackets; empty if none are."""
        repeated = sum(record.repeated for record in self.records)
        return f"({repeated:,} of them again, before further pieces of texts)" if repeated else ""

    def is_usable(self) -> bool:
        """Tell whether any record can be trained on."""
        return any(record.problem is None for record in self.records)

    def totals(self) -> dict[str, int]:
        """Return how many tokens of all these records are in each state, also those that are not shown."""
        told: Counter[str] = Counter(dict.fromkeys(("trained", "masked", "cut"), 0))
        for record in self.records:
            told.update(record.counts)
        return dict(told)

    def passed_over(self) -> str:
        """Say how many records were left out for they cannot be used, and who says why; empty if none."""
        if not self.unusable_records:
            return ""
        left_out = counted(self.unusable_records, "record")
        return f"Left out: {left_out} up to here that cannot be used; validate dataset says why."
