"""The life of the whole stack, in order: started, hurt, killed, started again. It is stopped after all other tests of it."""

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

from tests.integration.stack import SLOTS, Stack, start_again

pytestmark = pytest.mark.integration


@pytest.fixture
def prefect(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.prefect_url) as client:
        yield client


def asked(prefect: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    """Ask Prefect, again while its SQLite file is locked (503)."""
    end = time.monotonic() + 60
    while (answer := prefect.request(method, path, json=body, timeout=60)).status_code == 503:
        assert time.monotonic() < end, answer.text
        time.sleep(0.3)
    return answer.raise_for_status().json() if answer.content else None


def test_each_part_answers_and_is_shown(stack: Stack) -> None:
    urls = stack.urls
    assert httpx.get(f"{urls['api']}/health").json()["checks"]["database"]["status"] == "ok"
    assert httpx.get(f"{urls['prefect']}/api/health").is_success
    output = "\n".join(stack.lines)
    for shown in (urls["api"], urls["prefect"], "export AFINADOR_API_KEY=af-", "Worker of pool cpu"):
        assert shown in output


def test_the_first_key_is_good(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.key}"}
    assert httpx.get(f"{stack.base_url}/v1/files", headers=headers).status_code == 200


def test_what_to_export_is_shown_together_with_the_address_last(stack: Stack) -> None:
    block = stack.lines[stack.lines.index("Use it from another terminal:") + 1 :][:3]
    names = [line.removeprefix("  export ").partition("=")[0] for line in block]
    assert names == ["AFINADOR_API_KEY", "AFINADOR_OPERATOR_KEY", "AFINADOR_BASE_URL"]


def test_the_record_is_the_owners_alone(stack: Stack) -> None:
    assert stat.S_IMODE(stack.record_path.stat().st_mode) == 0o600


def test_everything_binds_to_this_machine_alone(stack: Stack) -> None:
    listening = [
        connection.laddr.ip
        for process in stack.processes()
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
    for asked_for in ("form", "scheduled", "on-new-version"):
        assert found[asked_for]["job_variables"]["command"].endswith("-m flows.engine")
    assert list(found["cpu"]["parameter_openapi_schema"]["properties"]) == ["job_id"]
    assert found["submission"]["entrypoint"] == "flows.dataset_preparation.prepare_dataset"
    assert found["settle"]["paused"] is True
    assert found["settle"]["schedules"][0]["schedule"]["cron"] == "* * * * *"
    assert found["scheduled"]["paused"] is True
    assert found["scheduled"]["parameters"] == {"organization": "default", "request": {"job_spec": "nightly"}}
    assert list(found["form"]["parameter_openapi_schema"]["properties"]) == ["organization", "request"]
    assert prefect.get("/work_pools/cpu").json()["concurrency_limit"] == SLOTS
    (automation,) = asked(prefect, "POST", "/automations/filter", {})
    assert automation["trigger"]["expect"] == ["afinador.dataset.updated"]
    assert automation["actions"][0]["deployment_id"] == found["on-new-version"]["id"]


def set_automation(prefect: httpx.Client, *, enabled: bool) -> None:
    (automation,) = asked(prefect, "POST", "/automations/filter", {})
    asked(prefect, "PATCH", f"/automations/{automation['id']}", {"enabled": enabled})


@pytest.fixture
def place(prefect: httpx.Client) -> Iterator[str]:
    """Where the scheduled deployment is; somebody has changed it, and has switched the automation off."""
    scheduled = asked(prefect, "GET", "/deployments/name/submit-fine-tune/scheduled")
    place = f"/deployments/{scheduled['id']}"
    mine = {"schedule": {"cron": "30 4 * * *"}, "active": True, "slug": "mine"}
    (made,) = asked(prefect, "POST", f"{place}/schedules", [mine])
    asked(prefect, "PATCH", place, {"parameters": {"organization": "acme"}, "paused": False})
    set_automation(prefect, enabled=False)
    yield place
    set_automation(prefect, enabled=True)
    asked(prefect, "PATCH", place, {"parameters": scheduled["parameters"], "paused": True})
    asked(prefect, "DELETE", f"{place}/schedules/{made['id']}")


def test_what_people_set_in_prefect_outlives_an_update(stack: Stack, prefect: httpx.Client, place: str) -> None:
    environment = psutil.Process(stack.record["parts"]["api"]["pid"]).environ()
    apply = [sys.executable, "-m", "deployments", "apply"]
    done = subprocess.run(apply, cwd=stack.root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    after = asked(prefect, "GET", place)
    assert {each["slug"]: each["schedule"]["cron"] for each in after["schedules"]} == {
        "nightly": "0 2 * * *",
        "mine": "30 4 * * *",
    }
    assert (after["parameters"], after["paused"]) == ({"organization": "acme"}, False)
    (automation,) = asked(prefect, "POST", "/automations/filter", {})
    assert automation["enabled"] is False


def test_prefects_clients_read_one_certificate(stack: Stack) -> None:
    environment = psutil.Process(stack.record["parts"]["worker-cpu"]["pid"]).environ()
    context = ssl.create_default_context(cafile=environment["PREFECT_API_SSL_CERT_FILE"])
    assert len(context.get_ca_certs()) == 1


def test_a_second_supervisor_says_where_the_first_is(stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "deployments", "up"],
        cwd=stack.root,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"process {stack.process.pid}" in second.stderr
    assert stack.base_url in second.stderr
    with stack.http() as http:
        assert http.get("/models").status_code == 200


def test_a_part_that_dies_is_started_again(stack: Stack) -> None:
    before, printed = stack.record["parts"]["api"]["pid"], len(stack.lines)
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 40
    while (after := stack.record["parts"]["api"])["phase"] != "ready" or after["pid"] == before:
        assert time.monotonic() < end, after
        time.sleep(0.1)
    assert httpx.get(f"{after['url']}/health").is_success
    assert any("API has ended" in line for line in stack.lines[printed:])


def test_what_a_killed_supervisor_left_is_ended_by_the_next(stack: Stack) -> None:
    stack.process.kill()
    stack.process.wait()
    left = {process.pid for process in stack.processes()}
    assert len(left) >= 3
    output = "\n".join(start_again(stack))
    assert not left & {process.pid for process in stack.processes()}
    assert "left behind" in output
    assert "up to date" in output, "pools and deployments were applied a second time"
    assert "AFINADOR_API_KEY" not in output, "the first key was shown a second time"
