"""The life of a stack, in order, on one home: started, hurt, killed, started again, stopped."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(supervisor: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The supervisor's process, the newest last."""
    started = [supervisor.start()]
    yield started
    supervisor.stop(started[-1])
    for process in supervisor.processes():
        process.kill()


@pytest.fixture
def prefect(running: Any, supervisor: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{supervisor.record()['urls']['prefect']}/api") as client:
        yield client


def asked(prefect: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    """Ask Prefect, again while its SQLite file is locked (503)."""
    end = time.monotonic() + 60
    while (answer := prefect.request(method, path, json=body, timeout=60)).status_code == 503:
        assert time.monotonic() < end, answer.text
        time.sleep(0.3)
    return answer.raise_for_status().json() if answer.content else None


def test_each_part_answers_and_is_shown(running: Any, supervisor: Any) -> None:
    urls = supervisor.record()["urls"]
    assert httpx.get(f"{urls['api']}/health").json()["checks"]["database"]["status"] == "ok"
    assert httpx.get(f"{urls['prefect']}/api/health").is_success
    output = supervisor.output.read_text()
    for shown in (urls["api"], urls["prefect"], "export AFINADOR_API_KEY=af-", "Worker of pool cpu"):
        assert shown in output


def test_the_first_key_is_good(running: Any, supervisor: Any) -> None:
    line = next(line for line in supervisor.output.read_text().splitlines() if "AFINADOR_API_KEY=" in line)
    headers = {"Authorization": f"Bearer {line.partition('=')[2]}"}
    assert httpx.get(f"{supervisor.record()['urls']['api']}/v1/files", headers=headers).status_code == 200


def test_what_to_export_is_shown_together_with_the_address_last(running: Any, supervisor: Any) -> None:
    lines = supervisor.output.read_text().splitlines()
    block = lines[lines.index("Use it from another terminal:") + 1 :][:3]
    names = [line.removeprefix("  export ").partition("=")[0] for line in block]
    assert names == ["AFINADOR_API_KEY", "AFINADOR_OPERATOR_KEY", "AFINADOR_BASE_URL"]


def test_the_examples_may_be_registered_unless_other_folders_are_named(running: Any, supervisor: Any) -> None:
    api = psutil.Process(supervisor.record()["parts"]["api"]["pid"])
    assert api.environ()["AFINADOR_MODEL_ROOTS"] == str(supervisor.root / "examples")


def test_the_record_is_the_owners_alone(running: Any, supervisor: Any) -> None:
    assert stat.S_IMODE((supervisor.home / "stack.json").stat().st_mode) == 0o600


def test_everything_binds_to_this_machine_alone(running: Any, supervisor: Any) -> None:
    listening = [
        connection.laddr.ip
        for process in supervisor.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


def test_prefect_has_what_prefect_yaml_says(prefect: httpx.Client) -> None:
    deployments = asked(prefect, "POST", "/deployments/filter", {})
    proofs = [each for each in deployments if each["entrypoint"] == "flows.verification.verify"]
    assert {each["name"] for each in proofs} == {"gpu", "cpu"}
    found = {each["name"]: each for each in deployments if each not in proofs}
    assert found.keys() == {"gpu", "cpu", "submission", "settle", "form", "scheduled", "on-new-version"}
    assert found["cpu"]["entrypoint"] == "flows.fine_tuning.fine_tune"
    assert found["cpu"]["job_variables"]["stream_output"] is False
    assert found["cpu"]["job_variables"]["command"].endswith("-m prefect.engine")
    assert list(found["cpu"]["parameter_openapi_schema"]["properties"]) == ["job_id"]
    assert found["submission"]["entrypoint"] == "flows.dataset_preparation.prepare_dataset"
    assert found["settle"]["paused"] is True
    assert found["settle"]["schedules"][0]["schedule"]["cron"] == "* * * * *"
    assert found["scheduled"]["paused"] is True
    assert found["scheduled"]["parameters"] == {"organization": "default", "request": {"job_spec": "nightly"}}
    assert list(found["form"]["parameter_openapi_schema"]["properties"]) == ["organization", "request"]
    assert prefect.get("/work_pools/cpu").json()["concurrency_limit"] == 1
    (automation,) = asked(prefect, "POST", "/automations/filter", {})
    assert automation["trigger"]["expect"] == ["afinador.dataset.updated"]
    assert automation["actions"][0]["deployment_id"] == found["on-new-version"]["id"]


def test_what_people_set_in_prefect_outlives_an_update(prefect: httpx.Client, running: Any, supervisor: Any) -> None:
    place = f"/deployments/{asked(prefect, 'GET', '/deployments/name/submit-fine-tune/scheduled')['id']}"
    mine = {"schedule": {"cron": "30 4 * * *"}, "active": True, "slug": "mine"}
    asked(prefect, "POST", f"{place}/schedules", [mine])
    asked(prefect, "PATCH", place, {"parameters": {"organization": "acme"}, "paused": False})
    (automation,) = asked(prefect, "POST", "/automations/filter", {})
    asked(prefect, "PATCH", f"/automations/{automation['id']}", {"enabled": False})
    environment = psutil.Process(supervisor.record()["parts"]["api"]["pid"]).environ()
    apply = [sys.executable, "-m", "deployments", "apply"]
    done = subprocess.run(apply, cwd=supervisor.root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    after = asked(prefect, "GET", place)
    assert {each["slug"]: each["schedule"]["cron"] for each in after["schedules"]} == {
        "nightly": "0 2 * * *",
        "mine": "30 4 * * *",
    }
    assert (after["parameters"], after["paused"]) == ({"organization": "acme"}, False)
    (again,) = asked(prefect, "POST", "/automations/filter", {})
    assert again["enabled"] is False


def test_prefects_clients_read_one_certificate(running: Any, supervisor: Any) -> None:
    environment = psutil.Process(supervisor.record()["parts"]["worker-cpu"]["pid"]).environ()
    context = ssl.create_default_context(cafile=environment["PREFECT_API_SSL_CERT_FILE"])
    assert len(context.get_ca_certs()) == 1


def test_a_second_supervisor_says_where_the_first_is(running: Any, supervisor: Any) -> None:
    second = subprocess.run(
        supervisor.command(),
        cwd=supervisor.root,
        env=supervisor.environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"process {running[-1].pid}" in second.stderr
    assert supervisor.record()["urls"]["api"] in second.stderr


def test_a_part_that_dies_is_started_again(running: Any, supervisor: Any) -> None:
    before = supervisor.record()["parts"]["api"]["pid"]
    os.kill(before, signal.SIGKILL)
    supervisor.wait_for_line("API has ended", running[-1], timeout_seconds=10)
    end = time.monotonic() + 30
    while (after := supervisor.record()["parts"]["api"])["phase"] != "ready" or after["pid"] == before:
        assert time.monotonic() < end, after
        time.sleep(0.1)
    assert httpx.get(f"{after['url']}/health").is_success


def test_what_a_killed_supervisor_left_is_ended_by_the_next(running: Any, supervisor: Any) -> None:
    running[-1].kill()
    running[-1].wait()
    left = {process.pid for process in supervisor.processes()}
    assert len(left) >= 3
    running.append(supervisor.start())
    assert not left & {process.pid for process in supervisor.processes()}
    output = supervisor.output.read_text()
    assert "left behind" in output
    assert "up to date" in output, "pools and deployments were applied a second time"
    assert "AFINADOR_API_KEY" not in output, "the first key was shown a second time"


def test_a_stop_leaves_nobody_behind(running: Any, supervisor: Any) -> None:
    assert len(supervisor.processes()) >= 3
    supervisor.stop(running[-1])
    assert running[-1].returncode == 0
    assert supervisor.processes() == []
    assert not (supervisor.home / "stack.json").exists()
