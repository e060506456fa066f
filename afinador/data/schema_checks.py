"""Holds the metadata of a file's records against their JSON Schemas, for a bounded time.

``metadata_schema`` says why a process of its own does it. What could not be held against its schema is told, and is a
fault: nobody could say whether it fits. Records are sent some at a time: the way there and back takes as long as a check.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from afinador.data.extraction import Document
from afinador.data.kept_processes import KeptProcess, KeptProcesses
from afinador.data.metadata_schema import MEMORY_BYTES, Complaint, is_json_schema
from afinador.data.records import Problem, Record

SECONDS_PER_RECORD = 1.0
"""Of a processor, for one record, and a second more for each ``BYTES_PER_SECOND`` of its metadata and schema."""
SECONDS_PER_FILE = 10.0
"""Of a processor, for all records that one process judges of a file, and a second more for each ``BYTES_PER_SECOND``."""
BYTES_PER_SECOND = 10**6
"""A fifth of what ordinary schemas are done with."""
DOUBTS = frozenset({"schema_dialect"})
"""Which codes are no faults."""

_RECORDS_AT_ONCE = 100
_BYTES_AT_ONCE = 2**20
_REMEDY = "Simplify the schema (its patterns, its references), or remove it."
_idle = KeptProcesses("afinador.data.metadata_schema")

Done = Callable[[list[Problem]], None]
"""Is told all that is wrong with the metadata of a record by its schema; nothing where there is no schema."""


class _Question(NamedTuple):
    """A record that waits for its answer; without a schema it waits for those before it."""

    record: Record
    metadata: bytes
    schema: bytes
    done: Done


class SchemaChecks:
    """The checks of one file, and the time that they have taken.

    Args:
        seconds_per_record: As ``SECONDS_PER_RECORD``.
        seconds_per_file: As ``SECONDS_PER_FILE``.
    """

    def __init__(
        self, *, seconds_per_record: float = SECONDS_PER_RECORD, seconds_per_file: float = SECONDS_PER_FILE
    ) -> None:
        self._seconds_per_record, self._seconds_per_file = seconds_per_record, seconds_per_file
        self._seconds_taken = 0.0
        self._seconds_allowed = seconds_per_file
        self._gathered: list[_Question] = []
        self._bytes_gathered = 0
        self._sent: list[_Question] = []
        self._process: KeptProcess | None = None

    def ask(self, record: Record, document: Document, done: Callable[[Problem | None], None]) -> None:
        """As ``ask_all``, of which ``done`` is told the first alone."""
        self.ask_all(record, document, lambda problems: done(next(iter(problems), None)))

    def ask_all(self, record: Record, document: Document, done: Done) -> None:
        """Have a record held against its schema; ``done`` is called soon, in the order of the records."""
        if document.schema is not None and is_json_schema(document.schema):
            question = _Question(record, _as_json(document.metadata), _as_json(document.schema), done)
        elif self._gathered or self._sent:
            question = _Question(record, b"", b"", done)
        else:
            done([])
            return
        self._gathered.append(question)
        self._bytes_gathered += len(question.metadata) + len(question.schema)
        if len(self._gathered) >= _RECORDS_AT_ONCE or self._bytes_gathered >= _BYTES_AT_ONCE:
            self._send_gathered()

    def faults_of(self, record: Record, document: Document) -> list[Problem]:
        """Return what forbids to use a record, at once: for one here and there, for each takes a way there and back."""
        told: list[Problem] = []
        self.ask_all(record, document, told.extend)
        self._send_gathered()
        self._settle_sent()
        return [each for each in told if each.code not in DOUBTS]

    def finish(self) -> None:
        """Wait until all records are done, and leave the process to the next file."""
        self._send_gathered()
        self._settle_sent()
        if self._process is not None:
            _idle.give_back(self._process)
            self._process = None

    def _send_gathered(self) -> None:
        self._settle_sent()
        self._sent, self._gathered, self._bytes_gathered = self._gathered, [], 0
        self._send(_with_schema(self._sent))

    def _settle_sent(self) -> None:
        sent, self._sent = self._sent, []
        answers = iter(self._answers(_with_schema(sent)))
        for question in sent:
            question.done(_problems(question.record, next(answers)) if question.schema else [])

    @property
    def _is_spent(self) -> bool:
        return self._seconds_taken >= self._seconds_allowed

    def _send(self, questions: Sequence[_Question]) -> None:
        if not questions or self._is_spent:
            return
        if self._process is None:
            self._process = _idle.take()
        asked = [(question.metadata, question.schema) for question in questions]
        self._process.ask((self._seconds_for(questions), asked))

    def _seconds_for(self, questions: Sequence[_Question]) -> float:
        """Return how long an answer may take: for many questions no longer than for one of their size."""
        return self._seconds_per_record + _bytes_of(questions) / BYTES_PER_SECOND

    def _answers(self, questions: Sequence[_Question]) -> list[list[Complaint]]:
        """Return the answers to what was sent last."""
        if not questions:
            return []
        if self._is_spent:
            said = f"those before it took more than {self._seconds_per_file:g} s together"
            said = f"its metadata were not held against its schema, for {said}. {_REMEDY}"
            return [[("schema_unchecked", said, "schema")]] * len(questions)
        assert self._process is not None
        try:
            found, seconds = self._process.answer()
        except (EOFError, OSError):
            return self._answers_after_the_end(questions)
        self._seconds_taken += seconds
        self._seconds_allowed += _bytes_of(questions) / BYTES_PER_SECOND
        return list(found)

    def _answers_after_the_end(self, questions: Sequence[_Question]) -> list[list[Complaint]]:
        """Return the answers to questions that have ended the process: which of them did, is seen one by one."""
        assert self._process is not None
        is_slow = self._process.end() == -signal.SIGPROF
        self._process = None
        seconds = self._seconds_for(questions)
        self._seconds_taken += seconds
        if len(questions) > 1:
            answers: list[list[Complaint]] = []
            for question in questions:
                self._send([question])
                answers += self._answers([question])
            return answers
        why = f"took more than {seconds:.2g} s" if is_slow else f"took more than {MEMORY_BYTES >> 30} GiB of memory"
        said = f"holding its metadata against its schema {why} and was stopped. {_REMEDY}"
        return [[("schema_too_costly", said, "schema")]]


def _with_schema(questions: Sequence[_Question]) -> list[_Question]:
    return [question for question in questions if question.schema]


def _bytes_of(questions: Sequence[_Question]) -> int:
    return sum(len(question.metadata) + len(question.schema) for question in questions)


def _problems(record: Record, complaints: Sequence[Complaint]) -> list[Problem]:
    return [record.problem(code, said, field) for code, said, field in complaints]


def _as_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers of more than 64 bits
        return json.dumps(value).encode()
