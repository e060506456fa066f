"""Tells of a job whose validation data repeats its training data, as far as the kept verdicts know."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from afinador.data.checks.repetitions import overlap_of_sketches
from registry.job_life import events
from registry.ledger.tables import File


def tell(session: Session, job_id: str, data_files: Sequence[File]) -> None:
    """Append an event where the two files of a job share records; the run compares all of them once more.

    Args:
        session: The transaction to write in.
        job_id: The job.
        data_files: Its training file and perhaps its validation file. Verdicts of earlier versions hold no fingerprints,
            and of files that are being checked there is none: nothing is told then.
    """
    sketches = [(file.report or {}).get("fingerprints") for file in data_files]
    if len(sketches) != 2 or sketches[0] is None or sketches[1] is None:
        return
    shared, asked = overlap_of_sketches(sketches[0], sketches[1])
    if shared == 0:
        return
    training, validation = data_files
    sample = "" if asked == sketches[1]["distinct"] else "sampled "
    message = (
        f"{shared} of {asked} {sample}different records of {validation.filename} are in {training.filename} too: what was trained on "
        "measures nothing. Remove them from one of the two files."
    )
    events.append(session, job_id, message, level="warn", dedup_key="overlap")
