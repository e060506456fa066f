"""What the log of a run in Prefect says: the story in our words, and a traceback only of what nobody foresaw."""

from __future__ import annotations

import logging

from prefect.exceptions import CancelledRun, FailedRun

from afinador.errors import AfinadorError
from tasks.attempt import StopRequestedError

STORY = "tasks"
"""Logger of the steps."""
LOGGERS_OF_PREFECT = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
"""Those that Prefect writes of the end of a run, of its tasks and of its process with; a filter is asked for its own logger only."""
_ENDED_AS_ASKED = "Finished in state Cancelled("


class Sentences(logging.Filter):
    """Lets what ended a run deliberately be told by its sentence, without a traceback.

    Prefect knows of no deliberate end but success: it writes the states that a flow returns, too, as exceptions. Each
    record is changed before any handler sees it, that of Prefect's server among them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; all are let through."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, StopRequestedError | CancelledRun):
            _say(record, str(error), logging.INFO)
        elif isinstance(error, AfinadorError | FailedRun):
            _say(record, str(error), logging.ERROR)
        elif str(record.msg).startswith(_ENDED_AS_ASKED):
            _say(record, record.getMessage(), logging.INFO)
        return True


_SENTENCES = Sentences()


def begin() -> None:
    """Let the log of this run tell the story of its steps; the first thing that a flow does."""
    logging.getLogger(STORY).setLevel(logging.INFO)
    for name in LOGGERS_OF_PREFECT:
        logging.getLogger(name).addFilter(_SENTENCES)  # one and the same is added once


def _say(record: logging.LogRecord, sentence: str, level: int) -> None:
    record.msg, record.args = sentence, ()
    record.exc_info, record.exc_text = None, None
    record.levelno, record.levelname = level, logging.getLevelName(level)
