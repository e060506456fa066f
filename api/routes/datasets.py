"""Data sets, looked at before they are trained on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import HTMLResponse, JSONResponse, Response

from afinador.data.dataset_reports import reading_of, with_tokens
from afinador.errors import DataError
from afinador.report.dataset_page import dataset_page
from afinador.report.preview_page import preview_page
from afinador.report.style import CONTENT_SECURITY_POLICY
from afinador.schemas.dataset_reports import (
    DatasetPreview,
    DatasetReport,
    PreviewRequest,
    ValidationRequest,
    dataset_report,
)
from api.bodies import JsonObject, describes_body, parsed
from api.keys import CurrentOrganization
from api.service import Service, TheService
from registry import data_at_hand

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

    The status tells whether it can be trained on: 200 or 422. The answer is the report in either case.
    """
    asked = parsed(ValidationRequest, body)
    report = _report(service, organization.id, asked, asked.file, "file")
    if asked.validation_file is not None:
        report.validation = _report(service, organization.id, asked, asked.validation_file, "validation_file")
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
        reading = reading_of(file.path, file.report, file.declared)
        shown = service.tokens.preview(tokenizer.path, reading, limits, records=asked.records)
    preview = DatasetPreview(file=file.name, base_model=asked.base_model, **shown)
    if "text/html" in accept:
        return _page(preview_page(preview), 200)
    return JSONResponse(preview.model_dump(mode="json"))


def _report(
    service: Service, organization_id: str, asked: ValidationRequest, reference: str, param: str
) -> DatasetReport:
    with data_at_hand.at_hand(service.memory, organization_id, reference, param) as file:
        found: dict[str, Any] = file.report
        if asked.base_model is not None:
            with data_at_hand.tokenizer_of(service.memory, organization_id, asked.base_model) as tokenizer:
                limits = tokenizer.limits(asked.task, asked.max_length)
                found = with_tokens(
                    found,
                    file.path,
                    service.tokens,
                    tokenizer.path,
                    limits,
                    base_model=asked.base_model,
                    declared=file.declared,
                )
        return dataset_report(file.name, found)


def _page(text: str, status: int) -> Response:
    return HTMLResponse(text, status, headers={"content-security-policy": CONTENT_SECURITY_POLICY})
