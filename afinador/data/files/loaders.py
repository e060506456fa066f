"""Functions of an operator's modules that read what Afinador does not."""

from __future__ import annotations

import importlib
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.config.operator import read_operator_config
from afinador.data.files.compressed import MAX_UNPACKED_BYTES
from afinador.data.quoting import described, masked
from afinador.data.records import Problem, Record
from afinador.errors import DataError, InvalidRequestError
from afinador.settings import read_settings
from afinador.storage import sha256_of

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

logger = logging.getLogger(__name__)

LEAST_BYTES = 64
"""So many a record counts at least, so that one who gives nothing for ever comes to an end, too."""


def require_allowed_loader(reading: DatasetReading | None, modules: Sequence[str], *, param: str = "loader") -> None:
    """Do nothing if a data set is read by Afinador, or by a function of an allowed module.

    Call it where a declaration comes in: what is read later has come in this way.

    Args:
        reading: What is declared.
        modules: ``loaders`` of the operator's configuration.
        param: The field to blame.

    Raises:
        InvalidRequestError: The module is not among them; names those that are.
    """
    if reading is None or reading.loader is None:
        return
    module = reading.loader.partition(":")[0]
    if module not in modules:
        allowed = f"allowed are: {', '.join(modules)}" if modules else "none is allowed"
        raise InvalidRequestError(
            f"loader is {reading.loader!r}; {allowed} (loaders in AFINADOR_CONFIG). Ask the operator to add {module!r}, "
            "or describe the data with mapping.",
            param=param,
        )


def require_loader_allowed_here(reading: DatasetReading | None) -> None:
    """Hold a declaration that is used on this machine, without a service, against ``AFINADOR_CONFIG``.

    Raises:
        InvalidRequestError: See ``require_allowed_loader``; or the operator's configuration cannot be read.
    """
    if reading is not None and reading.loader is not None:
        require_allowed_loader(reading, read_operator_config(read_settings().config).get("loaders", []))


def read_with_loader(path: Path, reading: DatasetReading | None) -> Iterator[Record | Problem]:
    """Yield what a loader yields for a path, each dictionary a record; its failure is the last problem.

    Raises:
        DataError: There is no such module or function.
    """
    if reading is None or reading.loader is None:
        raise DataError("A custom data set needs a loader: declare loader as module:function.")
    load = _function(reading.loader)
    number = 0
    try:
        for found in records_of_loader(load, path, reading.loader):
            yield found
            number += 1
    except (Exception, SystemExit) as error:  # whatever it raises is a fault of the data, or of the function
        said = f"The loader {reading.loader} failed after record {number}: {_kept_back(error)}."
        yield Problem("loader_failed", f"{said} Correct what it reads, or the loader.")


def records_of_loader(load: Callable[[Path], Any], path: Path, name: str) -> Iterator[Record | Problem]:
    """Yield what a loader of a name yields for a path, each dictionary a record; whatever it raises comes through.

    One that does not end is cut off with a problem.
    """
    rows = load(path)
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        said = f"The loader {name} gave {described(rows)}, but must give dictionaries, one a record: yield them, or return a list."
        yield Problem("loader_failed", said)
        return
    given = 0
    for number, row in enumerate(rows, start=1):
        size, found = _record(number, row)
        given += max(size, LEAST_BYTES)
        if given > MAX_UNPACKED_BYTES:
            most = f"{MAX_UNPACKED_BYTES / 2**30:.0f} GiB"
            said = f"The loader {name} gives more than {most}, the most that one may, up to record {number}. Let it end before."
            yield Problem("loader_failed", said)
            return
        yield found


def _record(number: int, row: Any) -> tuple[int, Record | Problem]:
    """Return how many bytes a row has as JSON, 0 where that cannot be told, and the record."""
    if not isinstance(row, Mapping):
        said = f"Record {number} of the loader is {described(row)}, but must be a dictionary. Correct the loader."
        return 0, Problem("not_an_object", said, number)
    fields = dict(row)
    try:
        size = len(json.dumps(fields, ensure_ascii=False, default=repr).encode())
        if not _has_texts_as_keys(fields):
            raise TypeError
    except (UnicodeEncodeError, RecursionError, ValueError, TypeError):
        said = "half a surrogate pair, an object that holds itself, or a key that is no text"
        return 0, Problem("json_syntax", f"Record {number} of the loader holds {said}. Correct the loader.", number)
    return size, Record(number, fields, "Record")


def _has_texts_as_keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _has_texts_as_keys(each) for name, each in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_texts_as_keys, value))


def _kept_back(error: BaseException) -> str:
    """Return type and place of an error, and log what it says: that is for the operator, and may quote records.

    Where nobody has set up a log, as on the command line, Python would print it to whoever is there.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__} in line {frame.lineno} of {Path(frame.filename).name}"
    if not logger.hasHandlers():
        return f"{said}; call it by itself to see more"
    logger.warning("A loader failed: %s", masked("".join(traceback.format_exception(error))))
    return f"{said}; the log has more"


def code_of_loader(loader: str) -> str:
    """Return the hash of the file of a loader's module, by which it is seen that an operator has changed it.

    Modules that it imports are not looked at. Empty where there is no such file; reading tells then what is wrong.
    """
    try:
        module = find_spec(loader.partition(":")[0])
        return sha256_of(Path(module.origin)) if module is not None and module.origin else ""
    except Exception:  # a package around the module is run
        return ""


def _function(loader: str) -> Any:
    module_name, _, name = loader.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # an import runs the module
        raise DataError(
            f"The module of the loader {loader} cannot be imported: {_kept_back(error)}. "
            "The operator has to install it where the service runs."
        ) from error
    function = getattr(module, name, None)
    # What the module itself has imported is no loader.
    if name.startswith("_") or not callable(function) or getattr(function, "__module__", None) != module_name:
        raise DataError(f"The module {module_name} defines no function {name!r}. Correct loader.")
    return function
