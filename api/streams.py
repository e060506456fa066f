"""Answers longer than memory or time: stored files, logs, and server-sent events until a job has ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from afinador.errors import NotFoundError
from afinador.schemas.jobs import ENDED_STATUSES
from afinador.storage import CHUNK_BYTES, Storage
from afinador.training.log_lines import LogReader
from api.service import Service
from registry import jobs
from registry.job_life import events, job_logs

LOOK_SECONDS = 0.5
KEEPALIVE_SECONDS = 15.0
EVENTS_A_LOOK = 100
BYTES_A_LOOK = 256 * 1024
BINARY = "application/octet-stream"

Look = Callable[[], tuple[list[str], bool]]
"""Returns the new messages, ready to be sent, and whether the job had ended before it looked."""


def stored_file(storage: Storage, key: str, filename: str) -> Response:
    """Send a file of the storage, with ranges where it lies on this disk.

    Raises:
        NotFoundError: The storage does not have it.
        StorageError: The storage does not answer.
    """
    local = storage.local_path(key)
    if local is not None:
        try:
            storage.open(key).close()  # tells a file that is gone from a storage that is
        except NotFoundError as error:
            raise NotFoundError(f"The bytes of {filename!r} are gone from the storage.") from error
        return FileResponse(local, media_type=BINARY, filename=filename)
    disposition = f"attachment; filename*=utf-8''{quote(filename, safe='')}"
    stream = storage.open(key)
    return StreamingResponse(_chunks(stream), media_type=BINARY, headers={"content-disposition": disposition})


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def log_text(path: Path) -> Response:
    """Send a log as it is now."""
    return StreamingResponse(_up_to(path, path.stat().st_size), media_type="text/plain; charset=utf-8")


def _up_to(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while size > 0 and (chunk := stream.read(min(CHUNK_BYTES, size))):
            size -= len(chunk)
            yield chunk


def follow_events(service: Service, organization_id: str, job_id: str, last_seen: str | None) -> Response:
    """Send a job's events, oldest first and then as they happen, until the job has ended.

    Args:
        service: The service.
        organization_id: Whose job it is.
        job_id: The job.
        last_seen: Id of the last event that the client has already, as browsers send it when they reconnect.
    """
    newest_id = last_seen

    def look() -> tuple[list[str], bool]:
        nonlocal newest_id
        with service.memory.database.reading() as session:
            ended = jobs.get(session, organization_id, job_id).status in ENDED_STATUSES
            found: list[events.Event] = []
            after, has_more = None, True
            while has_more:
                rows, has_more = events.list_page(session, organization_id, job_id, after, EVENTS_A_LOOK)
                known = next((place for place, row in enumerate(rows) if row.id == newest_id), None)
                found += rows[:known]
                has_more = has_more and known is None
                after = rows[-1].id if rows else None
        newest_id = found[0].id if found else newest_id
        return [_message(events.to_wire(row).model_dump_json(), row.id) for row in reversed(found)], ended

    return _stream(service, look)


def follow_log(service: Service, organization_id: str, job_id: str, path: Path) -> Response:
    """Send a job's log line by line, ``{"line", "attempt", "rank"}``, until the job has ended.

    Of one whose run directory is gone the kept log is sent.
    """
    reader, cursor, rest = LogReader(), 0, b""

    def look() -> tuple[list[str], bool]:
        nonlocal cursor, rest
        with service.memory.database.reading() as session:
            ended = jobs.get(session, organization_id, job_id).status in ENDED_STATUSES
        is_kept = ended and not path.is_file()
        new = job_logs.kept(service.memory, organization_id, job_id)[cursor:] if is_kept else _bytes_after(path, cursor)
        cursor += len(new)
        *lines, rest = (rest + new).split(b"\n")
        caught_up = is_kept or len(new) < BYTES_A_LOOK
        if ended and caught_up and rest:
            lines, rest = [*lines, rest], b""
        return [_line(reader, line) for line in lines], ended and caught_up

    return _stream(service, look)


def _bytes_after(path: Path, cursor: int) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        stream.seek(cursor)
        return stream.read(BYTES_A_LOOK)


def _stream(service: Service, look: Look) -> Response:
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(_messages(service, look), media_type="text/event-stream", headers=headers)


async def _messages(service: Service, look: Look) -> AsyncIterator[str]:
    """Yield messages as they come, a comment when there are none for long, and ``[DONE]`` at the end."""
    spoke_at = time.monotonic()
    while not service.stopping.is_set():
        messages, ended = await run_in_threadpool(look)
        for message in messages:
            yield message
        if ended:
            yield "data: [DONE]\n\n"
            return
        if messages:
            spoke_at = time.monotonic()
        elif time.monotonic() - spoke_at > KEEPALIVE_SECONDS:
            yield ": still running\n\n"
            spoke_at = time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)


def _message(data: str, message_id: str) -> str:
    return f"id: {message_id}\ndata: {data}\n\n"


def _line(reader: LogReader, line: bytes) -> str:
    told = reader.read(line.decode("utf-8", errors="replace").rstrip("\r"))
    return f"data: {json.dumps(asdict(told))}\n\n"
