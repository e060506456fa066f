from __future__ import annotations

import threading

import pytest

from afinador.errors import ServiceUnavailableError, StorageError
from api.background import Background, Deferred


def test_work_that_fails_does_not_stop_the_lane(caplog):
    background, done = Background(), threading.Event()

    def broken(error: Exception) -> None:
        raise error

    background.run("submit", broken, ValueError("ours"))
    background.run("submit", broken, StorageError("theirs"))
    background.run("submit", done.set)
    assert done.wait(5)
    assert "ours" in caplog.text
    assert "theirs" in caplog.text


def test_long_fetch_holds_up_no_other_lane():
    background, release, done = Background(), threading.Event(), threading.Event()
    background.run("fetch", release.wait, 10)
    background.run("check", done.set)
    assert done.wait(5)
    release.set()


def test_later_means_after_some_time():
    background, done = Background(), threading.Event()
    background.run_later(0.05, "check", done.set)
    assert not done.is_set()
    assert done.wait(5)


def test_deferred_value_is_built_once():
    built = []
    deferred = Deferred(lambda: built.append(1) or "value", "MLflow")
    deferred.start()
    assert [deferred.get(), deferred.get()] == ["value", "value"]
    assert built == [1]


def test_deferred_value_that_could_not_be_built_is_tried_again():
    tries = []

    def build() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no such file")
        return "value"

    deferred = Deferred(build, "MLflow")
    with pytest.raises(ServiceUnavailableError, match="MLflow is away"):
        deferred.get()
    assert deferred.get() == "value"


def test_deferred_value_is_not_waited_for_for_ever():
    release = threading.Event()
    deferred = Deferred(lambda: release.wait(10), "MLflow")
    deferred.start()
    while not deferred._lock.locked():
        pass
    with pytest.raises(ServiceUnavailableError, match="still starting"):
        deferred.get(timeout_seconds=0.05)
    release.set()
