"""The log of a run tells what is deliberate by its sentence, and what nobody foresaw with its traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from prefect.exceptions import CancelledRun, CrashedRun, FailedRun

from afinador.errors import NotFoundError
from tasks import run_log
from tasks.attempt import StopRequestedError

HERE = {"send_to_api": False}


@pytest.fixture(autouse=True)
def _begun() -> Iterator[None]:
    run_log.begin()
    run_log.begin()  # once for each flow of a process
    yield
    for name in run_log.LOGGERS_OF_PREFECT:
        logging.getLogger(name).removeFilter(run_log._SENTENCES)
    logging.getLogger(run_log.STORY).setLevel(logging.NOTSET)


def logged(name: str, error: BaseException, message: str = "Task run failed with %s: %r") -> tuple[str, str]:
    """Log an error as Prefect does, and return level and text as every handler has them."""
    written: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = written.append  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        raise error
    except BaseException:
        logger.error(message, "exception", error, exc_info=True, extra=HERE)
    finally:
        logger.removeHandler(handler)
    (record,) = written
    return record.levelname, logging.Formatter().format(record)


@pytest.mark.parametrize("name", run_log.LOGGERS_OF_PREFECT)
def test_what_is_deliberate_is_its_sentence_alone(name: str) -> None:
    said = "There is no organization '100% mine'."
    assert logged(name, NotFoundError(said)) == ("ERROR", said)
    assert logged(name, FailedRun(said)) == ("ERROR", said)
    assert logged(name, CancelledRun("The job was cancelled.")) == ("INFO", "The job was cancelled.")
    assert logged(name, StopRequestedError("pause")) == ("INFO", "The job was asked to stop (pause).")


@pytest.mark.parametrize("error", [ValueError("a fault"), CrashedRun("killed"), KeyError("x")])
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception) -> None:
    level, text = logged("prefect.task_runs", error)
    assert level == "ERROR" and text.startswith("Task run failed with exception") and "Traceback" in text


def test_a_step_that_stopped_as_asked_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="prefect.task_runs"):
        logger = logging.getLogger("prefect.task_runs")
        logger.error("Finished in state Cancelled('The job was asked to stop (pause).')", extra=HERE)
        logger.error("Finished in state Failed('No such file.')", extra=HERE)
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
