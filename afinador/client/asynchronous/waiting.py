"""To wait and to work long without holding anybody up. The other half is ``afinador.client.waiting``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


async def pause(seconds: float) -> None:
    """Wait, while others go on."""
    await asyncio.sleep(seconds)


async def work(function: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
    """Call a function that takes long, in a thread."""
    return await asyncio.to_thread(function, *arguments, **named)
