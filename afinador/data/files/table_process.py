"""Asks a process with limited memory for the rows of Parquet and Arrow files; ``table_rows`` says why.

A process is started by the first file and kept for the next one, for its start takes half a second: as long as reading
some hundred thousand rows.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

from afinador.data.kept_processes import KeptProcess, KeptProcesses
from afinador.errors import DataError

TableFormat = Literal["Parquet", "Arrow"]

# Arrow's own allocator reserves more memory than it uses, which a limit counts.
_idle = KeptProcesses("afinador.data.files.table_rows", {"ARROW_DEFAULT_MEMORY_POOL": "system"})


def answers(what: TableFormat, path: Path) -> Generator[Any, None, None]:
    """Yield the ``columns`` of a table and the ``features`` that ``datasets`` has written of them, and then its rows in lists.

    Raises:
        DataError: It is damaged, too large, takes too much memory, or ends the process that reads it.
    """
    process = _idle.take()
    is_ready = False
    try:
        process.ask((what, str(path)))
        while True:
            answer = _answer(process, what)
            if answer is None:
                is_ready = True
                return
            if isinstance(answer, tuple):
                is_ready = not answer[1]
                raise DataError(answer[0])
            process.ask(None)
            try:
                yield answer
            except GeneratorExit:  # nobody wants the rest; what was asked for already is on its way
                is_ready = process.can_drop_answer()
                raise
    finally:
        _idle.give_back(process) if is_ready else process.end()


def _answer(process: KeptProcess, what: str) -> Any:
    try:
        return process.answer()
    except (EOFError, OSError) as error:
        raise DataError(
            f"The file could not be read as {what}: it ended the process that reads such files, as only damaged or "
            "hostile ones do. Write it again."
        ) from error
