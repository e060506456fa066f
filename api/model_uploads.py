"""Files of base models: from the network to the disk, once the key was found good."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from afinador.storage import CHUNK_BYTES
from api.keys import CurrentCaller
from api.parameters import FilePath, ModelName
from api.service import TheService
from registry.ledger.tables import BaseModel
from registry.models.base_model_uploads import Part

BYTES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""Describes the body for the API description."""


async def receive_part(
    request: Request,
    caller: CurrentCaller,
    service: TheService,
    model: ModelName,
    path: FilePath,
    offset: Annotated[int, Query(description="Where in the file the bytes begin.")] = 0,
) -> BaseModel:
    """Write the body into an announced file; the key was checked before the first byte is read.

    What came before a connection broke is kept.

    Raises:
        NotFoundError: There is no such upload, or no such file in it.
        InvalidRequestError: The bytes before the offset are missing.
        RequestTooLargeError: More bytes than were announced.
        InsufficientStorageError: The disk is too full.
    """
    organization_id = caller.organization.id
    part = await run_in_threadpool(Part, service.memory, organization_id, model, path, offset)
    with part:
        buffer = bytearray()
        async for chunk in request.stream():
            buffer += chunk
            if len(buffer) >= CHUNK_BYTES:
                await run_in_threadpool(part.write, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(part.write, bytes(buffer))
        is_last = await run_in_threadpool(part.finish)
    if is_last:
        service.fetch_model(part.row.id)
        part.row.status = "registering"
    return part.row


ReceivedPart = Annotated[BaseModel, Depends(receive_part)]
