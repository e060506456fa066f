"""Data sets, looked at before they are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import HTMLResponse, JSONResponse, Response

from afinador.data.comparison import compare_files
from afinador.data.dataset_reports import dataset_report, reading_of, with_tokens
from afinador.data.files.detection import require_fit_to_content
from afinador.data.files.loaders import require_allowed_loader
from afinador.data.shapes import require_trainable
from afinador.data.task_fit import fitted
from afinador.data.validation import validate_dataset as check_dataset
from afinador.errors import DataError
from afinador.models.tokenizer_folders import TokenizerFolder
from afinador.report.dataset_page import dataset_page
from afinador.report.preview_page import preview_page
from afinador.report.style import CONTENT_SECURITY_POLICY
from afinador.schemas.dataset_reports import (
    DatasetPreview,
    DatasetReport,
    PreviewRequest,
    ValidationRequest,
)
from afinador.schemas.datasets import DatasetReading, read_otherwise, require_part
from afinador.schemas.jobs import Task
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.service import Service, TheService
from registry.creation import data_at_hand
from registry.creation.data_at_hand import DatasetAtHand

UNUSABLE = 422
"""The request is right, and its data set cannot be trained on: the report is the answer."""

router = APIRouter(prefix="/datasets", tags=["datasets"])

Accept = Annotated[str, Header(description="`text/html` asks for a page that stands alone, in place of JSON.")]


@router.post(
    "/validate",
    summary="Validate a data set",
    response_model=DatasetReport,
    responses={UNUSABLE: {"model": DatasetReport, "description": "It cannot be trained on; the report says why."}},
    openapi_extra=describes_body(ValidationRequest),
)
def validate_dataset(
    organization: CurrentOrganization, body: JsonObject, service: TheService, accept: Accept = "application/json"
) -> Response:
    """Report on an uploaded file: all faults, and with a base model its lengths in tokens and what would be cut.

    The status tells whether it can be trained on: 200 or 422. The answer is the report in either case. Labels are judged
    by the task: that of the base model, or the one that is named; where neither is, one label for all records is an error.
    """
    asked = parsed(ValidationRequest, body)
    asked_for = asked.asked_for()
    with ExitStack() as stack:
        named = {"file": asked.file, "validation_file": asked.validation_file}
        if asked.validation_file is None and asked.validation_reading:
            require_part(asked.validation_reading)
            named["validation_file"] = asked.file
        files = [
            stack.enter_context(data_at_hand.at_hand(service.memory, organization.id, reference, param))
            for param, reference in named.items()
            if reference is not None
        ]
        files[1:] = [_read_otherwise(service, file, asked) for file in files[1:]]
        tokenizer, task = None, asked.task
        if asked.base_model is not None:
            tokenizer = stack.enter_context(
                data_at_hand.tokenizer_of(service.memory, organization.id, asked.base_model)
            )
            task = tokenizer.limits(asked.task, asked.max_length)["task"]
        found = [file.report for file in files] if len(files) == 1 else compared(files, task)
        fit = fitted([(file.name, report) for file, report in zip(files, found, strict=True)], task, asked_for)
        reports = [_report(service, asked, tokenizer, *pair) for pair in zip(files, fit, strict=True)]
    report = reports[0]
    report.validation = reports[1] if len(reports) > 1 else None
    is_fit = report.valid and (report.validation is None or report.validation.valid)
    status = 200 if is_fit else UNUSABLE
    if "text/html" in accept:
        return _page(dataset_page(report), status)
    return JSONResponse(report.model_dump(mode="json"), status)


@router.post(
    "/preview",
    summary="Preview a data set",
    response_model=DatasetPreview,
    openapi_extra=describes_body(PreviewRequest),
)
def preview_dataset(
    organization: CurrentOrganization, body: JsonObject, service: TheService, accept: Accept = "application/json"
) -> Response:
    """Show the first usable records as the model will see them: each token with its id, trained, masked or cut."""
    asked = parsed(PreviewRequest, body)
    memory = service.memory
    with (
        data_at_hand.tokenizer_of(memory, organization.id, asked.base_model) as tokenizer,
        data_at_hand.at_hand(memory, organization.id, asked.file, "file") as file,
    ):
        if file.report["shape"] is None:
            raise DataError(f"{file.name}: {file.report['summary']}", param="file")
        limits = tokenizer.limits(asked.task, asked.max_length)
        require_trainable(file.report["shape"], file.name, task=limits["task"], param="file")
        reading = reading_of(file.path, file.report, file.declared, asked.asked_for())
        shown = service.tokens.preview(tokenizer.path, reading, limits, records=asked.records)
    preview = DatasetPreview(file=file.name, base_model=asked.base_model, total_records=file.report["records"], **shown)
    if "text/html" in accept:
        return _page(preview_page(preview), 200)
    return JSONResponse(preview.model_dump(mode="json"))


def _read_otherwise(service: Service, file: DatasetAtHand, asked: ValidationRequest) -> DatasetAtHand:
    """Return the validation file, as the request says that it is read."""
    own = DatasetReading.model_validate(file.declared) if file.declared else None
    reading = read_otherwise(own, asked.validation_reading)
    require_allowed_loader(reading, service.memory.operator.get("loaders", []), param="validation_reading.loader")
    require_fit_to_content(reading, file.path, file.name)
    return replace(file, declared=reading.to_json() if reading else None)


def compared(files: Sequence[DatasetAtHand], task: Task | None) -> list[dict[str, Any]]:
    """Return the verdicts on a training and a validation file, read once more, for they are held against each other."""
    training, validation = (
        check_dataset(file.path, file.name, DatasetReading.model_validate(file.declared or {})) for file in files
    )
    compare_files(training, validation, files[0].name, task, are_of_one=files[0].path == files[1].path)
    return [training.to_json(), validation.to_json()]


def _report(
    service: Service,
    asked: ValidationRequest,
    tokenizer: TokenizerFolder | None,
    file: DatasetAtHand,
    found: dict[str, Any],
) -> DatasetReport:
    if tokenizer is None:
        return dataset_report(file.name, found)
    limits = tokenizer.limits(asked.task, asked.max_length)
    told = with_tokens(
        found,
        file.path,
        service.tokens,
        tokenizer.path,
        limits,
        base_model=str(asked.base_model),
        declared=file.declared,
        extraction=asked.asked_for(),
    )
    return dataset_report(file.name, told)


def _page(text: str, status: int) -> Response:
    return HTMLResponse(text, status, headers={"content-security-policy": CONTENT_SECURITY_POLICY})
