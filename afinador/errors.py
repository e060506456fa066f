"""Every deliberate error, each with a stable code.

::

    AfinadorError                      something we refuse or cannot do, said so that a person can act
    ├── InvalidRequestError            the request itself is wrong
    │   ├── UnknownFieldError          a field nobody knows; names the nearest known one
    │   ├── OutOfRangeError            a number outside its range; names the range
    │   ├── RequestTooLargeError       more bytes than are taken
    │   ├── IllegalTransitionError     not possible in the job's present state
    │   ├── NameTakenError             a name that must be unique is in use
    │   └── InUseError                 cannot be deleted while something depends on it
    ├── AuthenticationError            no key, or a wrong one
    ├── PermissionDeniedError          a good key that may not do this
    ├── NotFoundError                  no such thing in this organisation
    ├── DataError                      a data set that cannot be trained on; carries all problems found
    ├── ModelError                     a model that cannot be used
    │   ├── ModelTooLargeError         more than 15B parameters
    │   ├── ModelNotReadyError         not registered yet, or its files are gone
    │   └── UnsupportedModelError      an architecture or file form that does not fit
    ├── TrainingError                  a training process ended badly
    │   └── CheckpointDamagedError     a checkpoint that is not what its manifest says
    ├── InsufficientStorageError       not enough disk for what comes next
    ├── StorageError                   the object storage does not answer or refuses
    ├── ServiceUnavailableError        a part that we need is away for now
    ├── WaitTimeoutError               what was waited for has not ended in time; also a TimeoutError
    └── ConfigurationError             the operator's settings do not fit together

The HTTP status of each is decided in one table in ``api/problems.py``, the exit code of each in ``afinador/cli``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class AfinadorError(Exception):
    """Base of all deliberate errors.

    Attributes:
        code: Stable word for programs, e.g. ``model_not_found``.
        param: The field of the request that is to blame, dotted (``hyperparameters.epochs``), or None.
    """

    code = "error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    def begin_with(self, name: str) -> None:
        """Let the message name the file that it is about, at its beginning, if it does not yet."""
        if not self.message.startswith(f"{name}: "):
            self.message = f"{name}: {self.message}"
            self.args = (self.message,)

    def name_instead_of(self, folder: Path | str, name: str) -> None:
        """Let the message tell a name where it tells a folder, and files relative to it.

        Where things lie on a server is its own affair.
        """
        self.message = self.message.replace(f"{folder}/", "").replace(str(folder), name)
        self.args = (self.message,)


class InvalidRequestError(AfinadorError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    code = "invalid_request"


class UnknownFieldError(InvalidRequestError):
    """A field that nobody knows."""

    code = "unknown_field"


class OutOfRangeError(InvalidRequestError):
    """A value outside of what is allowed."""

    code = "out_of_range"


class RequestTooLargeError(InvalidRequestError):
    """More bytes than are taken."""

    code = "request_too_large"


class IllegalTransitionError(InvalidRequestError):
    """Something that the present state of a job does not allow."""

    code = "illegal_transition"


class NameTakenError(InvalidRequestError):
    """A name that must be unique is in use."""

    code = "name_taken"


class InUseError(InvalidRequestError):
    """A thing that others depend on cannot go."""

    code = "in_use"


class AuthenticationError(AfinadorError):
    """No key, or one that we do not know."""

    code = "invalid_api_key"


class PermissionDeniedError(AfinadorError):
    """A valid key that may not do this."""

    code = "permission_denied"


class NotFoundError(AfinadorError):
    """No such thing in this organisation."""

    code = "not_found"


class DataError(AfinadorError):
    """A data set that cannot be trained on.

    Attributes:
        problems: One sentence for each problem found, each naming line and field where there are such.
        fault: Tells faults of different kinds apart, where what has raised it knows several.
        is_unusable: The shape of a record refuses it, whatever was to become of it.
        steps: Of a preparation that leaves no record what each step did, as its result tells it.
    """

    code = "invalid_data"

    def __init__(
        self,
        message: str,
        *,
        problems: Iterable[str] = (),
        param: str | None = None,
        fault: str | None = None,
        is_unusable: bool = False,
        steps: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message, param=param)
        self.problems = list(problems)
        self.steps = list(steps)
        self.fault = fault
        self.is_unusable = is_unusable


class ModelError(AfinadorError):
    """A model that cannot be used."""

    code = "invalid_model"


class ModelTooLargeError(ModelError):
    """More parameters than the service trains."""

    code = "model_too_large"


class ModelNotReadyError(ModelError):
    """A model that is still being registered, or whose files are gone."""

    code = "model_not_ready"


class UnsupportedModelError(ModelError):
    """An architecture or a file form that does not fit."""

    code = "unsupported_model"


class TrainingError(AfinadorError):
    """A training process ended badly; the message holds the reason it gave."""

    code = "training_failed"


class CheckpointDamagedError(TrainingError):
    """A checkpoint that is not what its manifest says, or not there."""

    code = "checkpoint_damaged"


class InsufficientStorageError(AfinadorError):
    """Not enough disk for what comes next."""

    code = "insufficient_storage"


class StorageError(AfinadorError):
    """The object storage does not answer, or refuses."""

    code = "storage_error"


class ServiceUnavailableError(AfinadorError):
    """A part that this needs is away for now."""

    code = "service_unavailable"


class WaitTimeoutError(AfinadorError, TimeoutError):
    """What somebody waited for has not ended in the time that they gave it; nothing happened to it."""

    code = "timeout"

    @classmethod
    def of(cls, what: str, status: str, timeout_seconds: float | None) -> WaitTimeoutError:
        """Return the error on a thing that is still in a status, and say whether it goes on by itself."""
        outlook = {
            "paused": "it goes on only when it is resumed",
            "pausing": "it stops there and goes on only when it is resumed",
            "queued": "it still waits for its turn",
        }
        ahead = outlook.get(status, "it goes on")
        return cls(f"{what} has not ended after {timeout_seconds} s: it is {status}, and {ahead}.")


class ConfigurationError(AfinadorError):
    """The operator's settings do not fit together."""

    code = "invalid_configuration"


_LONGEST_NAME_COMPARED = 200


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are nearest to one that is unknown.

    Returns:
        ``" Did you mean 'a' or 'b'?"`` with a leading space, or an empty string when nothing is near.
    """
    if len(name) > _LONGEST_NAME_COMPARED:  # comparing takes the square of its length
        return ""
    lowered = {candidate.lower(): candidate for candidate in known}
    found = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    return f" Did you mean {' or '.join(repr(match) for match in found)}?" if found else ""
