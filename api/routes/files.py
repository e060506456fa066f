"""Files that people upload and that jobs make."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from afinador.schemas.base import Deleted, Page
from afinador.schemas.files import File, FilePurpose
from api.keys import CurrentOrganization
from api.paging import After, page
from api.parameters import FileName
from api.service import TheService
from api.streams import stored_file
from api.uploads import UPLOAD_BODY, ReceivedUpload
from registry.data_sets import files

router = APIRouter(prefix="/files", tags=["files"])

# OpenAI leaves `expires_at` and `status_details` out where there are none; a null breaks strict clients.
WITHOUT_NULLS: dict[str, Any] = {"response_model_exclude_none": True}


@router.post("", summary="Upload a file", openapi_extra=UPLOAD_BODY, **WITHOUT_NULLS)
def create_file(organization: CurrentOrganization, upload: ReceivedUpload, service: TheService) -> File:
    """Upload a data set, up to 1 GB, or name one of the Hugging Face Hub. It is checked in the background: see ``status``.

    What name and content do not say, further fields declare: ``mapping`` by field the column it is taken from, and so on.
    The ``openai`` client sends them with ``extra_body``. A new file under a known name is a new version, and starts the saved
    job specs that give the file by name if it is for ``fine-tune``.
    """
    with service.memory.database.session() as session:
        if upload.source is not None:
            row = files.create_from_hub(
                session, service.memory, organization.id, upload.source, upload.reading, upload.purpose
            )
        else:
            row = files.create(
                session, service.memory, organization.id, upload.path, upload.filename, upload.purpose, upload.sha256,
                upload.size, upload.reading,
            )  # fmt: skip
        created = files.to_wire(row)
    service.check_file(created.id)
    if created.version > 1:
        service.tell_prefect()
    return created


@router.get("", summary="List files", response_model=Page[File], **WITHOUT_NULLS)
def list_files(
    organization: CurrentOrganization,
    service: TheService,
    after: After = None,
    limit: Annotated[int, Query(description="Items of a page, 1 to 10,000.")] = 10_000,
    purpose: Annotated[FilePurpose | None, Query(description="Only those that are for this.")] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By time of creation.")] = "desc",
) -> Response:
    """List the organization's files, newest first.

    OpenAI's clients ask for the further pages themselves.
    """
    with service.memory.database.reading() as session:
        rows, has_more = files.list_page(
            session, organization.id, after=after, limit=limit, purpose=purpose, order=order
        )
        told = page([files.to_wire(row) for row in rows], has_more=has_more, empty_id="")
    # Written at once: FastAPI's own way through dictionaries takes three times as long, and these pages are long.
    return Response(told.model_dump_json(exclude_none=True), media_type="application/json")


@router.get("/{file}", summary="Get a file", **WITHOUT_NULLS)
def retrieve_file(file: FileName, organization: CurrentOrganization, service: TheService) -> File:
    """Get a file by its id, its name, or its name without extension (the newest version)."""
    with service.memory.database.reading() as session:
        return files.to_wire(files.find(session, organization.id, file))


@router.delete("/{file}", summary="Delete a file")
def delete_file(file: FileName, organization: CurrentOrganization, service: TheService) -> Deleted:
    """Delete a file; refused while a job that has not ended uses it."""
    with service.memory.database.session() as session:
        row = files.delete(session, service.memory, organization.id, file)
        return Deleted(id=row.id, object="file")


@router.get("/{file}/content", summary="Get a file's content", response_class=Response)
def retrieve_content(file: FileName, organization: CurrentOrganization, service: TheService) -> Response:
    """Get the bytes of a file."""
    with service.memory.database.reading() as session:
        row = files.find(session, organization.id, file)
    return stored_file(service.memory.storage, row.storage_key, row.filename)
