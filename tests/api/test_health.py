from __future__ import annotations

import threading
import time

import afinador
from afinador.errors import StorageError
from api import health as health_module
from api.health import Health


def test_health_tells_of_every_part_without_a_key(running):
    with running.http(None) as client:
        end = time.monotonic() + 10
        while client.get("/health").json()["checks"]["prefect"]["status"] == "unknown":
            assert time.monotonic() < end
            time.sleep(0.05)
        answer = client.get("/v1/health")
    report = answer.json()
    assert answer.status_code == 200
    assert report["version"] == afinador.__version__
    assert set(report["checks"]) == {"database", "storage", "prefect", "mlflow", "workers"}
    assert report["checks"]["database"]["status"] == report["checks"]["storage"]["status"] == "ok"
    assert report["checks"]["prefect"]["status"] == "unavailable"
    assert "127.0.0.1:9" in report["checks"]["prefect"]["message"]
    assert report["status"] == "degraded"


def test_health_answers_at_once(running):
    with running.http(None) as client:
        client.get("/health")
        started_at = time.perf_counter()
        for _ in range(20):
            client.get("/health")
    assert (time.perf_counter() - started_at) / 20 < 0.1


def fine(*names: str):
    return lambda: {name: {"status": "ok", "message": None} for name in names}


def test_only_database_and_storage_are_essential():
    def broken() -> dict:
        raise StorageError("the disk is gone")

    health = Health(
        {("database",): fine("database"), ("storage",): broken, ("prefect", "workers"): fine("prefect", "workers")}
    )
    health.start()
    usable, report = health.report()
    health.stop()
    assert usable is False
    assert report["checks"]["storage"] == {"status": "unavailable", "message": "the disk is gone"}

    def away() -> dict:
        raise OSError("user:password@host")

    health = Health({("database",): fine("database"), ("storage",): fine("storage"), ("mlflow",): away})
    health.start()
    while health.report()[1]["checks"]["mlflow"]["status"] == "unknown":
        time.sleep(0.01)
    usable, report = health.report()
    health.stop()
    assert usable is True
    assert report["status"] == "degraded"
    assert "password" not in str(report)


def test_workers_are_counted_only_while_prefect_answers():
    for status, counted in (("ok", {"gpu": 0, "cpu": 2}), ("unavailable", {})):
        part = {"status": status, "message": None}
        found = {"prefect": part, "workers": {**part, "gpu": 0, "cpu": 2}}
        health = Health({("prefect", "workers"): lambda found=found: found})
        health._look(health._watched[0])
        assert health.workers_online() == counted
    assert Health({}).workers_online() == {}


def test_check_that_hangs_hides_no_other_and_is_not_believed_for_ever(monkeypatch):
    release = threading.Event()

    def hangs() -> dict:
        release.wait(20)
        return fine("mlflow")()

    health = Health({("database",): fine("database"), ("storage",): fine("storage"), ("mlflow",): hangs})
    health.start()
    assert health.report()[1]["checks"]["mlflow"]["status"] == "unknown"
    monkeypatch.setattr(health_module, "STALE_SECONDS", 0.0)
    assert health.report()[1]["checks"]["mlflow"]["status"] == "unavailable"
    release.set()
    health.stop()
