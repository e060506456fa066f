"""How a step ends that was asked to stop: in Prefect as cancelled, not as failed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.results import ResultRecord
from prefect.states import Cancelled

from tasks.attempt import StopRequestedError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def stoppable(step: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let the task that is made of a step end as cancelled when the step is asked to stop; start it by ``take``."""

    @functools.wraps(step)
    def done_or_stopped(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return step(*arguments, **named)
        except StopRequestedError as stop:
            if TaskRunContext.get() is None:  # outside of Prefect nobody reads states
                raise
            return Cancelled(message=stop.message, data=stop.request)  # type: ignore[return-value]

    return done_or_stopped


def take(step: Task[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
    """Take a step that is stoppable, as a task, and return what it returns.

    Raises:
        StopRequestedError: The step was asked to stop.
    """
    result = step(*arguments, **named)
    if isinstance(result, State):
        raise StopRequestedError(str(result.data.result if isinstance(result.data, ResultRecord) else result.data))
    return result
