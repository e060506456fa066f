"""Jobs: one name for all that is done with them.

How a job comes to be is in ``creation.job_creation``; in ``job_life`` are what people ask of it (``job_requests``),
what its flow may do (``job_attempts``), how its attempts end (``job_ends``), how it is found (``job_queries``) and
answered (``job_views``), and what a verdict on its files does (``waiting_jobs``). Every change of state is one
conditional update::

    validating_files ──► queued ──► running ──► succeeded | failed | cancelled
           │  ▲            │ ▲  ◄──────┤ (its attempt died)      │
           │  │            │ │ ▲───────┼─────────────────────────┘ (a failed one, by Retry in Prefect)
           │  │   pause    ▼ │         ▼ pause
           └──┴────────► paused ◄── pausing ──► queued (resumed meanwhile) | succeeded | failed
                           │           │
                           └──► cancelled ◄─── from every state that is no end
"""

from registry.creation.job_creation import create
from registry.job_life.job_attempts import (
    Look,
    add_phase,
    claim,
    heartbeat,
    is_done,
    look,
    mark_done,
    set_fields,
    set_progress,
    start_again,
    withdraw_pause,
)
from registry.job_life.job_ends import confirm_suspended, finish, requeue, stop
from registry.job_life.job_queries import (
    due_for_submission,
    get,
    list_page,
    open_jobs,
    waiting_for_submission,
    waiting_with_file,
)
from registry.job_life.job_requests import request_cancel, request_pause, request_resume, resume_by_hand
from registry.job_life.job_views import to_wire

__all__ = [
    "Look",
    "add_phase",
    "claim",
    "confirm_suspended",
    "create",
    "due_for_submission",
    "finish",
    "get",
    "heartbeat",
    "is_done",
    "list_page",
    "look",
    "mark_done",
    "open_jobs",
    "request_cancel",
    "request_pause",
    "request_resume",
    "requeue",
    "resume_by_hand",
    "set_fields",
    "set_progress",
    "start_again",
    "stop",
    "to_wire",
    "waiting_for_submission",
    "waiting_with_file",
    "withdraw_pause",
]
