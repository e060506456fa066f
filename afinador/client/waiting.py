"""To wait and to work long: what the two clients do differently. The other half is ``asynchronous.waiting``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def work(function: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
    """Call a function that takes long."""
    return function(*arguments, **named)
