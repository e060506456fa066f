"""What most commands begin with: a connection to the service that the environment names, and options of lists."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from afinador.cli.command import Parser
from afinador.errors import InvalidRequestError, ServiceUnavailableError

if TYPE_CHECKING:
    from afinador.client.calls import Call
    from afinador.client.connection import Connection


_SCIENTIFIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")


def connect() -> Connection:
    """Open the connection; nothing is sent yet."""
    # httpx brings a command line of its own, and with it click, rich and pygments: a third of what it takes to import.
    # It is made to do without, as it does where those are not installed.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from afinador.client.access import Access
    from afinador.client.connection import Connection  # httpx: 0.15 s that --help and bad options need not wait for

    return Connection(Access.from_environment())


@contextmanager
def connect_for_data() -> Iterator[Connection]:
    """Open the connection for what needs no service where data sets can be read, and say so if none answers."""
    try:
        with connect() as connection:
            yield connection
    except ServiceUnavailableError as error:
        if find_spec("pyarrow") is None:
            error.message += " None is needed for local data sets where they can be read: pip install afinador[train]."
            error.args = (error.message,)
        raise


def ask(call: Call) -> dict[str, Any]:
    """Send one call."""
    with connect() as connection:
        return connection.json(call)


def add_list_options(parser: Parser) -> None:
    """Add ``--limit`` and ``--after``."""
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--after", metavar="ID", help="begin behind the object with this id")


def ask_list(call: Call, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Send calls until as many objects came as ``--limit`` says; also tell whether there are more."""
    with connect() as connection:
        from afinador.client import paging

        return paging.first(connection, call, arguments.limit, arguments.after)


def ask_all(call: Call) -> list[dict[str, Any]]:
    """Send calls until a list is complete."""
    with connect() as connection:
        from afinador.client import paging

        return list(paging.iterate(connection, call))


def positive(text: str) -> int:
    """Read a whole number above 0."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def assignment(text: str) -> tuple[str, str]:
    """Read ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        from afinador.wording import shown

        raise argparse.ArgumentTypeError(f"{shown(text)} is not of the form key=value")
    return key, value


def setting(text: str) -> tuple[str, Any]:
    """Read ``key=value`` with a value as ``typed`` reads it."""
    key, value = assignment(text)
    if not value.strip():
        raise argparse.ArgumentTypeError(f"{text!r} gives {key} no value; leave it out for its default")
    return key, typed(value)


def typed(text: str) -> Any:
    """Read a value as YAML does, and numbers such as 5e-5 as numbers, which YAML does not.

    Raises:
        ArgumentTypeError: It is empty, not YAML, or holds what JSON cannot say: a number that is not finite.
    """
    from afinador.config.documents import read_value
    from afinador.wording import shown

    if not text.strip():
        raise argparse.ArgumentTypeError("there is no value; leave the option out for its default")
    try:
        value = read_value(text)
    except InvalidRequestError as error:
        raise argparse.ArgumentTypeError(error.message) from error
    value = float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value
    if not can_be_sent(value):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is or holds what JSON cannot say, such as a number that is not finite"
        )
    return value


def can_be_sent(value: Any) -> bool:
    """Tell whether JSON can say a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
